"""Images of the local store: found by name or digest, listed, named and forgotten."""

import os
from contextlib import suppress
from pathlib import Path

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.image.source import (
    ImageSource,
    OpenBlob,
    listed_platforms,
    load_image,
    read_document,
    stored,
)
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import INDEXES, Descriptor
from buildgraph.store.local import LocalStore
from buildgraph.store.reading import reading
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class ImageEntry:
    tag: str
    digest: str
    size: int
    created: str


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

    def platforms(self, descriptor: Descriptor, name: str) -> tuple[Platform, ...]:
        """Those that an index lists; none for a manifest. Raises ContentError."""
        if descriptor.media_type not in INDEXES:
            return ()
        return listed_platforms(read_document(self.open_blob, descriptor, name), name)

    def first(self, descriptor: Descriptor, name: str) -> ImageSource | None:
        """The first image of an index; None where there is none, or it is damaged."""
        try:
            platforms = self.platforms(descriptor, name)
            return self.of(descriptor, name, platforms[0]) if platforms else None
        except (ContentError, UsageError):  # its image may be for another platform than it says
            return None

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
    with reading(home) as store:
        images = StoredImages(store)
        return [
            _entry(images, tag, descriptor)
            for tag, descriptor in sorted(images.names.list(), key=_by_name)
        ]


def _by_name(named: tuple[str, Descriptor]) -> str:
    return named[0]


def _entry(images: StoredImages, tag: str, descriptor: Descriptor) -> ImageEntry:
    """Of an index without an image for this machine, its first one."""
    try:
        source = images.of(descriptor, tag)
    except (ContentError, UsageError):
        first = images.first(descriptor, tag)
        if first is None:
            return ImageEntry(tag, descriptor.digest, 0, "damaged")
        source = first
    return ImageEntry(tag, descriptor.digest, size_of(source), source.config.created)


def size_of(source: ImageSource) -> int:
    parts = (source.manifest.config, *source.manifest.layers)
    return len(source.manifest_bytes) + sum(part.size for part in parts)


def tag(home: Path, source: str, name: str) -> None:
    with LocalStore.open(home) as store:
        images = StoredImages(store)
        found = images.find(source)
        images.names.tag(new_name(name, found.digest), found)


def new_name(name: str, digest: Digest) -> str:
    """The whole name for an image of that digest. Raises UsageError ``other-digest`` where the name says another."""
    reference = Reference.parse(name)
    if reference.digest not in ("", digest):
        raise UsageError(
            "other-digest",
            f"{name} names another image than {digest}",
            hint="leave the digest out; an image keeps its own",
        )
    return reference.familiar


def rmi(home: Path, ref: str) -> None:
    with LocalStore.open(home) as store:
        images = StoredImages(store)
        if not images.names.untag([Reference.parse(ref).familiar]):
            images.find(ref)  # says what is near
            raise UsageError("not-a-name", f"{ref!r} is no name: remove names, not digests")
