"""How does an output appear? Whole, or not at all, whatever ends the process.

A new file has no name until all of it is on the disk (``O_TMPFILE``; where the file system lacks it, a hidden name
beside its own, removed on failure). What the machine refuses is said about the output, not about the store.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from buildgraph.errors import MachineError, UsageError

_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_TMPFILE: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` while ``path`` is written into MachineError ``no-space`` or UsageError ``output-refused``."""
    try:
        yield
    except OSError as error:
        if error.errno in _SPACE:
            raise MachineError(
                "no-space",
                f"no space left for the output {path}",
                hint="free some space, or write it elsewhere",
            ) from error
        named = os.fsdecode(error.filename) if error.filename else str(path)
        raise UsageError(
            "output-refused",
            f"cannot write the output {path}: {named}: {error.strerror or error}",
            hint="choose another place with dest=",
        ) from error


def is_stream(path: Path) -> bool:
    """Whether a pipe, socket or device has that name: it is written to, and never replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def named_by_user(path: Path) -> Iterator[BinaryIO]:
    """As :func:`appearing`, for a file that a person named: links are followed, pipes and devices written to."""
    if is_stream(path):
        with path.open("wb") as file:
            yield file
        return
    with appearing(Path(os.path.realpath(path))) as file:
        yield file


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name ``path``, replacing what has it, when the block ends without an error."""
    temp = path.parent / f".{path.name[:100]}.{os.urandom(8).hex()}"
    try:
        fd = os.open(path.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644)
        named = False
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        named = True
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
            if not named:
                source = f"/proc/self/fd/{fd}"  # os.link follows it only when given a directory
                with suppress(FileExistsError):
                    os.link(source, path, src_dir_fd=fd, follow_symlinks=True)
                    return
                os.link(source, temp, src_dir_fd=fd, follow_symlinks=True)
                named = True
        os.rename(temp, path)
        named = False
    finally:
        if named:
            with suppress(FileNotFoundError):
                os.unlink(temp)
