"""Images of the local store, for the commands that list, show, name and check them."""

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from buildgraph.build.blobs import Blobs
from buildgraph.build.registries import Access
from buildgraph.errors import ContentError, UsageError
from buildgraph.image.archive import ImageArchive
from buildgraph.image.layout import Layout
from buildgraph.image.source import ImageSource, OpenBlob, load_image, stored
from buildgraph.image.validate import validate as find_problems
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import INDEXES, Descriptor
from buildgraph.oci.document import decode
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class ImageEntry:
    tag: str
    digest: str
    size: int
    created: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """``diff_id`` is empty for an entry without a layer; ``size`` is the blob's."""

    created_by: str
    size: int
    diff_id: str


class StoredImages:
    """The named images of an open store, by tag or by digest (or its start).

    ``open_blob`` has what the store lacks, where the caller needs more than an image's documents.
    """

    def __init__(self, store: LocalStore, open_blob: OpenBlob | None = None) -> None:
        self.open_blob = open_blob or stored(store.blobs)
        self.names = store.images

    def find(self, ref: str) -> Descriptor:
        """Raises UsageError ``unknown-image`` with near names."""
        known = self.names.list()
        if ref.startswith("sha256:") or (
            len(ref) >= 6 and all(c in "0123456789abcdef" for c in ref)
        ):
            start = ref.removeprefix("sha256:")
            found = {
                d.digest: d for _, d in known if d.digest.removeprefix("sha256:").startswith(start)
            }
            if len(found) == 1:
                return next(iter(found.values()))
        name = Reference.parse(ref).familiar
        descriptor = self.names.resolve(name)
        if descriptor is None:
            import difflib

            near = difflib.get_close_matches(name, [tag for tag, _ in known], n=3)
            hint = (
                f"did you mean {' or '.join(near)}?"
                if near
                else "list them with: buildgraph images"
            )
            raise UsageError("unknown-image", f"the store has no image {ref!r}", hint=hint)
        return descriptor

    def open(self, ref: str) -> ImageSource:
        return self.of(self.find(ref), ref)

    def of(
        self, descriptor: Descriptor, name: str, platform: Platform | None = None
    ) -> ImageSource:
        """Of an image for several platforms that for this machine, where ``platform`` does not say which."""
        if platform is None and descriptor.media_type in INDEXES:
            platform = Platform.of_machine(os.uname().machine)
        return load_image(self.open_blob, (descriptor,), platform, name)

    def name_of(self, ref: str) -> str:
        """The whole name that ``ref`` is, or that its image has; raises what :meth:`find` raises."""
        digest = self.find(ref).digest
        known = [name for name, descriptor in self.names.list() if descriptor.digest == digest]
        with suppress(UsageError):
            if (full := Reference.parse(ref).familiar) in known:
                return full
        return known[0]


def list_images(home: Path) -> list[ImageEntry]:
    """Sorted by name."""
    with LocalStore.open(home) as store:
        images = StoredImages(store)
        return [
            _entry(images, tag, descriptor)
            for tag, descriptor in sorted(images.names.list(), key=_by_name)
        ]


def _by_name(named: tuple[str, Descriptor]) -> str:
    return named[0]


def _entry(images: StoredImages, tag: str, descriptor: Descriptor) -> ImageEntry:
    try:
        source = images.of(descriptor, tag)
    except ContentError:
        return ImageEntry(tag, descriptor.digest, 0, "damaged")
    return ImageEntry(tag, descriptor.digest, _size(source), source.config.created)


def _size(source: ImageSource) -> int:
    parts = (source.manifest.config, *source.manifest.layers)
    return len(source.manifest_bytes) + sum(part.size for part in parts)


def inspect(home: Path, ref: str) -> Mapping[str, Any]:
    with LocalStore.open(home) as store:
        source = StoredImages(store).open(ref)
        return {
            "schema": 1,
            "digest": source.descriptor.digest,
            "size": _size(source),
            "manifest": decode(source.manifest_bytes, ref).rest(),
            "config": decode(source.config_bytes, ref).rest(),
        }


def history(home: Path, ref: str) -> list[HistoryEntry]:
    """Newest first."""
    with LocalStore.open(home) as store:
        source = StoredImages(store).open(ref)
        layers = iter(zip(source.manifest.layers, source.config.diff_ids, strict=True))
        found = []
        for entry in source.config.history:
            layer = None if entry.empty_layer else next(layers, None)
            size, diff_id = (layer[0].size, layer[1]) if layer else (0, "")
            found.append(HistoryEntry(entry.created_by, size, diff_id))
        found += [HistoryEntry("", layer.size, diff_id) for layer, diff_id in layers]
        return found[::-1]


def tag(home: Path, source: str, name: str) -> None:
    with LocalStore.open(home) as store:
        images = StoredImages(store)
        images.names.tag(Reference.parse(name).familiar, images.find(source))


def rmi(home: Path, ref: str) -> None:
    with LocalStore.open(home) as store:
        images = StoredImages(store)
        if not images.names.untag([Reference.parse(ref).familiar]):
            images.find(ref)  # says what is near
            raise UsageError("not-a-name", f"{ref!r} is no name: remove names, not digests")


def validate(home: Path, ref: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with an image of the store, a layout folder (``dir[:tag]``) or an archive; [] when nothing is.

    Layers that only a registry has are fetched.
    """
    with ExitStack() as undo:
        path, _, reference = ref.partition(":")
        for candidate, name in ((Path(ref), ""), (Path(path), reference)):
            if candidate.is_dir():
                return _problems(Layout(candidate).image(name))
            if candidate.is_file():
                archive = undo.enter_context(ImageArchive(candidate))
                return _problems(archive.image(name))
        store = undo.enter_context(LocalStore.open(home))
        blobs = Blobs(store, Access(store, environ or {}, store.observer, undo))
        source = StoredImages(store, blobs.open).open(ref)
        blobs.fetch(layer.digest for layer in source.manifest.layers)
        return _problems(source)


def _problems(source: ImageSource) -> list[str]:
    found = find_problems(source.open_blob, (source.descriptor,), source.name)
    return [f"{problem.subject}: {problem.message} [{problem.code}]" for problem in found]
