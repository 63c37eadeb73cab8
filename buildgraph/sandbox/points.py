"""Directories in memory, there for a while: gone with all in and below them when the block ends."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildgraph.errors import MachineError
from buildgraph.sandbox.mounts import Tmpfs, detach


@contextmanager
def secret_dir(scratch: Path) -> Iterator[Path]:
    """For files that must never reach a disk."""
    with memory_dir(Tmpfs(mode=0o700), scratch) as at:
        yield at


@contextmanager
def memory_dir(tmpfs: Tmpfs, scratch: Path) -> Iterator[Path]:
    """Raises MachineError ``no-tmpfs``."""
    at = scratch / f"mount-{os.getpid()}-{secrets.token_hex(6)}"
    os.mkdir(at, 0o700)
    try:
        _attach(tmpfs, at)
        try:
            yield at
        finally:
            detach(at)
    finally:
        os.rmdir(at)


def _attach(tmpfs: Tmpfs, at: Path) -> None:
    try:
        tmpfs.attach(at)
    except OSError as error:
        raise MachineError(
            "no-tmpfs",
            f"no tmpfs can be mounted at {at}: {error.strerror}",
            hint="`buildgraph doctor` tries every part of the sandbox on this machine",
        ) from error
