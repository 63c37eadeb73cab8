"""One folder of a context, listed once: what it holds, what of that can be selected, and the rows asked for."""

import os
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from buildgraph.fs.fingerprint import show, unreadable
from buildgraph.fs.ignore import Node
from buildgraph.fs.rows import Row, prove_names, row_of


class Names(NamedTuple):
    """What a folder holds, by kind; ``others`` are FIFOs, sockets and devices."""

    files: list[bytes]
    folders: list[bytes]
    links: list[bytes]
    others: list[bytes]


class Folder:
    """``path`` is below the context's root (``b""`` is the root), ``full`` the same on the host.

    ``names`` is what can be selected, ``hidden`` what must be spelled out for that. ``row`` was taken before the
    listing, ``proof`` is that of the whole listing. ``rows`` and ``contents`` fill as files are asked for.
    """

    __slots__ = ("contents", "full", "hidden", "names", "path", "proof", "row", "rows")

    def __init__(self, root: bytes, path: bytes, ignore: Node, hidden: AbstractSet[bytes]) -> None:
        self.path = path
        self.full = os.path.join(root, path) if path else root
        self.rows: dict[bytes, Row] = {}
        self.contents: dict[bytes, str] = {}
        try:
            self.row = row_of(os.lstat(self.full))
            names, self.proof = self._list()
        except OSError as error:
            raise unreadable(show(path), error) from error
        if not ignore.whole:
            names = Names(
                ignore.files(names.files),
                [name for name in names.folders if ignore.takes(name, is_dir=True)],
                ignore.files(names.links),
                ignore.files(names.others),
            )
        self.hidden: Names | None = None
        if any(not hidden.isdisjoint(part) for part in names):
            self.hidden = _filter(names, hidden.__contains__)
            names = _filter(names, lambda name: name not in hidden)
        self.names = names

    def _list(self) -> tuple[Names, str]:
        names = Names([], [], [], [])
        add_file = names.files.append
        with os.scandir(self.full) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    add_file(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    names.folders.append(entry.name)
                elif entry.is_symlink():
                    names.links.append(entry.name)
                else:
                    names.others.append(entry.name)
        return names, prove_names(names)

    def within(self, node: Node) -> Names:
        """What ``node`` of a selection can see: all that is not hidden, and what it spells out."""
        if self.hidden is None:
            return self.names
        spelled = _filter(self.hidden, node.names)
        return Names(*(a + b for a, b in zip(self.names, spelled, strict=True)))

    def stat(self, names: list[bytes]) -> list[Row]:
        """The rows of files in this folder, each taken once."""
        known = self.rows
        missing = [name for name in names if name not in known] if known else names
        try:
            above = self.full + b"/"
            known.update(
                zip(missing, map(row_of, map(os.lstat, map(above.__add__, missing))), strict=True)
            )
        except OSError as error:
            gone = os.fsencode(error.filename).removeprefix(self.full)
            raise unreadable(show(self.path + gone), error) from error
        return list(map(known.__getitem__, names))

    def learn(self, names: list[bytes], rows: Iterable[Row], contents: Iterable[str]) -> None:
        """Files that changed between :meth:`stat` and reading have another row now."""
        self.rows.update(zip(names, rows, strict=True))
        self.contents.update(zip(names, contents, strict=True))


def _filter(names: Names, keep: Callable[[bytes], bool]) -> Names:
    return Names(*(list(filter(keep, part)) for part in names))
