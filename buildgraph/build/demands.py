"""Can what the command line asks for be given? Looked at before anything runs, so that no build ends in wrong usage."""

from collections.abc import Container, Sequence

from buildgraph.build.request import OutputSpec, Request
from buildgraph.errors import UsageError
from buildgraph.names import Reference

_FILES = ("tar", "local")
"""The types of output that a step has, too."""


def check_demands(request: Request, targets: Sequence[str], several: Container[str]) -> None:
    """``targets`` are nodes (``image:x``, ``step:y``), groups flattened; ``several``: those for several platforms.

    Raises UsageError.
    """
    _check_tags(request.tags, targets)
    _check_iidfile(request, targets)
    for output in request.outputs:
        _check_output(output, targets)
        _check_platforms(output, [target for target in targets if target in several])
    taken = set[str]()
    for output in request.outputs:
        if output.dest and output.dest in taken:
            raise UsageError(
                "output-twice",
                f"two outputs would be written to dest={output.dest}",
                hint="give each a dest of its own",
            )
        taken.add(output.dest)


def _check_tags(tags: Sequence[str], targets: Sequence[str]) -> None:
    for tag in tags:
        if Reference.parse(tag).digest:
            raise UsageError(
                "bad-reference",
                f"{tag!r} names an image by its digest, and -t gives it a name",
                hint="write it as [host/]name[:tag]",
            )
    if tags and len(targets) > 1:
        raise UsageError(
            "tag-for-several",
            f"-t names one image, and there are {len(targets)} targets",
            hint="build one target, or set tags in the Buildfile",
        )
    if tags and not any(map(_is_image, targets)):
        raise _no_image("-t names an image", targets)


def _check_iidfile(request: Request, targets: Sequence[str]) -> None:
    if request.iidfile is not None and not any(map(_is_image, targets)):
        raise _no_image("--iidfile is for the digests of images", targets)


def _check_output(output: OutputSpec, targets: Sequence[str]) -> None:
    """One of several targets may be written to a name that holds ``{name}`` only; a step has no image."""
    if output.type == "store":
        return
    if len(targets) > 1 and "{name}" not in output.dest:
        raise UsageError(
            "output-for-several",
            f"dest={output.dest} would be written by several targets",
            hint="put {name} into dest",
        )
    steps = [target for target in targets if not _is_image(target)]
    if steps and output.type not in _FILES:
        raise UsageError(
            "output-not-an-image",
            f"{_bare(steps[0])} is a step: it has no image for type={output.type}",
            hint="write its files with type=local or type=tar",
        )


def _check_platforms(output: OutputSpec, targets: Sequence[str]) -> None:
    if targets and output.type == "docker":
        raise UsageError(
            "output-several-platforms",
            f"{_bare(targets[0])} is for several platforms, which type=docker cannot hold",
            hint="write type=oci-archive or type=oci, or build for one --platform",
        )


def _no_image(why: str, targets: Sequence[str]) -> UsageError:
    names = ", ".join(map(_bare, targets)) or "nothing"
    return UsageError(
        "not-an-image",
        f"{why}, and {names} is none",
        hint="name an image of the Buildfile; buildgraph ls lists them",
    )


def _is_image(target: str) -> bool:
    return target.startswith("image:")


def _bare(target: str) -> str:
    return target.partition(":")[2]
