"""Does a snapshot still hold what its tree object says? For ``cache verify``."""

import os
import stat
from pathlib import Path

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.fs.rows import prove
from buildgraph.fs.tree import Entry, Tree

_KINDS = {
    tree.DIRECTORY: stat.S_IFDIR,
    tree.FIXED_DIRECTORY: stat.S_IFDIR,
    tree.OPAQUE: stat.S_IFDIR,
    tree.FILE: stat.S_IFREG,
    tree.HARDLINK: stat.S_IFREG,
    tree.SYMLINK: stat.S_IFLNK,
    tree.CHAR: stat.S_IFCHR,
    tree.WHITEOUT: stat.S_IFCHR,
    tree.BLOCK: stat.S_IFBLK,
    tree.FIFO: stat.S_IFIFO,
}
_LINKABLE = frozenset((stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO))


def differs(snapshot: Path, content: bytes) -> str | None:
    """The first difference in one sentence, or None. Reads every file; times are not compared."""
    try:
        listed = tree.decode(content)
    except ContentError as error:
        return error.message
    # A layer's paths may be as long as the kernel takes them, so the folder's own must be short.
    try:
        fd = os.open(snapshot, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return "the folder is missing"
    try:
        return _differs(b"/proc/self/fd/%d" % fd, listed)
    finally:
        os.close(fd)


def _differs(root: bytes, listed: Tree) -> str | None:
    expected: set[bytes] = set()
    for entry in listed:
        parent = entry.path
        while parent and parent not in expected:
            expected.add(parent)
            parent = parent.rpartition(b"/")[0]
        problem = _entry_differs(root, entry)
        if problem:
            return f"{_shown(entry.path)} {problem}"
    pending = [b""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for found in entries:
                path = os.path.join(folder, found.name)
                if path not in expected:
                    return f"{_shown(path)} does not belong there"
                if found.is_dir(follow_symlinks=False):
                    pending.append(path)
    return None


def _entry_differs(root: bytes, entry: Entry) -> str | None:
    place = os.path.join(root, entry.path)
    try:
        found = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    kind = stat.S_IFMT(found.st_mode)
    wanted = _KINDS[entry.kind]
    if kind != wanted and not (entry.kind == tree.HARDLINK and kind in _LINKABLE):
        return "is of another type"
    if entry.kind == tree.WHITEOUT:
        return None if not found.st_rdev else "is of another type"
    if entry.kind != tree.SYMLINK and stat.S_IMODE(found.st_mode) != entry.mode:
        return f"has mode {stat.S_IMODE(found.st_mode):04o} instead of {entry.mode:04o}"
    if (found.st_uid, found.st_gid) != (entry.uid, entry.gid):
        return f"belongs to {found.st_uid}:{found.st_gid} instead of {entry.uid}:{entry.gid}"
    if entry.kind == tree.SYMLINK and os.readlink(place) != entry.link:
        return "points elsewhere"
    if entry.kind == tree.HARDLINK:
        first = os.lstat(os.path.join(root, entry.link))
        return None if first.st_ino == found.st_ino else "is no hard link any more"
    if entry.kind == tree.FILE:
        if found.st_size != entry.size:
            return f"has {found.st_size} bytes instead of {entry.size}"
        if prove(place, found.st_mode) != entry.content:
            return "has other content"
    return None


def _shown(path: bytes) -> str:
    return "/" + printable(path)
