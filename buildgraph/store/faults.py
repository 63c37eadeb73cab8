"""What the machine did to the store, as the error a user reads.

Only what a user can act on is translated; any other ``OSError`` passes through unchanged.

    no-space             the disk, its inodes or the quota are used up
    store-not-writable   the store is read-only, or belongs to somebody else
    store-unusable       its folder is no folder, or the disk answers with I/O errors
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from buildgraph.errors import MachineError

_NOTHING = 1 << 20
_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_FULL = ("No space left on device", "enough free space", "Disk quota exceeded")
_BROKEN = frozenset({errno.EIO, errno.ENOTDIR, errno.EEXIST, errno.ELOOP})


@contextmanager
def translated(path: str | Path) -> Iterator[None]:
    """Raise :class:`MachineError` for what this machine lacks; ``path`` is named where the error names none."""
    try:
        yield
    except OSError as error:
        known = machine_error(error, path)
        if known is None:
            raise
        raise known from error


@contextmanager
def room(path: str | Path) -> Iterator[None]:
    """The same for a full disk alone, around work whose other errors are not the store's."""
    try:
        yield
    except OSError as error:
        if error.errno not in _SPACE:
            raise
        raise no_space(os.fsdecode(error.filename) if error.filename else path) from error


def machine_error(error: OSError, path: str | Path) -> MachineError | None:
    named = os.fsdecode(error.filename) if error.filename else str(path)
    if error.errno in _SPACE:
        return no_space(named)
    if error.errno in _REFUSED:
        return not_writable(named, error.strerror or str(error))
    if error.errno in _BROKEN:
        return unusable(named, error.strerror or str(error))
    return None


def is_full(path: Path) -> bool:
    """Whether the disk of ``path`` has next to nothing left: what fails there most likely fails for that."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < _NOTHING or bool(disk.f_files and disk.f_favail < 8)


def tells_full(lines: Iterable[str]) -> bool:
    """Whether a program that failed says that it was for a full disk, in English."""
    return any(words in line for line in lines for words in _FULL)


def no_space(path: str | Path) -> MachineError:
    return MachineError(
        "no-space",
        f"no space left for {path}",
        hint="free some space, run `buildgraph cache gc --max-size 10GB`, or name another folder with --home",
    )


def not_writable(path: str | Path, why: str) -> MachineError:
    return MachineError(
        "store-not-writable",
        f"cannot write to the store: {path}: {why}",
        hint="name a folder of your own with --home or BUILDGRAPH_HOME",
    )


def unusable(path: str | Path, why: str) -> MachineError:
    return MachineError(
        "store-unusable",
        f"cannot use the store: {path}: {why}",
        hint="name another folder with --home or BUILDGRAPH_HOME",
    )
