"""Images of real layers: packed as a build packs them, with busybox so that they can be started."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.tree import Entry, Tree
from buildgraph.image.assemble import LayerBlob, assemble
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.store.base import Compressed

if TYPE_CHECKING:
    from buildgraph.digest import Digest

AMD = Platform("linux", "amd64")
BUSYBOX = Path("/bin/busybox")


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Item:
    return Item(Entry(path.encode(), tree.DIRECTORY, mode, uid, gid))


def file(path: str, text: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Item:
    return Item(Entry(path.encode(), tree.FILE, mode, uid, gid), data=text.encode())


def link(path: str, target: str) -> Item:
    return Item(Entry(path.encode(), tree.SYMLINK, 0o777, link=target.encode()))


def hard(path: str, first: str) -> Item:
    return Item(Entry(path.encode(), tree.HARDLINK, link=first.encode()))


def gone(path: str) -> Item:
    return Item(Entry(path.encode(), tree.WHITEOUT))


def root() -> list[Item]:
    """A merged-usr root whose shell is busybox, with the modes that a careless layer breaks."""
    return [
        link("bin", "usr/bin"),
        directory("etc"),
        file("etc/group", "root:x:0:\n"),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        directory("root", 0o700),
        directory("tmp", 0o1777),
        directory("usr"),
        directory("usr/bin"),
        Item(Entry(b"usr/bin/busybox", tree.FILE, 0o755), bytes(BUSYBOX)),
        *(hard(f"usr/bin/{name}", "usr/bin/busybox") for name in ("cat", "ls", "sh", "stat")),
    ]


class PackedImage:
    """The image of ``layers``; blobs and snapshots lie in ``folder``."""

    def __init__(
        self,
        folder: Path,
        layers: Sequence[Sequence[Item]],
        config: Config | None = None,
        codec: Literal["gzip", "zstd", "none"] = "gzip",
    ) -> None:
        self.stack: list[tuple[Tree, Path]] = []
        self._blobs: dict[Digest, Path] = {}
        described = []
        for number, items in enumerate(layers):
            snapshot, blob = folder / f"snapshot{number}", folder / f"blob{number}"
            snapshot.mkdir(parents=True)
            packed = pack(
                sorted(items, key=lambda item: item.entry.path),
                codec=Codec(codec),
                blob=blob,
                snapshot=snapshot,
            )
            assert packed.blob is not None
            self.stack.append((packed.tree, snapshot))
            self._blobs[packed.blob.digest] = blob
            compressed = Compressed(packed.blob.digest, packed.blob.size, packed.blob.media_type)
            described.append(LayerBlob(packed.diff_id, compressed, f"layer {number}"))
        made = assemble(config or Config.empty(AMD), described)
        self.source = ImageSource.of(made, lambda digest: self._blobs[digest].open("rb"))
