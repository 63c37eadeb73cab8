"""Image archives: an OCI layout in a tar (oci-archive), and what ``docker save`` writes (docker-archive).

Both are written alike, as docker 25 does; ``manifest.json`` is what older ``docker load`` and ``podman load`` look for
and is left out of an oci-archive::

    oci-layout · index.json · manifest.json · blobs/ · blobs/sha256/ · blobs/sha256/<hex> …

    manifest.json   [{"Config": path, "RepoTags": [reference, …], "Layers": [path, …]}, …]

Files are 0644, folders 0755, times 1980, blobs sorted: the bytes depend on the images and names alone. Read are also
the archives of docker before 25, whose config and layers have paths of their own, and any of them compressed.
"""

import hashlib
import io
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, Self

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.fs import tree
from buildgraph.fs.tarball import END, head
from buildgraph.fs.tree import Entry
from buildgraph.image.content import Content
from buildgraph.image.layout import (
    FULL_NAME,
    LAYOUT_FILE,
    REF_NAME,
    check_layout_version,
    copy,
    entries,
    is_called,
    named,
    names_of,
)
from buildgraph.image.members import Members
from buildgraph.image.output import named_by_user, reporting
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from buildgraph.oci.document import LARGEST, Fields, decode, decode_list, encode
from buildgraph.oci.manifest import Index, Manifest
from buildgraph.values import replace

Named = tuple[ImageSource, Sequence[str]]
"""An image and the references under which it is written."""

NamedContent = tuple[Content, Sequence[str]]

_PIECE: Final = 1 << 20


def write_archive(path: Path, images: Sequence[Named], kind: Literal["oci", "docker"]) -> None:
    """Make or replace the file at ``path``; UsageError ``output-refused``, MachineError ``no-space``."""
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with named_by_user(path) as file:
            stream_archive(file, images, kind)


def stream_archive(file: BinaryIO, images: Sequence[Named], kind: Literal["oci", "docker"]) -> None:
    """The same into a stream that is open."""
    docker = [_docker_entry(*image) for image in images] if kind == "docker" else None
    _stream(file, [(Content.of(image), names) for image, names in images], docker)


def write_oci_archive(path: Path, images: Sequence[NamedContent]) -> None:
    """An ``oci-archive`` of images with all their platforms; raises as :func:`write_archive`."""
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with named_by_user(path) as file:
            _stream(file, images, None)


def _stream(
    file: BinaryIO, images: Sequence[NamedContent], docker: list[dict[str, Any]] | None
) -> None:
    listed = tuple(
        entry
        for image, names in images
        for entry in (entries(image, names) if names or docker is None else (image.root,))
    )
    _put(file, "oci-layout", LAYOUT_FILE)
    _put(file, "index.json", Index(listed).to_bytes())
    if docker is not None:
        _put(file, "manifest.json", encode(docker))
    file.writelines(
        head(Entry(name, tree.DIRECTORY, 0o755)) for name in (b"blobs", b"blobs/sha256")
    )
    documents = {d.digest: content for image, _ in images for d, content in image.documents}
    layers = {layer.digest: (image, layer) for image, _ in images for layer in image.layers}
    for digest in sorted({*documents, *layers}):
        if digest in documents:
            _put(file, _blob_path(digest), documents[digest])
            continue
        image, layer = layers[digest]
        file.write(head(_file(_blob_path(digest)), layer.size))
        with image.open_layer(layer) as stream:
            copy(stream, file)
        file.write(bytes(-layer.size % 512))
    file.write(END)


def _docker_entry(image: ImageSource, names: Sequence[str]) -> dict[str, Any]:
    return {
        "Config": _blob_path(image.manifest.config.digest),
        "RepoTags": [Reference.parse(name).familiar for name in names],
        "Layers": [_blob_path(layer.digest) for layer in image.manifest.layers],
    }


def _blob_path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _file(name: str) -> Entry:
    return Entry(name.encode(), tree.FILE, 0o644)


def _put(file: BinaryIO, name: str, content: bytes) -> None:
    file.write(head(_file(name), len(content)) + content + bytes(-len(content) % 512))


class ImageArchive:
    """An existing archive, for reading; a context manager, and its images are readable while it is open.

    ``tmp`` is where a compressed one is unpacked to (a file without a name). Raises ContentError
    (``not-an-archive``, ``archive-…``, ``bad-compression``).
    """

    def __init__(self, path: Path, tmp: Path | None = None) -> None:
        self.path = path
        self.members = Members(path, tmp)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.members.close()

    def image(self, reference: str = "", platform: Platform | None = None) -> ImageSource:
        """The image of that name (or ``sha256:…`` digest); without one, the only image there is."""
        name = f"{self.path}:{reference}" if reference else str(self.path)
        images = self.listed()
        if images and (
            not reference or any(is_called(reference, (*names_of(i), i.digest)) for i in images)
        ):
            return load_image(self.open_blob, named(images, reference, name), platform, name)
        if "manifest.json" in self.members:
            return _docker_image(self.members, self._docker_entry(reference, name), platform, name)
        if images is not None:
            named(images, reference, name)
        raise ContentError(
            "not-an-archive",
            f"{self.path} holds neither index.json nor manifest.json",
            hint="an archive of an image is made by docker save, skopeo copy or buildgraph build -o type=oci-archive",
        )

    def listed(self) -> tuple[Descriptor, ...] | None:
        """What the archive's index.json lists; None when it is no OCI layout."""
        if "oci-layout" not in self.members or "index.json" not in self.members:
            return None
        layout = decode(self._read("oci-layout"), f"{self.path}, oci-layout")
        check_layout_version(layout.text("imageLayoutVersion"), str(self.path))
        return Index.parse(self._read("index.json"), "", f"{self.path}, index.json").manifests

    def all_images(self) -> Iterator[tuple[Content, tuple[str, ...]]]:
        """Everything in it, each once, with the references that it has there."""
        if (listed := self.listed()) is not None:
            for root in {root.digest: root for root in listed}.values():
                same = [one for one in listed if one.digest == root.digest]
                names = dict.fromkeys(n for one in same if (n := _whole_name(one)))
                content = Content.load(
                    self.open_blob, replace(root, annotations={}), str(self.path)
                )
                yield content, tuple(names)
            return
        found = decode_list(self._read("manifest.json"), f"{self.path}, manifest.json")
        for entry in found:
            image = _docker_image(self.members, entry, None, str(self.path))
            yield Content.of(image), tuple(entry.texts("RepoTags") or ())

    def docker_images(self) -> Iterator[ImageSource]:
        """The images of ``manifest.json``, in its order; none without that file."""
        if "manifest.json" in self.members:
            for entry in decode_list(self._read("manifest.json"), f"{self.path}, manifest.json"):
                yield _docker_image(self.members, entry, None, str(self.path))

    def open_blob(self, digest: Digest) -> BinaryIO:
        return self.members.open(_blob_path(digest))

    def _read(self, name: str) -> bytes:
        with self.members.open(name) as stream:
            return stream.read(LARGEST + 1)  # decoding refuses what is longer

    def _docker_entry(self, reference: str, name: str) -> Fields:
        """The entry of manifest.json that ``reference`` means."""
        found = decode_list(self._read("manifest.json"), f"{self.path}, manifest.json")
        tags = [entry.texts("RepoTags") or () for entry in found]
        fit = [
            e
            for e, has in zip(found, tags, strict=True)
            if not reference or is_called(reference, has)
        ]
        known = ", ".join(sorted(tag for has in tags for tag in has))
        if not fit:
            hint = f"it holds: {known}" if known else "the images in it have no names"
            raise UsageError("image-missing", f"{name}: there is no such image", hint=hint)
        if len(fit) > 1:
            hint = f"name one: {known}"
            raise UsageError("image-ambiguous", f"{name} holds {len(fit)} images", hint=hint)
        return fit[0]


def _whole_name(descriptor: Descriptor) -> str:
    """A reference that says more than a tag; empty when there is none."""
    full = descriptor.annotations.get(FULL_NAME, "")
    name = descriptor.annotations.get(REF_NAME, "")
    return full or (name if "/" in name or ":" in name else "")


def _docker_image(
    members: Members, entry: Fields, platform: Platform | None, name: str
) -> ImageSource:
    """An image of docker's own form, for which a manifest is made here."""
    path = entry.text("Config")
    with members.open(path) as stream:
        config_bytes = stream.read(LARGEST + 1)
    _check_config_name(path, config_bytes, name)
    config = Config.parse(config_bytes, f"the config of {name}")
    paths = entry.texts("Layers") or ()
    if len(paths) != len(config.diff_ids):
        raise ContentError(
            "bad-image",
            f"{name}: it lists {len(paths)} layers, its config {len(config.diff_ids)} diff IDs",
        )
    places: dict[Digest, str] = {}
    layers = []
    for layer, diff_id in zip(paths, config.diff_ids, strict=True):
        described = _describe_layer(members, layer, diff_id)
        places[described.digest] = layer
        layers.append(described)
    manifest = Manifest(
        Descriptor(CONFIG, Digest.sha256(config_bytes), len(config_bytes)), tuple(layers)
    )
    content = manifest.to_bytes()
    documents = {
        manifest.config.digest: config_bytes,
        Digest.sha256(content): content,
    }

    def open_blob(digest: Digest) -> BinaryIO:
        if digest in documents:
            return io.BytesIO(documents[digest])
        return members.open(places.get(digest, _blob_path(digest)))

    root = Descriptor(MANIFEST, Digest.sha256(content), len(content), platform=config.platform)
    return load_image(open_blob, (root,), platform, name)


def _check_config_name(path: str, content: bytes, name: str) -> None:
    """docker names a config by its digest; a name that looks like one must be it."""
    stem = posixpath.basename(path).removesuffix(".json")
    if len(stem) == 64 and stem != Digest.sha256(content).hex:
        raise ContentError("blob-damaged", f"{name}: {path} has other bytes than its name says")


def _describe_layer(members: Members, path: str, diff_id: Digest) -> Descriptor:
    """By its first bytes; an uncompressed layer's digest is its diff ID, a compressed one is read to learn it."""
    with members.open(path) as stream:
        start = stream.read(4)
        size = stream.seek(0, os.SEEK_END)
        suffix = "+gzip" if start.startswith(b"\x1f\x8b") else ""
        suffix = "+zstd" if start == b"\x28\xb5\x2f\xfd" else suffix
        if not suffix:
            return Descriptor(LAYER, diff_id, size)
        stream.seek(0)
        found = hashlib.sha256()
        while content := stream.read(_PIECE):
            found.update(content)
    return Descriptor(LAYER + suffix, Digest("sha256:" + found.hexdigest()), size)
