"""From mount points to what a runtime binds: targets resolved inside the root, tmpfs mounted, parents before children.

Targets are handed on without any symlink in them, so no runtime ever follows one of the image's.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from buildgraph.errors import MachineError, UsageError
from buildgraph.fs.rooted import Rooted
from buildgraph.sandbox.command import BindPoint, Command, MountPoint, TmpfsPoint, check_target
from buildgraph.sandbox.mounts import Mount, Tmpfs, attached


class Placed(NamedTuple):
    """``target`` is absolute inside the root."""

    source: str
    target: str
    writable: bool


@contextmanager
def placed(command: Command, scratch: Path) -> Iterator[tuple[Placed, ...]]:
    """The command's mounts, sorted so that parents come first; a later mount on one target replaces an earlier one.

    Tmpfs are mounted in ``scratch`` until the block ends.
    """
    with ExitStack() as stack:
        found: dict[str, Placed] = {}
        with Rooted(command.root) as root:
            for mount in command.mounts:
                target = resolved_target(root, mount.target)
                found[target] = _place(mount, target, scratch, stack)
        ordered = sorted(found.values(), key=lambda place: place.target.split("/"))
        for place in ordered:
            _make_nested(place, ordered)
        yield tuple(ordered)


def resolved_target(root: Rooted, target: str) -> str:
    check_target(target)
    resolved = "/" + os.fsdecode(root.resolve(os.fsencode(target)))
    check_target(resolved)
    return resolved


def _place(mount: MountPoint, target: str, scratch: Path, stack: ExitStack) -> Placed:
    match mount:
        case BindPoint(source, _, writable):
            if not source.exists():
                raise UsageError(
                    "source-missing", f"{source} does not exist, so it cannot be mounted"
                )
            return Placed(str(source), target, writable)
        case TmpfsPoint(_, size, mode, uid, gid):
            at = stack.enter_context(mounted_folder(Tmpfs(size, mode, uid, gid), scratch))
            return Placed(str(at), target, writable=True)


def _make_nested(place: Placed, all_places: list[Placed]) -> None:
    """A mount point inside another mount is made there, where that may be written."""
    outer = [p for p in all_places if place.target.startswith(p.target + "/")]
    if not outer:
        return
    around = outer[-1]
    inside = os.fsencode(place.target[len(around.target) + 1 :])
    with Rooted(Path(around.source)) as rooted:
        if rooted.stat(inside) is not None:
            return
        path = os.path.join(os.fsencode(around.source), rooted.resolve(inside))
    if not around.writable:
        raise UsageError(
            "bad-mount-target",
            f"{place.target} lies in the read-only mount {around.target}, which has no such path",
            hint="mount it elsewhere, or add the path to what is mounted there",
        )
    if os.path.isdir(place.source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


@contextmanager
def secret_dir(scratch: Path) -> Iterator[Path]:
    """A directory in memory for files that must never reach a disk; gone with all in it when the block ends."""
    with mounted_folder(Tmpfs(mode=0o700), scratch) as at:
        yield at


@contextmanager
def mounted_folder(mount: Mount, scratch: Path) -> Iterator[Path]:
    """``mount`` at a fresh directory; what is mounted below it goes with it."""
    at = Path(tempfile.mkdtemp(prefix=f"mount-{os.getpid()}-", dir=scratch))
    try:
        with attached(mount, at):
            yield at
    except OSError as error:
        raise MachineError(
            "no-tmpfs", f"no tmpfs can be mounted at {at}: {error.strerror}"
        ) from error
    finally:
        at.rmdir()
