"""Mount points that a stack lacks, and the attributes of its root directory.

Both belong to no layer: stubs live in a directory of their own between the stack and the upper directory.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from buildgraph.fs.rooted import Rooted


class Stub(NamedTuple):
    """A path (absolute, inside the root) that must exist as a ``directory`` or ``file`` before a command starts."""

    path: str
    kind: Literal["directory", "file"] = "directory"


class RootAttributes(NamedTuple):
    mode: int = 0o755
    uid: int = 0
    gid: int = 0

    def apply(self, path: Path) -> None:
        if self.uid or self.gid:
            os.chown(path, self.uid, self.gid)
        if self.mode != 0o755:
            os.chmod(path, self.mode)


def root_attributes(lowers: Sequence[Path]) -> RootAttributes:
    """Of the topmost layer that says anything but 0755 0:0, which is what a layer has that does not list its root."""
    plain = RootAttributes()
    for path in reversed(lowers):
        status = os.lstat(path)
        found = RootAttributes(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if found != plain:
            return found
    return plain


def missing_stubs(view: Path, stubs: Sequence[Stub]) -> dict[bytes, Stub]:
    """What ``view`` lacks, by where it belongs: symlinks are followed inside the view."""
    with Rooted(view) as rooted:
        places = {rooted.resolve(os.fsencode(stub.path)): stub for stub in stubs}
    root = os.fsencode(view)
    return {
        path: stub
        for path, stub in places.items()
        if path and not os.path.lexists(os.path.join(root, path))
    }


def make_stubs(view: Path, into: Path, missing: Mapping[bytes, Stub]) -> None:
    """Make them in ``into``, with parents; those that exist get the attributes that they have in ``view``."""
    for path, stub in missing.items():
        _make(os.fsencode(view), os.fsencode(into), path, stub)


def _make(view: bytes, into: bytes, path: bytes, stub: Stub) -> None:
    parent = os.path.dirname(path)
    _make_parents(view, into, parent)
    target = os.path.join(into, path)
    if os.path.lexists(target):
        return
    if stub.kind == "directory":
        os.mkdir(target)
        os.chmod(target, 0o755)  # noqa: S103 - as every directory that nobody described
    else:
        fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.fchmod(fd, 0o644)
        os.close(fd)


def _make_parents(view: bytes, into: bytes, path: bytes) -> None:
    if not path or os.path.isdir(os.path.join(into, path)):
        return
    _make_parents(view, into, os.path.dirname(path))
    target = os.path.join(into, path)
    os.mkdir(target)
    try:
        status = os.lstat(os.path.join(view, path))
    except FileNotFoundError:
        os.chmod(target, 0o755)  # noqa: S103 - as every directory that nobody described
        return
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(os.path.join(view, path)):
        if not name.startswith(("trusted.overlay.", "user.overlay.")):
            os.setxattr(target, name, os.getxattr(os.path.join(view, path), name))
