"""A command's root as it will see it, put together before any runtime starts.

What is mounted here costs a few microseconds each; bubblewrap reads the whole list of mounts again for every bind::

    <a tmpfs>/root            the command's root once more, with on top of it
        /etc/hosts …          files of its own (from the tmpfs)
        /mount/points         the command's mounts, parents before children
        /dev  /sys            where the runtime does not make them

Targets are resolved inside the root and mounted on by descriptor, so no symlink of an image leads out of it, not even
one that another step, in a shared cache, moves meanwhile. All of it is gone when the block ends.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, assert_never

from buildgraph.errors import UsageError
from buildgraph.fs.rooted import Rooted
from buildgraph.sandbox import profile
from buildgraph.sandbox.command import BindPoint, Command, MountPoint, TmpfsPoint, check_target
from buildgraph.sandbox.mounts import (
    Bind,
    Devpts,
    Sysfs,
    Tmpfs,
    in_initial_user_namespace,
)
from buildgraph.sandbox.network import etc_files
from buildgraph.sandbox.points import memory_dir

_DEVICES: Final = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Stage(NamedTuple):
    """``empty`` is an empty directory, to hide others with."""

    root: Path
    empty: Path


@contextmanager
def staged(command: Command, scratch: Path, *, system: bool) -> Iterator[Stage]:
    """``system``: with ``/dev`` and ``/sys``. Raises UsageError ``bad-mount-target``, ``bad-workdir``."""
    with memory_dir(Tmpfs(devices=True), scratch) as room:
        root, empty = room / "root", room / "empty"
        root.mkdir()
        empty.mkdir()
        writable = not command.readonly_root
        Bind(command.root, writable=writable, recursive=True, setuid=True).attach(root)
        with Rooted(root) as rooted:
            if system:
                _mount_sys(rooted, empty)
                _mount_dev(rooted, room)
            _mount_etc(command, rooted, room)
            for mount in sorted(command.mounts, key=lambda m: m.target.strip("/").split("/")):
                _mount(mount, rooted)
            _make_workdir(command, rooted)
        yield Stage(root, empty)


def _mount(mount: MountPoint, root: Rooted) -> None:
    check_target(mount.target)
    match mount:
        case BindPoint(source, target, writable):
            if not source.exists():
                raise UsageError(
                    "source-missing", f"{source} does not exist, so it cannot be mounted"
                )
            what: Bind | Tmpfs = Bind(source, writable=writable, recursive=True)
            is_directory = source.is_dir()
        case TmpfsPoint(target, size, mode, uid, gid):
            what, is_directory = Tmpfs(size, mode, uid, gid), True
        case _:
            assert_never(mount)
    try:
        _attach(what, root, target, is_directory=is_directory)
    except OSError as error:
        kind = "directory" if is_directory else "file"
        raise UsageError(
            "bad-mount-target",
            f"no {kind} can be mounted at {target!r}: {error.strerror}",
            hint="a directory is mounted on a directory, a file on a file; what is missing can be made "
            "only where it may be written",
        ) from error


def _attach(what: Bind | Tmpfs, root: Rooted, target: str, *, is_directory: bool) -> None:
    """On what is at ``target``, which is made if it is missing."""
    path = root.resolve(os.fsencode(target))
    check_target("/" + os.fsdecode(path))
    if root.stat(path, follow=False) is None:
        _make(root, path, is_directory=is_directory)
    place = root.open(path, os.O_PATH)
    try:
        what.attach(place)
    finally:
        os.close(place)


def _make(
    root: Rooted, path: bytes, *, is_directory: bool, owner: tuple[int, int] = (0, 0)
) -> None:
    """Raises OSError. Missing parents are made, with the same owner."""
    parent, _, name = path.rpartition(b"/")
    if parent and root.stat(parent, follow=False) is None:
        _make(root, parent, is_directory=True, owner=owner)
    folder = root.open_exact(parent, os.O_PATH | os.O_DIRECTORY)
    try:
        if is_directory:
            os.mkdir(name, dir_fd=folder)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=folder))
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
        os.chmod(name, 0o755 if is_directory else 0o644, dir_fd=folder)
    finally:
        os.close(folder)


def _make_workdir(command: Command, root: Rooted) -> None:
    """Owned by the command's user, missing parents too."""
    path = root.resolve(os.fsencode(command.workdir))
    try:
        found = root.stat(path, follow=False)
        if found is None:
            _make(root, path, is_directory=True, owner=(command.uid, command.gid))
        elif not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(20, os.strerror(20))
    except OSError as error:
        raise UsageError(
            "bad-workdir",
            f"the working directory {command.workdir!r} cannot be made: {error.strerror}",
            hint="name a directory, or a path whose parents are directories",
        ) from error


def _mount_etc(command: Command, root: Rooted, room: Path) -> None:
    for target, text in etc_files(command).items():
        file = room / target.rpartition("/")[2]
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        file.chmod(0o644)
        try:
            _attach(Bind(file, writable=True), root, target, is_directory=False)
        except OSError as error:
            if command.readonly_root:
                continue
            raise UsageError(
                "bad-mount-target",
                f"{target} of this filesystem cannot be a file: {error.strerror}",
                hint="every command gets a file of its own there",
            ) from error


def _mount_sys(root: Rooted, empty: Path) -> None:
    """A fresh sysfs is for the owner of the network namespace that we are in; else the machine's own is masked."""
    sys = _place(root, b"sys")
    try:
        if in_initial_user_namespace():
            Sysfs().attach(sys)
            masked: tuple[str, ...] = profile.MASKED
        else:
            Bind(Path("/sys"), recursive=True).attach(sys)
            masked = (*profile.MASKED, *profile.MASKED_IN_HOST_SYSFS)
    finally:
        os.close(sys)
    for path in masked:
        if path.startswith("/sys/") and (found := root.stat(os.fsencode(path))):
            hide = empty if stat.S_ISDIR(found.st_mode) else Path("/dev/null")
            place = root.open(os.fsencode(path), os.O_PATH)
            try:
                Bind(hide).attach(place)
            finally:
                os.close(place)


def _mount_dev(root: Rooted, room: Path) -> None:
    dev = room / "dev"
    dev.mkdir(0o755)
    for name, (major, minor) in _DEVICES.items():
        node = dev / name
        if in_initial_user_namespace():
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            node.chmod(0o666)
        else:
            node.touch()
            Bind(Path("/dev") / name, writable=True, devices=True).attach(node)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)
    (dev / "pts").mkdir()
    place = _place(root, b"dev")
    try:
        Bind(dev, writable=True, recursive=True, devices=True).attach(place)
        pts = root.open_exact(b"dev/pts", os.O_PATH)
        try:
            Devpts().attach(pts)
        finally:
            os.close(pts)
    finally:
        os.close(place)


def _place(root: Rooted, path: bytes) -> int:
    """The directory ``path``, made if missing; a link or a file there is an error."""
    try:
        if root.stat(path, follow=False) is None:
            _make(root, path, is_directory=True)
        return root.open_exact(path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(
            "bad-root",
            f"/{path.decode()} of this filesystem is no directory: {error.strerror}",
            hint="remove it from the base or step that brings it",
        ) from error
