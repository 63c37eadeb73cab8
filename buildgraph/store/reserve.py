"""Room to free room: a file whose only use is to be deleted when the disk is full.

Opening the record index and taking records out of it write to the disk. ``reserve`` is 4 MiB of nothing, made when a
store is opened and there is space. What looks after the store deletes it first when it finds little space, and makes
it again at its end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SIZE: Final = 4 << 20
_LITTLE: Final = 64 << 20


def make(path: Path) -> None:
    """Nothing happens where there is one, or no space for one."""
    if path.exists():
        return
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _SIZE)
        except OSError:
            os.unlink(path)
        finally:
            os.close(fd)


@contextmanager
def spent(path: Path) -> Iterator[None]:
    """Inside, there is some room even on a full disk."""
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize > _LITTLE and (disk.f_favail or not disk.f_files):
        yield
        return
    with suppress(FileNotFoundError):
        os.unlink(path)
    try:
        yield
    finally:
        make(path)
