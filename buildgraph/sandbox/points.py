"""Directories in memory, there for a while: gone with all in and below them when the block ends."""

import os
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
    with mount_point(scratch) as at:
        try:
            tmpfs.attach(at)
        except OSError as error:
            raise no_tmpfs(at, error) from error
        try:
            yield at
        finally:
            detach(at)


@contextmanager
def mount_point(scratch: Path) -> Iterator[Path]:
    """An empty directory, removed when the block ends."""
    at = make_mount_point(scratch)
    try:
        yield at
    finally:
        os.rmdir(at)


def make_mount_point(scratch: Path) -> Path:
    at = scratch / f"mount-{os.getpid()}-{os.urandom(6).hex()}"
    os.mkdir(at, 0o700)
    return at


def no_tmpfs(at: Path, error: OSError) -> MachineError:
    return MachineError(
        "no-tmpfs",
        f"no tmpfs can be mounted at {at}: {error.strerror}",
        hint="`buildgraph doctor` tries every part of the sandbox on this machine",
    )
