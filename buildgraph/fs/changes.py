"""What did a command change, in the one form that says only that?

An overlay's upper directory tells how the kernel got there as well as what became of it. :func:`scan` compares it with
the filesystem that the command saw and yields the canonical difference:

* what equals the filesystem below in type, attributes and content goes; its directories stay only above what is kept;
* an opaque directory becomes a plain one, with a whiteout per name that the filesystem below has there and it lacks,
  so that the layer never hides what a sibling step brings;
* whiteouts of names that are absent below go; sockets count as absent;
* ``trusted.overlay.*``, ``user.overlay.*`` and labels of the machine's own security modules go;
* names of one inode are hard links to the first of them, in bytewise order.

:func:`select` then narrows it to a step's ``outputs`` and ``discard``: what is dropped counts as untouched by the
command, deletions included.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.lay import Below
from buildgraph.fs.pack import Item
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tree import Entry
from buildgraph.fs.under import (
    KINDS,
    Inode,
    Listed,
    Mounted,
    Nothing,
    Under,
    attribute_names,
    attributes,
)

OVERLAY_ATTRIBUTES: Final = (b"trusted.overlay.", b"user.overlay.")
_OPAQUE: Final = frozenset((b"trusted.overlay.opaque", b"user.overlay.opaque"))


def scan(
    upper: Path,
    below: Path | Below | None,
    *,
    keep_times: bool = False,
    git_modes: bool = False,
) -> tuple[Item, ...]:
    """The changes in ``upper``, sorted, against ``below``: a merged view, the trees of the stack, or nothing.

    Contents are left unknown; ``source`` is the absolute path in ``upper``, also for a hard link. Nothing may write to
    either directory meanwhile. With ``keep_times`` times are part of what is compared and of the entries. With
    ``git_modes`` what differs has the modes that git knows; the caller gives them to ``upper``.
    """
    under: Under = Nothing()
    if below is not None:
        under = Mounted(below) if isinstance(below, Path) else Listed(below)
    walk = _Walk(os.fsencode(upper.absolute()), under, keep_times=keep_times, git_modes=git_modes)
    try:
        walk.run()
    except OSError as error:
        raise ContentError(
            "unreadable-change",
            f"cannot read what the command left: {error.strerror or error}",
            detail=[str(error.filename)] if error.filename else (),
        ) from error
    return tuple(_needed(sorted(walk.found, key=lambda item: item.entry.path)))


def select(
    items: Sequence[Item], outputs: Sequence[str] = (), discard: Sequence[str] = ()
) -> tuple[Item, ...]:
    """Those of ``items`` that match a glob of ``outputs`` (all, if there is none) and none of ``discard``."""
    if not outputs and not discard:
        return tuple(items)
    from buildgraph.fs.ignore import Globs

    globs = Globs.compile(outputs, discard)
    kept = []
    for item in items:
        path, kind = item.entry.path, item.entry.kind
        # The kind of what a whiteout deletes is unknown, so patterns for folders hold as well.
        if path and not globs.matches(path, kind in "dw"):
            if kind != tree.DIRECTORY:
                continue
            item = item._replace(implied=True)  # noqa: PLW2901
        kept.append(item)
    return tuple(_needed(_relinked(items, kept)))


def normalize_times(root: Path, items: Sequence[Item]) -> None:
    """Give ``root`` and everything listed the fixed time, or the one that the entry keeps."""
    base = os.fsencode(root) + b"/"
    os.utime(base, ns=(EPOCH_NS, EPOCH_NS))
    for item in items:
        path, mtime = item.entry.path, item.entry.mtime
        time = EPOCH_NS if mtime is None else mtime
        os.utime(base + path, ns=(time, time), follow_symlinks=False)


def _needed(items: Iterable[Item]) -> list[Item]:
    """Without the implied directories that nothing needs."""
    items = list(items)
    above: set[bytes] = set()
    for item in items:
        if not item.implied:
            parent = item.entry.path.rpartition(b"/")[0]
            while parent and parent not in above:
                above.add(parent)
                parent = parent.rpartition(b"/")[0]
    return [item for item in items if not item.implied or item.entry.path in above]


def _relinked(items: Sequence[Item], kept: list[Item]) -> list[Item]:
    """``kept`` where hard links that lost their first path have a new one."""
    if not any(item.entry.kind == tree.HARDLINK for item in kept):
        return kept
    here = {item.entry.path for item in kept}
    firsts = {item.entry.path: item.entry for item in items}
    moved: dict[bytes, bytes] = {}
    for at, item in enumerate(kept):
        path, link = item.entry.path, item.entry.link
        if item.entry.kind != tree.HARDLINK or link in here:
            continue
        if link in moved:
            kept[at] = item._replace(entry=item.entry._replace(link=moved[link]))
        else:
            moved[link] = path
            kept[at] = item._replace(entry=firsts[link]._replace(path=path))
    return kept


def _as_git(entry: Entry) -> Entry:
    if entry.kind not in (tree.FILE, tree.DIRECTORY):
        return entry
    runs = entry.kind == tree.DIRECTORY or entry.mode & 0o111
    return entry._replace(mode=0o755 if runs else 0o644)


class _Walk:
    """One walk over ``upper``; a folder is compared with what lies under it only where that is a real folder, too."""

    def __init__(self, upper: bytes, under: Under, *, keep_times: bool, git_modes: bool) -> None:
        self.found: list[Item] = []
        self._upper = upper + b"/"
        self._under = under
        self._keep_times = keep_times
        self._git_modes = git_modes
        self._pending: list[tuple[bytes, bool, bool]] = []
        self._linked: dict[tuple[int, int], list[tuple[Item, Inode | None]]] = {}

    def run(self) -> None:
        entry, opaque = self._described(b"", os.lstat(self._upper), tree.DIRECTORY)
        if not self._under.same(entry, b""):
            self.found.append(Item(entry))
        self._pending.append((b"", True, opaque))
        while self._pending:
            self._folder(*self._pending.pop())
        for names in self._linked.values():
            self._settle_links(sorted(names, key=lambda name: name[0].entry.path))

    def _folder(self, folder: bytes, shadows: bool, opaque: bool) -> None:  # noqa: FBT001
        """``shadows``: the filesystem below has this folder as well; what is in an opaque folder is opaque, too."""
        names = set()
        prefix = folder + b"/" if folder else b""
        with os.scandir(self._upper + folder) as entries:
            for entry in entries:
                names.add(entry.name)
                found = entry.stat(follow_symlinks=False)
                self._name(prefix + entry.name, found, shadows, opaque)
        if opaque and shadows:
            for name in self._under.names(folder):
                if name not in names:
                    self.found.append(Item(Entry(prefix + name, tree.WHITEOUT)))

    def _name(self, path: bytes, found: os.stat_result, shadows: bool, hidden: bool) -> None:  # noqa: FBT001
        """``hidden``: the folder that ``path`` lies in is opaque."""
        there = shadows and self._under.there(path)
        kind = KINDS.get(stat.S_IFMT(found.st_mode))
        if kind is None or (kind == tree.CHAR and not found.st_rdev):
            if there:
                self.found.append(Item(Entry(path, tree.WHITEOUT)))
            return
        entry, opaque = self._described(path, found, kind)
        same = there and self._under.same(entry, self._upper + path)
        if self._git_modes and not same:
            entry = _as_git(entry)
            same = there and self._under.same(entry, self._upper + path)
        if kind == tree.DIRECTORY:
            self.found.append(Item(entry, implied=same))
            both = there and self._under.is_directory(path)
            self._pending.append((path, both, opaque or hidden))
            return
        item = Item(entry, self._upper + path)
        if found.st_nlink > 1:
            twin = self._under.inode(path) if same else None
            self._linked.setdefault((found.st_dev, found.st_ino), []).append((item, twin))
        elif not same:
            self.found.append(item)

    def _settle_links(self, names: list[tuple[Item, Inode | None]]) -> None:
        """Names of one inode go together, and only where they are one inode below as well."""
        twins = {twin for _, twin in names}
        if len(twins) == 1 and None not in twins:
            return
        first, *others = (item for item, _ in names)
        self.found.append(first)
        link = first.entry.path
        for item in others:
            entry = item.entry._replace(kind=tree.HARDLINK, link=link, size=0, device=(0, 0))
            self.found.append(item._replace(entry=entry))

    def _described(self, path: bytes, found: os.stat_result, kind: str) -> tuple[Entry, bool]:
        """The entry of ``path`` in ``upper``, and whether it is opaque."""
        place = self._upper + path
        names = attribute_names(place)
        opaque = not _OPAQUE.isdisjoint(names) and any(
            os.getxattr(place, name) == b"y" for name in _OPAQUE.intersection(names)
        )
        entry = Entry(
            path,
            kind,
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
            found.st_size if kind == tree.FILE else 0,
            "",
            os.readlink(place) if kind == tree.SYMLINK else b"",
            attributes(place, names),
            (os.major(found.st_rdev), os.minor(found.st_rdev)) if kind in "cb" else (0, 0),
            found.st_mtime_ns if self._keep_times else None,
        )
        return entry, opaque
