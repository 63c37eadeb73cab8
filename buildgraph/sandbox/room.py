"""Rooms: a little memory for each command, in which its root is put together and its own files lie.

A room is a tmpfs with the directories ``root`` and ``empty`` and, where a runtime wants it, ``dev``. It is furnished
before it is mounted anywhere, so the next one can be made while a command runs: that takes no command's time, and a
room that nobody came for is gone with its descriptor. No two commands ever have the same one. The empty directories
that rooms are mounted on are used again: removing one that was mounted on waits for other namespaces.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from buildgraph.errors import MachineError
from buildgraph.sandbox import syscalls
from buildgraph.sandbox.mounts import Tmpfs, detach, in_initial_user_namespace
from buildgraph.sandbox.points import make_mount_point, no_tmpfs

DEVICES: Final = {
    "null": os.makedev(1, 3),
    "zero": os.makedev(1, 5),
    "full": os.makedev(1, 7),
    "random": os.makedev(1, 8),
    "urandom": os.makedev(1, 9),
    "tty": os.makedev(5, 0),
}
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Rooms:
    """May be used from several threads. ``dev``: with a ``/dev`` for the command."""

    def __init__(self, scratch: Path, *, dev: bool) -> None:
        self._scratch = scratch
        self._dev = dev
        self._spare: deque[int] = deque()
        self._places: deque[Path] = deque()

    def __del__(self) -> None:
        while self._spare:
            os.close(self._spare.pop())
        while self._places:
            with suppress(OSError):
                os.rmdir(self._places.pop())

    def furnish(self) -> None:
        """Make one for whoever comes next, if there is none; if that is not possible, they will learn it."""
        if not self._spare:
            with suppress(OSError, MachineError):
                self._spare.append(_furnished(dev=self._dev))

    @contextmanager
    def open(self) -> Iterator[Path]:
        """A room, mounted until the block ends. Raises MachineError ``no-tmpfs``."""
        at = self._place()
        try:
            self._mount(at)
            try:
                yield at
            finally:
                detach(at)
        finally:
            self._places.append(at)

    def _mount(self, at: Path) -> None:
        room = self._taken()
        try:
            syscalls.move_mount(room, os.fsencode(at))
        except OSError as error:
            raise no_tmpfs(at, error) from error
        finally:
            os.close(room)

    def _place(self) -> Path:
        try:
            return self._places.pop()
        except IndexError:
            return make_mount_point(self._scratch)

    def _taken(self) -> int:
        try:
            return self._spare.popleft()
        except IndexError:
            return _furnished(dev=self._dev)


def _furnished(*, dev: bool) -> int:
    try:
        room = Tmpfs(devices=True).made()
    except OSError as error:
        raise no_tmpfs(Path("/"), error) from error
    try:
        for name in ("root", "empty"):
            os.mkdir(name, dir_fd=room)
        if dev:
            _make_dev(room)
    except BaseException:
        os.close(room)
        raise
    return room


def _make_dev(room: int) -> None:
    """Devices of our own where we may make them; elsewhere places for the machine's. Modes whatever the umask."""
    own = in_initial_user_namespace()
    _make_directory(room, "dev", 0o755)
    for name, device in DEVICES.items():
        path = f"dev/{name}"
        os.mknod(
            path, (stat.S_IFCHR if own else stat.S_IFREG) | 0o666, device if own else 0, dir_fd=room
        )
        os.chmod(path, 0o666, dir_fd=room)  # noqa: S103 - as everywhere
    for name, target in _LINKS.items():
        os.symlink(target, f"dev/{name}", dir_fd=room)
    _make_directory(room, "dev/shm", 0o1777)
    _make_directory(room, "dev/pts", 0o755)


def _make_directory(room: int, path: str, mode: int) -> None:
    os.mkdir(path, dir_fd=room)
    os.chmod(path, mode, dir_fd=room)
