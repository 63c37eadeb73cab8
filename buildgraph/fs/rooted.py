"""What is at this path of a root filesystem that somebody else filled?

A path below a root is given as bytes, with or without a leading slash. The root stands for ``/``: absolute symlinks
start again at it and ``..`` stops at it, as after chroot(2), so nothing outside of it is ever looked at. The kernel
does this in one call (openat2(2), Linux 5.6); where that is missing or forbidden, the path is walked name by name
with ``O_NOFOLLOW``.

Opening never blocks and never touches a device: contents are read of regular files only.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from buildgraph.errors import ContentError
from buildgraph.fs.printable import printable

MOST_LINKS: Final = 40
"""Symlinks followed in one path, as in the kernel (path_resolution(7))."""

_SYS_OPENAT2: Final = 437
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
_IN_ROOT: Final = 0x10
_SEARCH: Final = os.O_PATH | os.O_CLOEXEC


class Rooted:
    """An open root; a context manager. Methods raise ``OSError`` as open(2) does, unless said otherwise."""

    def __init__(self, root: Path | bytes) -> None:
        self.fd = os.open(root, _SEARCH | os.O_DIRECTORY)

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
        """Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: bytes, flags: int = os.O_RDONLY, mode: int = 0) -> int:
        """A descriptor of ``path``, symlinks followed inside the root; the caller closes it.

        Not for reading what may be a FIFO or a device: see :meth:`open_file`.
        """
        path = _relative(path)
        flags |= _always(flags)
        found = _openat2(self.fd, path, flags, mode, _IN_ROOT | _NO_MAGICLINKS)
        if found is None:
            follow = not flags & os.O_NOFOLLOW
            found = _open_exact(self.fd, self.resolve(path, follow=follow), flags, mode)
        return found

    def open_exact(self, path: bytes, flags: int = os.O_RDONLY, mode: int = 0) -> int:
        """The same for a path that has no ``..`` and no symlink in it, neither before nor at its end (``ELOOP``)."""
        path = _relative(path)
        flags |= _always(flags) | os.O_NOFOLLOW
        found = _openat2(self.fd, path, flags, mode, _BENEATH | _NO_SYMLINKS)
        return _open_exact(self.fd, path, flags, mode) if found is None else found

    def open_file(self, path: bytes) -> int:
        """A descriptor to read the regular file at ``path``; the caller closes it.

        Raises :class:`ContentError` (``not-a-file``) for a directory, FIFO, socket or device, without opening it.
        """
        found = self.open(path, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise ContentError("not-a-file", f"{shown(path)} is not a regular file")
            return os.open(b"/proc/self/fd/%d" % found, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(found)

    def read(self, path: bytes, limit: int = 1 << 20) -> bytes | None:
        """The content of a regular file; None where there is none.

        Raises :class:`ContentError`: ``not-a-file``, or ``file-too-big`` when it is longer than ``limit``.
        """
        try:
            file = self.open_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(file, "rb") as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise ContentError("file-too-big", f"{shown(path)} is longer than {limit} bytes")
        return content

    def stat(self, path: bytes, *, follow: bool = True) -> os.stat_result | None:
        """None where nothing is."""
        try:
            found = self.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.fstat(found)
        finally:
            os.close(found)

    def resolve(self, path: bytes, *, follow: bool = True) -> bytes:
        """Where ``path`` leads: without symlinks, ``..`` and slashes at its ends; ``b""`` is the root.

        What does not exist is taken as written. With ``follow=False`` a symlink at the very end stays.
        """
        todo = _parts(path)[::-1]
        done: list[bytes] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            target = self._link(done, part) if todo or follow else None
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith(b"/"):
                done.clear()
            todo += _parts(target)[::-1]
        return b"/".join(done)

    def clear(self, path: bytes = b"") -> None:
        """Remove all that is in the directory ``path``, which has no symlink in it; links in it are not followed."""
        todo, found = [path.strip(b"/")], []
        while todo:
            parent = todo.pop()
            fd = self.open_exact(parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        name = os.fsencode(entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(parent + b"/" + name if parent else name)
                            found.append((parent, name))
                        else:
                            os.unlink(name, dir_fd=fd)
            finally:
                os.close(fd)
        for parent, name in reversed(found):
            fd = self.open_exact(parent, _SEARCH | os.O_DIRECTORY)
            try:
                os.rmdir(name, dir_fd=fd)
            finally:
                os.close(fd)

    def _link(self, parents: list[bytes], name: bytes) -> bytes | None:
        try:
            parent = self.open_exact(b"/".join(parents), _SEARCH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.readlink(name, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise
        finally:
            os.close(parent)


def shown(path: bytes) -> str:
    """A path of an image as messages show it: from the root, printable, never endless."""
    text = printable(path.lstrip(b"/"))
    return "/" + (text if len(text) <= 120 else f"{text[:80]}…{text[-30:]}")


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def _relative(path: bytes) -> bytes:
    return path.strip(b"/") or b"."


def _always(flags: int) -> int:
    """With ``O_PATH`` nothing is opened that could block, and openat2(2) refuses the other flags."""
    return os.O_CLOEXEC if flags & os.O_PATH else os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@cache
def _syscall() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function


_refused = False


def _openat2(root: int, path: bytes, flags: int, mode: int, resolve: int) -> int | None:
    """None when the kernel has no openat2(2), or a seccomp profile older than it forbids it."""
    global _refused  # noqa: PLW0603 - what the kernel said once holds for the whole process
    if _refused:
        return None
    if b"\0" in path:
        raise ValueError("embedded null byte")
    how = _OpenHow(flags, mode if flags & os.O_CREAT else 0, resolve)
    while True:
        found = _call(root, path, how)
        if found >= 0:
            return found
        if found in (-errno.EAGAIN, -errno.EINTR):  # a rename elsewhere made ".." uncertain
            continue
        if found == -errno.ENOSYS or (found == -errno.EPERM and not _works()):
            _refused = True
            return None
        raise OSError(-found, os.strerror(-found), path)


def _call(root: int, path: bytes, how: _OpenHow) -> int:
    """A descriptor, or the negative number of the error."""
    found = _syscall()(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    return found if found >= 0 else -ctypes.get_errno()


@cache
def _works() -> bool:
    here = os.open(b"/", _SEARCH)
    found = _call(here, b".", _OpenHow(_SEARCH, 0, _BENEATH))
    if found >= 0:
        os.close(found)
    os.close(here)
    return found >= 0


def _open_exact(root: int, path: bytes, flags: int, mode: int) -> int:
    """Without openat2: one openat(2) a name, none of which may be a symlink."""
    *parents, last = _parts(path) or [b"."]
    if b".." in (*parents, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    here = root
    try:
        for name in parents:
            below = os.open(name, _SEARCH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            if here != root:
                os.close(here)
            here = below
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=here)
    finally:
        if here != root:
            os.close(here)
