"""What is in an image, and is it sound? For ``inspect``, ``history`` and ``validate``, wherever the image is.

A name is one of the images of the store; else a place as ``copy`` takes it (``docker://REF``, ``oci:FOLDER`` …). A path
will do to validate. Of an image for several platforms, inspect and history show the one for this machine.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from buildgraph.build.blobs import Blobs
from buildgraph.build.images import StoredImages, size_of
from buildgraph.build.places import Opener, Place, StorePlace, is_place, parse_place
from buildgraph.build.registries import Access
from buildgraph.errors import UsageError
from buildgraph.image.archive import ImageArchive
from buildgraph.image.content import Content
from buildgraph.image.layout import Layout, named
from buildgraph.image.source import (
    ImageSource,
    OpenBlob,
    listed_platforms,
    load_image,
    read_document,
)
from buildgraph.image.validate import validate as find_problems
from buildgraph.names import Platform
from buildgraph.oci.descriptor import INDEXES, Descriptor
from buildgraph.oci.document import decode
from buildgraph.store.reading import reading
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """``diff_id`` is empty for an entry without a layer; ``size`` is the blob's."""

    created_by: str
    size: int
    diff_id: str


class _Look:
    """One command's view of the places of images; what it opens stays open until ``undo`` ends."""

    def __init__(self, home: Path, environ: Mapping[str, str], undo: ExitStack) -> None:
        self._store = undo.enter_context(reading(home))
        self._access = Access(self._store, environ, self._store.observer, undo)
        self.blobs = Blobs(self._store, self._access)
        self.images = StoredImages(self._store, self.blobs.open)
        self._undo = undo

    def place(self, ref: str) -> Place | None:
        """None for a name of the store; a name that looks like a place is a name."""
        if not is_place(ref):
            return None
        try:
            self.images.find(ref)
        except UsageError:
            return parse_place(ref, Path.cwd())
        return None

    def content(self, place: Place) -> Content:
        return Opener(self._store, self._access.remote, self.blobs, self._undo).open(place)

    def root(self, ref: str) -> tuple[Descriptor, OpenBlob]:
        """What the name or place names: a manifest or an index."""
        place = self.place(ref)
        if isinstance(place, StorePlace):
            ref, place = place.reference, None
        if place is None:
            return self.images.find(ref), self.blobs.open
        content = self.content(place)
        return content.root, content.open_any

    def image(self, ref: str) -> ImageSource:
        """The image for this machine; of an index that has none for it, the first one."""
        root, open_blob = self.root(ref)
        if root.media_type not in INDEXES:
            return load_image(open_blob, (root,), None, ref)
        platforms = listed_platforms(read_document(open_blob, root, ref), ref)
        here = Platform.of_machine(os.uname().machine)
        if platforms and not any((p.os, p.arch) == (here.os, here.arch) for p in platforms):
            here = platforms[0]
        return load_image(open_blob, (root,), here, ref)


def inspect(home: Path, ref: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Of an image for several platforms ``index`` says what there is, and the rest is that for this machine."""
    with ExitStack() as undo:
        look = _Look(home, environ, undo)
        root, open_blob = look.root(ref)
        source = look.image(ref)
        told: dict[str, Any] = {
            "schema": 1,
            "digest": source.descriptor.digest,
            "size": size_of(source),
            "manifest": decode(source.manifest_bytes, ref).rest(),
            "config": decode(source.config_bytes, ref).rest(),
        }
        if root.media_type in INDEXES:
            index = decode(read_document(open_blob, root, ref), ref).rest()
            told["index"] = {"digest": root.digest, **index}
        return told


def history(home: Path, ref: str, environ: Mapping[str, str]) -> list[HistoryEntry]:
    """Newest first."""
    with ExitStack() as undo:
        source = _Look(home, environ, undo).image(ref)
        layers = iter(zip(source.manifest.layers, source.config.diff_ids, strict=True))
        found = []
        for entry in source.config.history:
            layer = None if entry.empty_layer else next(layers, None)
            size, diff_id = (layer[0].size, layer[1]) if layer else (0, "")
            found.append(HistoryEntry(entry.created_by, size, diff_id))
        found += [HistoryEntry("", layer.size, diff_id) for layer, diff_id in layers]
        return found[::-1]


def validate(home: Path, ref: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with an image in any place; [] when nothing is. ``PATH[:TAG]`` is enough for a layout or archive.

    Layers that only a registry has are fetched for an image of the store, and streamed for one of the registry.
    """
    with ExitStack() as undo:
        path, _, reference = ref.partition(":")
        for candidate, name in ((Path(ref), ""), (Path(path), reference)):
            if candidate.is_dir():
                layout = Layout(candidate)
                roots = named(layout.index().manifests, name, str(candidate))
                return _found(layout.open_blob, roots, str(candidate))
            if candidate.is_file():
                archive = undo.enter_context(ImageArchive(candidate))
                return _archived(archive, name)
        look = _Look(home, environ or {}, undo)
        place = look.place(ref)
        if place is not None:
            content = look.content(place)
            return _found(content.open_any, (content.root,), content.name)
        root = look.images.find(ref)
        whole = Content.load(look.blobs.open, root, ref)
        look.blobs.fetch(layer.digest for layer in whole.layers)
        return _found(look.blobs.open, (root,), ref)


def _archived(archive: ImageArchive, name: str) -> list[str]:
    """A layout in a tar with all its platforms, else the image of docker's own form."""
    listed = archive.listed()
    if listed and any(one.media_type in INDEXES for one in listed):
        return _found(archive.open_blob, named(listed, name, str(archive.path)), str(archive.path))
    source = archive.image(name)
    return _found(source.open_blob, (source.descriptor,), source.name)


def _found(open_blob: OpenBlob, roots: Sequence[Descriptor], name: str) -> list[str]:
    found = find_problems(open_blob, roots, name)
    return [f"{problem.subject}: {problem.message} [{problem.code}]" for problem in found]
