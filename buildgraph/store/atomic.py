"""How a small file appears: whole or not at all, whatever dies in between.

Write under a name of its own, fsync, rename. The folder's own fsync is left to :func:`sync_folder`: until it
happened, a power cut can take the name away (a miss), never leave a half-written file under it.
"""

import os
from pathlib import Path


def write_synced(path: str | Path, content: bytes, mode: int = 0o600) -> None:
    """Create ``path`` (which must not exist) with ``content`` on the disk when this returns."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)  # whatever the umask
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def replace(path: Path, content: bytes, temp: Path) -> None:
    """Make ``path`` hold ``content``; ``temp`` is an unused name on the same file system."""
    write_synced(temp, content)
    try:
        os.rename(temp, path)
    except BaseException:
        os.unlink(temp)
        raise


def sync_file(path: str | Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: str | Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
