"""What lay under a command's changes? One question, two ways to answer it, both held by the same tests.

:class:`Mounted` looks at a read-only view of the stack; it is what the kernel shows. :class:`Listed` asks the trees of
the stack's layers, which saves mounting that view for every command; it knows no times.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from buildgraph.fs import tree
from buildgraph.fs.lay import Below
from buildgraph.fs.tree import Entry

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOREIGN_ATTRIBUTES: Final = (
    b"trusted.overlay.",
    b"user.overlay.",
    b"security.selinux",
    b"security.evm",
    b"security.SMACK64",
    b"system.nfs4_acl",
)
KINDS: Final = {
    stat.S_IFREG: tree.FILE,
    stat.S_IFDIR: tree.DIRECTORY,
    stat.S_IFLNK: tree.SYMLINK,
    stat.S_IFCHR: tree.CHAR,
    stat.S_IFBLK: tree.BLOCK,
    stat.S_IFIFO: tree.FIFO,
}
_PIECE: Final = 1 << 18
_DIRECTORIES: Final = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE))
_PLAIN_ROOT: Final = (0o755, 0, 0)

Inode = tuple[int, int] | bytes
"""What two names share when they are hard links of each other."""


class Under(Protocol):
    """The filesystem below, whose root always exists."""

    def there(self, path: bytes) -> bool: ...

    def is_directory(self, path: bytes) -> bool: ...

    def same(self, entry: Entry, source: bytes) -> bool:
        """Whether ``entry.path`` is there with the attributes of ``entry`` and the content of the file ``source``."""

    def inode(self, path: bytes) -> Inode | None: ...

    def names(self, folder: bytes) -> Iterable[bytes]: ...


class Nothing:
    """An empty filesystem."""

    def there(self, path: bytes) -> bool:
        return not path

    def is_directory(self, path: bytes) -> bool:
        return not path

    def same(self, entry: Entry, source: bytes) -> bool:  # noqa: ARG002 - there is no content
        return (
            not entry.path
            and (entry.mode, entry.uid, entry.gid) == _PLAIN_ROOT
            and not entry.xattrs
            and entry.mtime is None
        )

    def inode(self, path: bytes) -> Inode | None:  # noqa: ARG002 - there are no files
        return None

    def names(self, folder: bytes) -> Iterable[bytes]:  # noqa: ARG002 - there are no files
        return ()


class Listed:
    """A stack by the trees of its layers."""

    def __init__(self, below: Below) -> None:
        self._below = below

    def there(self, path: bytes) -> bool:
        return self._below.lookup(path) is not None

    def is_directory(self, path: bytes) -> bool:
        found = self._below.lookup(path)
        return found is not None and found.kind in _DIRECTORIES

    def same(self, entry: Entry, source: bytes) -> bool:
        found = self._below.lookup(entry.path)
        if found is None or entry.mtime is not None:
            return False
        kind = tree.FILE if found.kind == tree.HARDLINK else found.kind
        kind = tree.DIRECTORY if kind in _DIRECTORIES else kind
        if (kind, found.uid, found.gid) != (entry.kind, entry.uid, entry.gid):
            return False
        if kind != tree.SYMLINK and found.mode != entry.mode:
            return False
        if _own(found.xattrs) != entry.xattrs:
            return False
        if kind == tree.SYMLINK:
            return found.link == entry.link
        if kind in (tree.CHAR, tree.BLOCK):
            return found.device == entry.device
        if kind != tree.FILE:
            return True
        return found.size == entry.size and found.content == _content(source)

    def inode(self, path: bytes) -> Inode | None:
        found = self._below.lookup(path)
        if found is None:
            return None
        return found.link if found.kind == tree.HARDLINK else path

    def names(self, folder: bytes) -> Iterable[bytes]:
        return self._below.names(folder)


class Mounted:
    """A stack by a read-only view of it."""

    def __init__(self, view: Path) -> None:
        self._root = os.fsencode(view) + b"/"

    def there(self, path: bytes) -> bool:
        return self._lstat(path) is not None

    def is_directory(self, path: bytes) -> bool:
        found = self._lstat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def same(self, entry: Entry, source: bytes) -> bool:
        path, kind, mode, uid, gid, size, _, link, xattrs, device, mtime = entry
        found = self._lstat(path)
        place = self._root + path
        return (
            found is not None
            and KINDS.get(stat.S_IFMT(found.st_mode)) == kind
            and (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, uid, gid)
            and (mtime is None or mtime == found.st_mtime_ns)
            and (kind not in "cb" or (os.major(found.st_rdev), os.minor(found.st_rdev)) == device)
            and (kind != tree.SYMLINK or os.readlink(place) == link)
            and (kind != tree.FILE or found.st_size == size)
            and attributes(place, attribute_names(place)) == xattrs
            and (kind != tree.FILE or _equal(source, place, size))
        )

    def inode(self, path: bytes) -> Inode | None:
        found = self._lstat(path)
        return None if found is None else (found.st_dev, found.st_ino)

    def names(self, folder: bytes) -> Iterable[bytes]:
        return os.listdir(self._root + folder)

    def _lstat(self, path: bytes) -> os.stat_result | None:
        try:
            return os.lstat(self._root + path)
        except FileNotFoundError:
            return None


def attribute_names(path: bytes) -> list[bytes]:
    return [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)]


def attributes(path: bytes, names: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """The xattrs that belong to a layer, sorted."""
    if not names:
        return ()
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(names)
        if not name.startswith(FOREIGN_ATTRIBUTES)
    )


def _own(xattrs: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(pair for pair in xattrs if not pair[0].startswith(FOREIGN_ATTRIBUTES))


def _content(path: bytes) -> str:
    """The hex BLAKE3 of a regular file."""
    from blake3 import blake3

    hasher = blake3()
    fd = os.open(path, READ)
    with open(fd, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return hasher.hexdigest()


def _equal(one: bytes, other: bytes, size: int) -> bool:
    """Whether two regular files of ``size`` bytes have one content."""
    if not size:
        return True
    first = os.open(one, READ)
    try:
        second = os.open(other, READ)
        try:
            while content := os.read(first, min(size, _PIECE)):
                if content != os.read(second, len(content)):
                    return False
        finally:
            os.close(second)
    finally:
        os.close(first)
    return True
