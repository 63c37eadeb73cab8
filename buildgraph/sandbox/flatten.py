"""One directory for the lowest layers of a very deep stack, which an overlay cannot hold one by one.

The layers' files are linked, not copied; whiteouts and opaque marks do their work and are gone in the result, which
has nothing below it. Links across layers stay what they were: names of one file inside one layer only.
"""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from buildgraph.fs.remove import remove_tree

_MARKS = ("trusted.overlay.", "user.overlay.")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def flatten(layers: Sequence[Path], into: Path) -> None:
    """Apply ``layers``, bottom first, to the empty directory ``into`` on the same file system."""
    times: dict[bytes, tuple[int, int]] = {}
    root = os.fsencode(into)
    for layer in layers:
        _apply(os.fsencode(layer), root, times)
    for path in sorted(times, reverse=True):  # children first: they touch their parents
        if _kind(path) == stat.S_IFDIR:
            os.utime(path, ns=times[path])


def _apply(layer: bytes, root: bytes, times: dict[bytes, tuple[int, int]]) -> None:
    pending = [(layer, root)]
    while pending:
        source, target = pending.pop()
        _copy_attributes(source, target, times)
        with os.scandir(source) as entries:
            for entry in entries:
                at = os.path.join(target, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    _make_directory(entry.path, at)
                    pending.append((entry.path, at))
                    continue
                _remove(at)
                if not _is_whiteout(entry.stat(follow_symlinks=False)):
                    _link(entry.path, at)


def _make_directory(source: bytes, target: bytes) -> None:
    kind = _kind(target)
    if kind == stat.S_IFDIR and any(_attribute(source, name) == b"y" for name in _OPAQUE):
        _remove(target)
        kind = None
    if kind != stat.S_IFDIR:
        _remove(target)
        os.mkdir(target)


def _copy_attributes(source: bytes, target: bytes, times: dict[bytes, tuple[int, int]]) -> None:
    status = os.lstat(source)
    wanted = [n for n in os.listxattr(source) if not n.startswith(_MARKS)]
    for name in set(os.listxattr(target)).difference(wanted):
        os.removexattr(target, name)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in wanted:
        os.setxattr(target, name, os.getxattr(source, name))
    times[target] = (status.st_atime_ns, status.st_mtime_ns)


def _link(source: bytes, target: bytes) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        status = os.lstat(source)
        if error.errno != errno.EMLINK or not stat.S_ISREG(status.st_mode):
            raise
        shutil.copy2(source, target)
        os.chown(target, status.st_uid, status.st_gid)
        os.chmod(target, stat.S_IMODE(status.st_mode))


def _remove(path: bytes) -> None:
    kind = _kind(path)
    if kind == stat.S_IFDIR:
        remove_tree(path)
    elif kind is not None:
        os.unlink(path)


def _kind(path: bytes) -> int | None:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return None


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _attribute(path: bytes, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""
