"""Makes the files of a layer in an empty directory, in the form that overlayfs mounts.

Whiteouts are character devices 0,0, and an opaque directory has the attribute ``trusted.overlay.opaque`` (or
``user.overlay.opaque``, where a user namespace mounts it). Directories are 0700 while they are filled and get their
attributes at the end, deepest first. Every file is made new, by its name in an open directory: nothing that an
archive put there is ever followed, written to, or waited for.
"""

import os
from pathlib import Path
from stat import S_IFBLK, S_IFCHR, S_IFIFO, S_ISGID
from types import TracebackType
from typing import Final, Self

from blake3 import blake3

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.layernode import Node
from buildgraph.fs.layertree import Place
from buildgraph.fs.rooted import Rooted, shown
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tarread import Archive

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INITIAL_USER_NAMESPACE: Final = 0xEFFFFFFD  # PROC_USER_INIT_INO
_FORMATS: Final = {tree.CHAR: S_IFCHR, tree.BLOCK: S_IFBLK, tree.FIFO: S_IFIFO}


class SnapshotWriter:
    """A context manager; leaving it with an error empties the directory again. Raises ``OSError``."""

    def __init__(self, root: Path, *, userxattr: bool | None, keep_times: bool) -> None:
        self._root = Rooted(root)
        if userxattr is None:
            userxattr = os.stat("/proc/self/ns/user").st_ino != _INITIAL_USER_NAMESPACE
        self._opaque = b"user.overlay.opaque" if userxattr else b"trusted.overlay.opaque"
        self._keep_times = keep_times
        self._current: Node | None = None
        self._fd = -1
        found = os.fstat(self._root.fd)
        inherits = found.st_gid != os.getegid() or found.st_mode & S_ISGID
        self._own = None if inherits else (os.geteuid(), os.getegid())
        """Owner and group that a new file has anyway."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        with self._root:
            if error is not None:
                self._root.clear()

    def make(self, place: Place, archive: Archive) -> None:
        """Files take their content from the archive's current member."""
        if place.before is not None:
            self._remove(place)
        node = place.node
        if place.target is not None:
            self._link(place, *place.target)
        elif node.kind == tree.FILE:
            self._file(place, archive)
        elif node.children is not None:
            os.mkdir(place.name, 0o700, dir_fd=self._enter(place.parent))
        else:
            self._other(place)

    def imply(self, place: Place) -> None:
        if place.before is not None:
            self._remove(place)
        os.mkdir(place.name, 0o700, dir_fd=self._enter(place.parent))

    def finish(self, node: Node) -> None:
        """Give a directory its attributes; those in it come first."""
        self._leave()
        fd = self._root.open_exact(node.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchown(fd, node.uid, node.gid)
            if node.xattrs:
                _describe(fd, node, node.path)
            if node.kind == tree.OPAQUE:
                os.setxattr(fd, self._opaque, b"y")
            os.fchmod(fd, node.mode)
            time = self._time(node)
            os.utime(fd, ns=(time, time))
        finally:
            os.close(fd)

    def _enter(self, node: Node) -> int:
        """A descriptor of the directory that is being filled; members mostly come directory by directory."""
        if self._current is not node:
            self._leave()
            self._fd = self._root.open_exact(node.path, _DIRECTORY)
            self._current = node
        return self._fd

    def _leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._current = None

    def _remove(self, place: Place) -> None:
        fd = self._enter(place.parent)
        if place.before is None or place.before.children is None:
            os.unlink(place.name, dir_fd=fd)
        else:
            self._root.clear(place.before.path)
            os.rmdir(place.name, dir_fd=fd)

    def _file(self, place: Place, archive: Archive) -> None:
        node = place.node
        fd = os.open(place.name, _NEW, 0o600, dir_fd=self._enter(place.parent))
        try:
            view = archive.chunk()
            hasher = blake3(view)
            while view:
                written = os.write(fd, view)
                while written < len(view):
                    written += os.write(fd, view[written:])
                view = archive.chunk()
                if view:
                    hasher.update(view)
            node.content = hasher.hexdigest()
            if (node.uid, node.gid) != self._own:
                os.fchown(fd, node.uid, node.gid)
            os.fchmod(fd, node.mode)
            if node.xattrs:
                _describe(fd, node, place.name)
            time = self._time(node)
            os.utime(fd, ns=(time, time))
        finally:
            os.close(fd)

    def _link(self, place: Place, parent: Node, name: bytes) -> None:
        fd = self._enter(place.parent)
        if parent is place.parent:
            os.link(name, place.name, src_dir_fd=fd, dst_dir_fd=fd, follow_symlinks=False)
            return
        source = self._root.open_exact(parent.path, _DIRECTORY)
        try:
            os.link(name, place.name, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(source)

    def _other(self, place: Place) -> None:
        """A symlink, device, FIFO or whiteout."""
        node, name, fd = place.node, place.name, self._enter(place.parent)
        if node.kind == tree.SYMLINK:
            os.symlink(node.link, name, dir_fd=fd)
        elif node.kind == tree.WHITEOUT:
            os.mknod(name, S_IFCHR, 0, dir_fd=fd)
        else:
            device = os.makedev(*node.device)
            os.mknod(name, _FORMATS[node.kind] | 0o600, device, dir_fd=fd)
        if (node.uid, node.gid) != self._own:
            os.chown(name, node.uid, node.gid, dir_fd=fd, follow_symlinks=False)
        if node.kind in _FORMATS:
            os.chmod(name, node.mode, dir_fd=fd)  # made here just now, so it is no symlink
        if node.xattrs:
            _describe(b"/proc/self/fd/%d/%s" % (fd, name), node, name)
        time = self._time(node)
        os.utime(name, ns=(time, time), dir_fd=fd, follow_symlinks=False)

    def _time(self, node: Node) -> int:
        return node.mtime if self._keep_times else EPOCH_NS


def _describe(target: int | bytes, node: Node, path: bytes) -> None:
    """Set the attributes of ``target``, a descriptor or a path whose last name is not followed."""
    follow = isinstance(target, int)
    for name, value in node.xattrs:
        try:
            os.setxattr(target, name, value, follow_symlinks=follow)
        except OSError as error:
            text = name.decode("utf-8", "backslashreplace")
            raise ContentError(
                "archive-xattr",
                f"{shown(path)} cannot have the attribute {text}: {error.strerror}",
                hint="the file system of the store, or the user, does not allow it",
            ) from error
