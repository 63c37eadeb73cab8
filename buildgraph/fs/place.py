"""How does a tree become files of a snapshot, exactly as the entries say?

Everything is made relative to the root's descriptor, and only in directories that were made here before, so nothing
can be written through a symlink or outside. Attributes of directories come last, deepest first, because what happens
in a directory changes its times and may need more than its mode allows. Whiteouts are character devices 0:0 and opaque
directories carry an attribute, as overlayfs wants its lower directories.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from buildgraph.errors import ContentError, MachineError
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tree import Entry

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT: Final = Entry(b"", tree.DIRECTORY, 0o755)


class Snapshot:
    """Fills the empty directory ``root``; a context manager that closes what it opened.

    Entries come sorted, and directories before what is in them. ``userxattr`` writes opaque markers as
    ``user.overlay.opaque``, for overlays mounted inside a user namespace. A root that is not listed becomes 0755 0:0,
    because the uppermost snapshot's root is the root that a command sees.
    """

    def __init__(self, root: Path, *, userxattr: bool = False) -> None:
        self._path = root
        self._opaque = b"user.overlay.opaque" if userxattr else b"trusted.overlay.opaque"
        self._root = -1
        self._parent = b""
        self._parent_fd = -1
        self._folders: list[Entry] = [_ROOT]

    def __enter__(self) -> Self:
        self._root = os.open(self._path, _FOLDER)
        self._parent_fd = os.dup(self._root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._parent_fd)
        os.close(self._root)

    def create(self, entry: Entry) -> int:
        """A descriptor to write the regular file's content to; :meth:`complete` closes it."""
        folder, name = self._at(entry.path)
        return os.open(name, _NEW_FILE, 0o600, dir_fd=folder)

    def complete(self, entry: Entry, fd: int) -> None:
        """Give a written file its attributes: owner first, because changing it clears setuid and capabilities."""
        try:
            os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode)
            for name, value in entry.xattrs:
                os.setxattr(fd, name, value)
            time = EPOCH_NS if entry.mtime is None else entry.mtime
            os.utime(fd, ns=(time, time))
        finally:
            os.close(fd)

    def add(self, entry: Entry) -> None:
        """Make anything but a regular file."""
        path, kind = entry.path, entry.kind
        if not path:
            self._folders[0] = entry
            return
        folder, name = self._at(path)
        match kind:
            case tree.DIRECTORY | tree.OPAQUE:
                os.mkdir(name, 0o700, dir_fd=folder)
                self._folders.append(entry)
            case tree.HARDLINK:
                os.link(
                    entry.link,
                    name,
                    src_dir_fd=self._root,
                    dst_dir_fd=folder,
                    follow_symlinks=False,
                )
            case tree.SYMLINK:
                os.symlink(entry.link, name, dir_fd=folder)
                self._adorn(entry, folder, name)
            case _:
                self._special(entry, folder, name)

    def _special(self, entry: Entry, folder: int, name: bytes) -> None:
        major, minor = (0, 0) if entry.kind == tree.WHITEOUT else entry.device
        types = {tree.BLOCK: stat.S_IFBLK, tree.FIFO: stat.S_IFIFO}
        try:
            mode = types.get(entry.kind, stat.S_IFCHR)
            os.mknod(name, mode, os.makedev(major, minor), dir_fd=folder)
        except PermissionError as error:
            raise MachineError(
                "no-device",
                f"this user cannot make the device {_shown(entry.path)}",
                hint="run buildgraph as root",
            ) from error
        os.chmod(name, entry.mode, dir_fd=folder)
        self._adorn(entry, folder, name)

    def _adorn(self, entry: Entry, folder: int, name: bytes) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        if entry.kind not in (tree.SYMLINK, tree.WHITEOUT):
            os.chmod(name, entry.mode, dir_fd=folder)
        _set_xattrs(b"/proc/self/fd/%d/%b" % (folder, name), entry.xattrs)
        time = EPOCH_NS if entry.mtime is None else entry.mtime
        os.utime(name, ns=(time, time), dir_fd=folder, follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories their attributes; nothing can be added after that."""
        for entry in reversed(self._folders):
            xattrs = entry.xattrs
            if entry.kind == tree.OPAQUE:
                xattrs = (*xattrs, (self._opaque, b"y"))
            folder, name = (self._root, b".") if not entry.path else self._at(entry.path)
            os.chown(name, entry.uid, entry.gid, dir_fd=folder)
            os.chmod(name, entry.mode, dir_fd=folder)
            _set_xattrs(b"/proc/self/fd/%d/%b" % (folder, name), xattrs)
            time = EPOCH_NS if entry.mtime is None else entry.mtime
            os.utime(name, ns=(time, time), dir_fd=folder)

    def _at(self, path: bytes) -> tuple[int, bytes]:
        parent, _, name = path.rpartition(b"/")
        if parent != self._parent:
            fd = os.open(parent or b".", _FOLDER, dir_fd=self._root)
            os.close(self._parent_fd)
            self._parent_fd = fd
            self._parent = parent
        return self._parent_fd, name


def _set_xattrs(path: bytes, xattrs: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in xattrs:
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            raise ContentError(
                "bad-xattr", f"cannot set {name.decode(errors='replace')}: {error.strerror}"
            ) from error


def _shown(path: bytes) -> str:
    return printable(path)
