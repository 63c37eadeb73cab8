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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, assert_never

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
from buildgraph.sandbox.room import DEVICES, Rooms


class Stage(NamedTuple):
    """``empty`` is an empty directory, to hide others with."""

    root: Path
    empty: Path


@contextmanager
def staged(command: Command, rooms: Rooms, *, system: bool) -> Iterator[Stage]:
    """``system``: with ``/dev`` and ``/sys``. Raises UsageError ``bad-mount-target``, ``bad-workdir``."""
    with rooms.open() as room:
        root = room / "root"
        stage = Stage(root, room / "empty")
        writable = not command.readonly_root
        Bind(command.root, writable=writable, recursive=True, setuid=True).attach(root)
        with Rooted(root) as rooted:
            if system:
                own = in_initial_user_namespace()
                _mount_sys(rooted, stage.empty, fresh=own)
                _mount_dev(rooted, room / "dev", bind=not own, shm_size=command.shm_size)
            _mount_etc(command, rooted, os.fspath(room))
            for mount in sorted(command.mounts, key=lambda m: m.target.strip("/").split("/")):
                _mount(mount, rooted)
            _make_workdir(command, rooted)
        yield stage


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
    place = _opened(root, target, is_directory=is_directory)
    try:
        what.attach(place)
    finally:
        os.close(place)


def _opened(root: Rooted, target: str, *, is_directory: bool) -> int:
    with suppress(OSError):  # nearly always it is there, and no symlink leads to it
        place = root.open_exact(os.fsencode(target), os.O_PATH)
        if not stat.S_ISLNK(os.fstat(place).st_mode):
            return place
        os.close(place)
    path = root.resolve(os.fsencode(target))
    check_target("/" + os.fsdecode(path))
    if root.stat(path, follow=False) is None:
        _make(root, path, is_directory=is_directory)
    return root.open(path, os.O_PATH)


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
    with suppress(OSError):
        os.close(root.open_exact(os.fsencode(command.workdir), os.O_PATH | os.O_DIRECTORY))
        return
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


def _mount_etc(command: Command, root: Rooted, room: str) -> None:
    for target, text in etc_files(command).items():
        file = f"{room}/{target.rpartition('/')[2]}"
        _write(file, text.encode("utf-8", "surrogateescape"))
        try:
            _attach(Bind(Path(file), writable=True), root, target, is_directory=False)
        except OSError as error:
            if command.readonly_root:
                continue
            raise UsageError(
                "bad-mount-target",
                f"{target} of this filesystem cannot be a file: {error.strerror}",
                hint="every command gets a file of its own there",
            ) from error


def _write(file: str, content: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask
        while content:
            content = content[os.write(fd, content) :]
    finally:
        os.close(fd)


def _mount_sys(root: Rooted, empty: Path, *, fresh: bool) -> None:
    """A fresh sysfs is for the owner of the network namespace that we are in; else the machine's own is masked."""
    sys = _place(root, b"sys")
    try:
        if fresh:
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


def _mount_dev(root: Rooted, dev: Path, *, bind: bool, shm_size: int) -> None:
    """``bind``: the machine's own devices."""
    for name in DEVICES if bind else ():
        Bind(Path("/dev") / name, writable=True, devices=True).attach(dev / name)
    if shm_size:
        Tmpfs(shm_size, 0o1777).attach(dev / "shm")
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
        with suppress(FileNotFoundError):
            return root.open_exact(path, os.O_PATH | os.O_DIRECTORY)
        _make(root, path, is_directory=True)
        return root.open_exact(path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(
            "bad-root",
            f"/{path.decode()} of this filesystem is no directory: {error.strerror}",
            hint="remove it from the base or step that brings it",
        ) from error
