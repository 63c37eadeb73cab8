"""An image moved onto another base: its own layers stay the bytes that they are, nothing is rebuilt or downloaded.

Layers of copies and written files do not depend on what is below them, so that they can stand on a newer base as
well. A command's layer does depend on it: an image that has one must be built again. Pure: documents in, documents
out. Of the config, what the image changed of its old base's stays changed; everything else is the new base's.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.lay import Below
from buildgraph.fs.tree import Entry, Tree
from buildgraph.image.assemble import Assembled
from buildgraph.image.source import ImageSource
from buildgraph.oci.config import Config, History
from buildgraph.oci.descriptor import CONFIG, MANIFEST, Descriptor, oci_layer_type
from buildgraph.oci.manifest import BASE_DIGEST, BASE_NAME, Manifest
from buildgraph.values import replace

_MOVABLE: Final = ("buildgraph copy ", "buildgraph write ", "COPY ", "ADD ", "WORKDIR ")

T = TypeVar("T")


def rebase(image: ImageSource, old: ImageSource, new: ImageSource, name: str) -> Assembled:
    """``image``, which stands on ``old``, on ``new``; ``name`` is what its annotations then call that base.

    Raises UsageError: ``not-its-base``, ``rebase-command``, ``rebase-platform``.
    """
    config, count = image.config, len(old.config.diff_ids)
    if config.diff_ids[:count] != old.config.diff_ids:
        raise UsageError(
            "not-its-base",
            f"{image.name} does not stand on {old.name}",
            hint="name the base that it was built on with --from",
        )
    if new.config.platform != config.platform:
        raise UsageError(
            "rebase-platform",
            f"{new.name} is for {new.config.platform}, and {image.name} for {config.platform}",
        )
    own = _own_history(config.history, old.config)
    _refuse_commands(image.name, own)
    merged = replace(
        _merged(config, old.config, new.config),
        diff_ids=(*new.config.diff_ids, *config.diff_ids[count:]),
        history=(*new.config.history, *own),
    )
    layers = (*new.manifest.layers, *image.manifest.layers[count:])
    annotations = {
        **image.manifest.annotations,
        BASE_NAME: name,
        BASE_DIGEST: str(new.descriptor.digest),
    }
    return _assembled(merged, layers, annotations)


def _assembled(
    config: Config, layers: Sequence[Descriptor], annotations: Mapping[str, str]
) -> Assembled:
    content = config.to_bytes()
    manifest = Manifest(
        Descriptor(CONFIG, Digest.sha256(content), len(content)),
        tuple(replace(layer, media_type=oci_layer_type(layer.media_type)) for layer in layers),
        annotations=annotations,
    )
    text = manifest.to_bytes()
    descriptor = Descriptor(MANIFEST, Digest.sha256(text), len(text), platform=config.platform)
    return Assembled(config, content, manifest, text, descriptor)


def _own_history(history: Sequence[History], old: Config) -> tuple[History, ...]:
    """What was added above the base: after its entries, or else after as many layers as it has."""
    told = sum(not entry.empty_layer for entry in old.history)
    if told == len(old.diff_ids) and tuple(history[: len(old.history)]) == old.history:
        return tuple(history[len(old.history) :])
    left = len(old.diff_ids)
    for at, entry in enumerate(history):
        if not left:
            return tuple(history[at:])
        left -= not entry.empty_layer
    return ()


def _refuse_commands(name: str, own: Sequence[History]) -> None:
    for entry in own:
        if not entry.empty_layer and not entry.created_by.startswith(_MOVABLE):
            raise UsageError(
                "rebase-command",
                f"{name} has a layer that a command made: {entry.created_by[:80]!r}",
                hint="what a command leaves depends on its base: build the image again instead",
            )


def _merged(image: Config, old: Config, new: Config) -> Config:
    """Three ways: single values, and maps and lists entry by entry."""
    return replace(
        new,
        created=image.created,
        author=image.author or new.author,
        env=tuple(_map(dict(image.env), dict(old.env), dict(new.env)).items()),
        labels=_map(image.labels, old.labels, new.labels),
        exposed=_set(image.exposed, old.exposed, new.exposed),
        volumes=_set(image.volumes, old.volumes, new.volumes),
        user=_one(image.user, old.user, new.user),
        workdir=_one(image.workdir, old.workdir, new.workdir),
        entrypoint=_one(image.entrypoint, old.entrypoint, new.entrypoint),
        cmd=_one(image.cmd, old.cmd, new.cmd),
        stop_signal=_one(image.stop_signal, old.stop_signal, new.stop_signal),
        shell=_one(image.shell, old.shell, new.shell),
        onbuild=_one(image.onbuild, old.onbuild, new.onbuild),
        healthcheck=_one(image.healthcheck, old.healthcheck, new.healthcheck),
        runtime_extra={**new.runtime_extra, **image.runtime_extra},
    )


def _one(image: T, old: T, new: T) -> T:
    return new if image == old else image


def _map(
    image: Mapping[str, str], old: Mapping[str, str], new: Mapping[str, str]
) -> dict[str, str]:
    kept = {key: text for key, text in new.items() if key in image or key not in old}
    return kept | {key: text for key, text in image.items() if old.get(key) != text}


def _set(image: Sequence[str], old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    dropped = set(old) - set(image)
    return tuple(sorted({*new, *(set(image) - set(old))} - dropped))


def misplaced(layer: Tree, old: Below, new: Below) -> bytes | None:
    """The first path of ``layer`` that would have to lie otherwise on ``new`` than it does on ``old``.

    A directory that the layer took from below has that one's attributes, which the new base may have changed; a parent
    may have become a link, or a file a directory.
    """
    for entry in layer:
        if not entry.path or entry.kind == tree.WHITEOUT:
            continue
        was, now = old.lookup(entry.path), new.lookup(entry.path)
        if now is None or now.kind not in _SOLID:
            continue
        if (entry.kind == tree.DIRECTORY) != (now.kind == tree.DIRECTORY):
            return entry.path
        taken = was is not None and _attributes(was) == _attributes(entry)
        if entry.kind == tree.DIRECTORY and taken and _attributes(now) != _attributes(entry):
            return entry.path
    return None


_SOLID: Final = frozenset((tree.DIRECTORY, tree.FILE, tree.SYMLINK, tree.HARDLINK))


def _attributes(entry: Entry) -> tuple[object, ...]:
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs
