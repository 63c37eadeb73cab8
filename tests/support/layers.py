"""Small layers for tests: items from memory, their tar as bytes, and what a tar or a folder holds."""

import io
import os
import stat
import tarfile
from pathlib import Path

from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, Packed, pack
from buildgraph.fs.tree import Entry


def file(path: str | bytes, content: bytes = b"", mode: int = 0o644, **fields) -> Item:
    return Item(Entry(_bytes(path), tree.FILE, mode, **fields), data=content)


def folder(path: str | bytes, mode: int = 0o755, **fields) -> Item:
    return Item(Entry(_bytes(path), tree.DIRECTORY, mode, **fields))


def other(path: str | bytes, kind: str, mode: int = 0o644, **fields) -> Item:
    return Item(Entry(_bytes(path), kind, mode, **fields))


def link(path: str | bytes, target: bytes, **fields) -> Item:
    return other(path, tree.SYMLINK, 0o777, link=target, **fields)


def hard(path: str | bytes, first: bytes, mode: int = 0o644, **fields) -> Item:
    return other(path, tree.HARDLINK, mode, link=first, **fields)


def whiteout(path: str | bytes) -> Item:
    return other(path, tree.WHITEOUT, 0)


def tar_of(items: list[Item], folder: Path) -> tuple[bytes, Packed]:
    blob = folder / "tar"
    packed = pack(items, codec=Codec("none"), blob=blob)
    return blob.read_bytes(), packed


def members(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as archive:
        return archive.getmembers()


def listing(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything about every path below ``root``: mode, owner, time, inode partition, content, link, xattrs."""
    base = os.fsencode(root)
    found: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, bytes] = {}
    for path in sorted(_walk(base)):
        place = base + b"/" + path if path else base
        status = os.lstat(place)
        content: object = b""
        if stat.S_ISREG(status.st_mode):
            with open(place, "rb") as stream:
                content = stream.read()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(place)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            content = status.st_rdev
        alone = stat.S_ISDIR(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not content)
        partition = b"" if alone else first.setdefault(status.st_ino, path)
        xattrs = {n: os.getxattr(place, n, follow_symlinks=False) for n in _names(place)}
        found[path] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            partition,
            content,
            xattrs,
        )
    return found


def _names(place: bytes) -> list[str]:
    names = os.listxattr(place, follow_symlinks=False)
    return [name for name in names if name != "security.selinux"]


def _walk(base: bytes) -> list[bytes]:
    found = [b""]
    pending = [b""]
    while pending:
        at = pending.pop()
        with os.scandir(base + b"/" + at) as entries:
            for entry in entries:
                path = at + b"/" + entry.name if at else entry.name
                found.append(path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
    return found


def _bytes(path: str | bytes) -> bytes:
    return path.encode() if isinstance(path, str) else path
