"""How does an overlay's upper directory become the snapshot of the layer that it yielded?

A command must see the same files whether its parent ran here or came out of a cache. So the upper directory is made to
hold exactly the canonical changes: what :mod:`buildgraph.fs.changes` dropped is taken out, opaque directories become
plain ones with whiteouts, the overlay's own attributes go, modes are those of the entries, and every time becomes the
fixed one.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from buildgraph.fs import tree
from buildgraph.fs.changes import OVERLAY_ATTRIBUTES, normalize_times
from buildgraph.fs.pack import Item


def settle(upper: Path, items: Sequence[Item], trash: Path | None = None) -> None:
    """Make ``upper``, which must not be mounted any more, hold exactly ``items`` (what ``scan`` found, or a part).

    What is taken out is renamed into ``trash``, an empty directory of the same filesystem, if it is given: deleting is
    slow. Idempotent.
    """
    root = os.fsencode(upper) + b"/"
    kinds = {item.entry.path: item.entry.kind for item in items}
    modes = {item.entry.path: item.entry.mode for item in items}
    taken = _Taken(os.fsencode(trash) if trash else None)
    pending = [b""]
    missing = {path for path, kind in kinds.items() if kind == tree.WHITEOUT}
    _strip(root)
    while pending:
        folder = pending.pop()
        with os.scandir(root + folder) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        prefix = folder + b"/" if folder else b""
        for name, status in found:
            path = prefix + name
            kind = kinds.get(path)
            if kind == tree.WHITEOUT and stat.S_ISCHR(status.st_mode):
                missing.discard(path)
            elif kind is None or kind == tree.WHITEOUT:
                taken.out(root + path)
            else:
                _strip(root + path)
                if stat.S_IMODE(status.st_mode) != modes[path]:
                    os.chmod(root + path, modes[path])
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
    for path in missing:
        os.mknod(root + path, stat.S_IFCHR, os.makedev(0, 0))
    normalize_times(upper, items)


def _strip(path: bytes) -> None:
    for name in os.listxattr(path, follow_symlinks=False):
        if os.fsencode(name).startswith(OVERLAY_ATTRIBUTES):
            os.removexattr(path, name, follow_symlinks=False)


class _Taken:
    """Takes files and directories out, into the trash or for good."""

    def __init__(self, trash: bytes | None) -> None:
        self._trash = trash
        self._count = 0

    def out(self, path: bytes) -> None:
        if self._trash is None:
            _remove(path)
            return
        self._count += 1
        os.rename(path, b"%b/%d" % (self._trash, self._count))


def _remove(path: bytes) -> None:
    folders = []
    pending = [path]
    while pending:
        place = pending.pop()
        if stat.S_ISDIR(os.lstat(place).st_mode):
            folders.append(place)
            pending += [place + b"/" + name for name in os.listdir(place)]
        else:
            os.unlink(place)
    for folder in reversed(folders):
        os.rmdir(folder)
