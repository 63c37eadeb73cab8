"""Small images made by hand: a layer is real tar, a source serves its blobs from memory."""

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.image.assemble import LayerBlob, assemble
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import LAYER
from buildgraph.store.base import Compressed

AMD = Platform("linux", "amd64")


class Blobs(dict[Digest, bytes]):
    """Blobs in memory; counts what was opened."""

    def __init__(self) -> None:
        self.opened: list[Digest] = []

    def add(self, content: bytes) -> Digest:
        digest = Digest.sha256(content)
        self[digest] = content
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        self.opened.append(digest)
        if digest not in self:
            raise ContentError("blob-missing", f"no blob {digest}")
        return io.BytesIO(self[digest])


def tar_of(files: Mapping[str, str]) -> bytes:
    """``name/`` is a directory, ``name@`` a link to the value, anything else a file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.rstrip("@/"))
            info.mode = 0o755 if name.endswith("/") else 0o644
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            elif name.endswith("@"):
                info.type, info.linkname = tarfile.SYMTYPE, text
            info.size = len(text.encode()) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def layer(blobs: Blobs, tar: bytes, *, compress: bool = True, created_by: str = "") -> LayerBlob:
    content = gzip.compress(tar, 1, mtime=0) if compress else tar
    media_type = LAYER + "+gzip" if compress else LAYER
    compressed = Compressed(blobs.add(content), len(content), media_type)
    return LayerBlob(Digest.sha256(tar), compressed, created_by)


def image(
    layers: Sequence[Mapping[str, str]] = ({"a": "1"},),
    config: Config | None = None,
    *,
    compress: bool = True,
    name: str = "the image",
) -> ImageSource:
    """All of its blobs, the documents too, are at ``image.open_blob``, which is a method of :class:`Blobs`."""
    blobs = Blobs()
    made = assemble(
        config or Config.empty(AMD),
        [layer(blobs, tar_of(files), compress=compress) for files in layers],
    )
    blobs.add(made.config_bytes)
    blobs.add(made.manifest_bytes)
    return ImageSource.of(made, blobs.open, name)


def blobs_of(source: ImageSource) -> Blobs:
    blobs = source.open_blob.__self__  # type: ignore[attr-defined]
    assert isinstance(blobs, Blobs)
    return blobs
