"""Where images come from and go to, as ``copy``, ``save`` and ``load`` name it.

    docker://[host[:port]/]path[:tag][@digest]     a registry
    oci:FOLDER[:TAG]                               an OCI layout
    oci-archive:FILE[:TAG]                         a layout in a tar
    docker-archive:FILE[:REFERENCE]                what docker save writes; one platform
    store:REFERENCE                                the local store

An image is read from a place with all its platforms; ``platform`` narrows an index to one of them.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, assert_never

from buildgraph.build.blobs import Blobs
from buildgraph.build.images import StoredImages
from buildgraph.build.remote import Remote
from buildgraph.errors import UsageError
from buildgraph.image.content import Content, narrowed
from buildgraph.names import Platform, Reference
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

FileKind = Literal["oci", "oci-archive", "docker-archive"]


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    reference: Reference

    def __str__(self) -> str:
        return f"docker://{self.reference}"


@dataclass(frozen=True, slots=True)
class FilePlace:
    """``reference`` is a tag or a whole reference, empty when none was written."""

    kind: FileKind
    path: Path
    reference: str = ""

    def __str__(self) -> str:
        tail = f":{self.reference}" if self.reference else ""
        return f"{self.kind}:{self.path}{tail}"


@dataclass(frozen=True, slots=True)
class StorePlace:
    reference: str

    def __str__(self) -> str:
        return f"store:{self.reference}"


Place = RegistryPlace | FilePlace | StorePlace

_KINDS = ("docker", "oci", "oci-archive", "docker-archive", "store")


def is_place(text: str) -> bool:
    """Does it begin as a place does?"""
    return text.partition(":")[0] in _KINDS


def parse_place(text: str, directory: Path) -> Place:
    """Raises UsageError: ``bad-place``, ``bad-reference``."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS or not rest:
        import difflib

        near = difflib.get_close_matches(kind, _KINDS, n=1)
        hint = "write docker://REF, oci:FOLDER[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or store:REF"
        raise UsageError(
            "bad-place",
            f"{text!r} says no place of an image",
            hint=f"did you mean {near[0]}:…? {hint}" if near else hint,
        )
    match kind:
        case "docker":
            return RegistryPlace(Reference.parse(rest.removeprefix("//")))
        case "store":
            return StorePlace(rest)
        case "oci" | "oci-archive" | "docker-archive":
            path, _, reference = rest.partition(":")
            return FilePlace(kind, directory / path, reference)
        case _:
            raise AssertionError(kind)


def require_file(path: Path) -> None:
    """Raises UsageError ``no-such-file``."""
    if not os.path.lexists(path):
        raise UsageError("no-such-file", f"there is nothing at {path}", hint="is the path right?")


class Opener:
    """Opens images wherever they are; what it opened stays open until ``undo`` ends.

    ``own``: of an image in a registry, what the store has is read there.
    """

    def __init__(
        self,
        store: LocalStore,
        remote: Remote,
        blobs: Blobs,
        undo: ExitStack,
        *,
        own: bool = False,
    ) -> None:
        self._store = store
        self._remote = remote
        self._blobs = blobs
        self._undo = undo
        self._own = own

    def open(self, place: Place, platform: Platform | None = None) -> Content:
        """Raises what is wrong with the place or the image there."""
        match place:
            case RegistryPlace():
                return self._remote.content(place.reference, platform, own=self._own)
            case StorePlace():
                images = StoredImages(self._store, self._blobs.open)
                root = images.find(place.reference)
                return narrowed(images.open_blob, (root,), platform, place.reference)
            case FilePlace(kind="oci"):
                from buildgraph.image.layout import Layout, named

                require_file(place.path)
                layout = Layout(place.path)
                roots = named(layout.index().manifests, place.reference, str(place))
                return narrowed(layout.open_blob, roots, platform, str(place))
            case FilePlace():
                return self._archive(place, platform)
            case _:
                assert_never(place)

    def _archive(self, place: FilePlace, platform: Platform | None) -> Content:
        from buildgraph.image.archive import ImageArchive
        from buildgraph.image.layout import named

        require_file(place.path)
        archive = self._undo.enter_context(ImageArchive(place.path, self._store.tmp))
        listed = archive.listed()
        if place.kind == "docker-archive" or listed is None:
            return Content.of(archive.image(place.reference, platform))
        roots = named(listed, place.reference, str(place))
        return narrowed(archive.open_blob, roots, platform, str(place))
