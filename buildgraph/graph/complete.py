"""What does a table say, once the config of the stack that it stands on is known? Its second reading, put in place.

The first reading found what the table stands on and is made of; since then names may have become others (an image in
place of a base, one table for each platform). These stay, and everything else is as it was read now.
"""

from collections.abc import Mapping

from buildgraph.spec import model as m
from buildgraph.values import replace

Kind = m.Copy | m.Write | m.Run | m.Packages | m.DockerCopy | m.Workdir


def completed_step(step: m.Step, env: Mapping[str, str]) -> m.Step:
    """Raises ErrorGroup with what the variables in ``env`` make wrong, as :func:`completed_image` does."""
    made = step.late.read(step.late.written, env) if step.late else step
    assert isinstance(made, m.Step), "its table is a step's"
    return replace(
        step,
        kind=_kind(made.kind, step.kind),
        description=made.description,
        normalize=made.normalize,
        merge_strict=made.merge_strict,
        late=None,
    )


def completed_image(image: m.Image, env: Mapping[str, str]) -> m.Image:
    made = image.late.read(image.late.written, env) if image.late else image
    assert isinstance(made, m.Image), "its table is an image's"
    return replace(
        image,
        config=made.config,
        description=made.description,
        annotations=made.annotations,
        tags=made.tags,
        squash=made.squash,
        compression=made.compression,
        level=made.level,
        merge_strict=made.merge_strict,
        late=None,
    )


def _kind(made: Kind, known: Kind) -> Kind:
    """``made`` with the references of ``known``, which has them in the same order."""
    match made, known:
        case m.Copy(items), m.Copy(others):
            pairs = zip(items, others, strict=True)
            return m.Copy(
                tuple(replace(one, source=_from(one.source, other.source)) for one, other in pairs)
            )
        case m.Run(), m.Run():
            sources = (mount.source for mount in known.mounts if isinstance(mount, m.BindMount))
            mounts = tuple(
                replace(mount, source=_from(mount.source, next(sources)))
                if isinstance(mount, m.BindMount)
                else mount
                for mount in made.mounts
            )
            return replace(made, tools=known.tools, mounts=mounts)
        case _:
            return made


def _from(made: m.Selection, known: m.Selection) -> m.Selection:
    return replace(made, ref=known.ref)
