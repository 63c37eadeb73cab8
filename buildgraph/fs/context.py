"""Which files does a build take from its context, and what do they hold?

A context lists every folder at most once, asks for every file's row at most once, and reads only files whose row
the stat cache does not know. A folder is part of a selection if a pattern selects it or if it holds something
selected. What it looked at, it can tell (:meth:`Context.facts`).
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, repeat, starmap
from pathlib import Path
from typing import Final, NamedTuple, cast

from buildgraph.errors import UsageError
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.hashing import LEAST_COST
from buildgraph.fs.rows import Row, row_of
from buildgraph.fs.scan import Batch, Found, Scan, Selection, missing, near_paths
from buildgraph.fs.tree import DIRECTORY, FILE, SYMLINK

_EXECUTABLE: Final = 0o100


class Selected(NamedTuple):
    """``path`` is relative to the selection's folder, ``b""`` if the selection is one file; ``source`` is absolute.

    ``content`` is the hex BLAKE3 of a file, ``link`` the target of a symlink; ``executable`` is the owner's x bit.
    """

    path: bytes
    kind: str
    executable: bool = False
    size: int = 0
    content: str = ""
    link: bytes = b""
    source: bytes = b""


class Survey(NamedTuple):
    """A selection by its names alone, both lists sorted; ``files`` lie at ``above`` + path on the host."""

    bare: list[Selected]
    """What is no file."""
    files: list[bytes]
    above: bytes


_make = cast("Callable[[Iterable[object]], Selected]", partial(tuple.__new__, Selected))
"""``Selected._make`` in a third of its time."""


class Context:
    """``always_ignored`` are paths below ``root`` (``.git``: in every folder) that only an include that spells
    them out selects; ``ignore`` are globs below ``root`` that nothing overrides. Threads may share a context.
    """

    def __init__(
        self,
        root: Path,
        cache: StatCache,
        ignore: Sequence[str] = (),
        always_ignored: Sequence[bytes] = (),
    ) -> None:
        self._root = os.path.realpath(os.fsencode(root))
        self._cache = cache
        self._facts = Facts(self._root, cache.since)
        self._scan = Scan(self._root, ignore, always_ignored, self._facts)
        self._singles: dict[bytes, tuple[Row, str]] = {}
        """Rows and contents of files that were selected by name or through a link."""
        self._rows: dict[bytes, Row] = {}
        self._scanned: dict[Selection, Found] = {}
        self._found: dict[Selection, Found] = {}
        self._read: set[Selection] = set()
        """Selections that somebody else has read, until somebody asks for them here."""
        self._lock = threading.Lock()

    def select(
        self,
        path: str,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        follow: bool = False,  # noqa: FBT001, FBT002
    ) -> tuple[Selected, ...]:
        """What is selected below ``path`` (relative to the context), sorted; nothing if no pattern matches.

        Raises ``source-missing``, ``source-escapes``, ``source-loop``, ``source-ignored``, ``source-special``,
        ``globs-of-a-file``, ``source-unreadable``, ``source-changed`` or ``bad-glob``.
        """
        selection = Selection(path, tuple(include), tuple(exclude), follow)
        self._read.discard(selection)
        self.prefetch([selection])
        found = self._found[selection]
        if found.single is not None:
            return (self._single(b"", found.single),)
        result = _bare(found)
        for batch in found.batches:
            contents = map(batch.folder.contents.__getitem__, batch.names)
            result += _files(batch, batch.folder.stat(batch.names), contents)
        result += starmap(self._single, found.files)
        result.sort()
        return tuple(result)

    def survey(self, selection: Selection) -> Survey | None:
        """What :meth:`select` will give but for what the files themselves tell. Reads folders and links alone.

        None where a file is selected by its own name or anything through links.
        """
        with self._lock:
            found = self._scanned[selection] = self._scan.collect(selection)
        above = found.source + b"/"
        if found.single is not None or found.files:
            return None
        if any(above + path != source for path, source in found.folders.items()):
            return None
        files: list[bytes] = []
        for prefix, _, names in found.batches:
            files += map((prefix + b"/").__add__, names) if prefix else names
        files.sort()
        return Survey(sorted(_bare(found)), files, above)

    def cost(self, selection: Selection, most: int) -> int:
        """Nanoseconds of reading what is unknown of a selection that was surveyed; ``most`` is enough."""
        batches = self._scanned[selection].batches
        least = LEAST_COST * sum(len(batch.names) for batch in batches)
        if self._cache.is_empty and least >= most:
            return most
        with self._lock:
            rows = chain.from_iterable(batch.folder.stat(batch.names) for batch in batches)
            return self._cache.cost(rows)

    def learn(
        self, selections: Sequence[Selection], sources: list[bytes], rows: bytes, contents: bytes
    ) -> None:
        """What files of selections that were surveyed were when somebody else had read them.

        In columns: six int64 and the 32 bytes of the BLAKE3 a file. They are not looked at again for their selections
        unless these are asked for, and then their rows are known.
        """
        with self._lock:
            self._cache.learn(rows, contents)
            self._facts.add_packed(sources, rows, contents)
            batches = [batch for one in selections for batch in self._scanned[one].batches]
            if sum(len(batch.names) for batch in batches) == len(
                sources
            ):  # else some were left out
                self._read.update(selections)

    def prefetch(self, selections: Iterable[Selection]) -> None:
        """Scans for all selections, then reads what is unknown, at once; :meth:`select` finds it done."""
        with self._lock:
            known = self._found.keys() | self._read
            new = [one for one in dict.fromkeys(selections) if one not in known]
            found = [self._scanned.get(one) or self._scan.collect(one) for one in new]
            self._digest(found)
            self._found.update(zip(new, found, strict=True))

    def exists(self, path: str) -> bool:
        """Whether ``path`` is there; if not, that is remembered as a fact."""
        try:
            self._scan.resolve(os.fsencode(path))
        except UsageError as error:
            if error.code != "source-missing":
                raise
            self._facts.missing(os.fsencode(path))
            return False
        return True

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """The hex BLAKE3 of files anywhere on the host, links followed, remembered as facts."""
        reals = []
        for path in paths:
            try:
                reals.append(self._facts.follow(os.fsencode(path)))
            except OSError as error:
                near = near_paths(self._root, os.fsencode(path))
                raise missing(str(path), near) from error
        fulls = [os.path.join(self._root, real) for real in reals]
        rows = [row_of(os.lstat(full)) for full in fulls]
        contents = self._cache.digest(fulls, rows)
        for real, row, content in zip(reals, rows, contents, strict=True):
            self._facts.add(real, row, content)
        return contents

    def facts(self) -> Facts:
        """Everything that was looked at so far: folders that were listed, files and links that were selected."""
        paths: list[bytes] = []
        rows: list[Row] = []
        contents: list[str] = []
        for folder in self._scan.folders.values():
            self._facts.add(folder.path, folder.row, folder.proof)
            above = folder.path + b"/" if folder.path else b""
            paths += map(above.__add__, folder.contents)
            rows += map(folder.rows.__getitem__, folder.contents)
            contents += folder.contents.values()
        self._facts.add_many(paths, rows, contents)
        for path, (row, content) in self._singles.items():
            self._facts.add(path, row, content)
        return self._facts

    def _single(self, path: bytes, real: bytes) -> Selected:
        row, content = self._singles[real]
        return _file(path, row, content, os.path.join(self._root, real))

    def _row(self, real: bytes) -> Row:
        if real not in self._rows:
            (self._rows[real],) = self._cache.rows([os.path.join(self._root, real)])
        return self._rows[real]

    def _digest(self, all_found: Sequence[Found]) -> None:
        """Learns the content of every file that was found; files that changed meanwhile get their new rows."""
        rows: list[Row] = []
        batches = [
            batch
            for found in all_found
            for batch in found.batches
            if not batch.folder.contents.keys() >= set(batch.names)
        ]
        for batch in batches:
            rows += batch.folder.stat(batch.names)
        singles = {found.single for found in all_found if found.single is not None}
        singles.update(real for found in all_found for _, real in found.files)
        names = sorted(singles - self._singles.keys())
        rows += map(self._row, names)
        many = (map((batch.folder.full + b"/").__add__, batch.names) for batch in batches)
        one_by_one = (os.path.join(self._root, name) for name in names)
        contents = self._cache.digest(chain(chain.from_iterable(many), one_by_one), rows)
        at = 0
        for batch in batches:
            end = at + len(batch.names)
            batch.folder.learn(batch.names, rows[at:end], contents[at:end])
            at = end
        self._singles.update(zip(names, zip(rows[at:], contents[at:], strict=True), strict=True))


def _bare(found: Found) -> list[Selected]:
    """What has no content."""
    return [
        *(Selected(name, DIRECTORY, source=full) for name, full in found.folders.items()),
        *(Selected(name, SYMLINK, link=target, source=full) for name, target, full in found.links),
    ]


def _file(path: bytes, row: Row, content: str, source: bytes) -> Selected:
    return Selected(path, FILE, row[3] & _EXECUTABLE != 0, row[2], content, b"", source)


def _files(batch: Batch, rows: list[Row], contents: Iterable[str]) -> Iterable[Selected]:
    """The selected files of one folder."""
    prefix = batch.prefix + b"/" if batch.prefix else b""
    return map(
        _make,
        zip(
            map(prefix.__add__, batch.names),
            repeat(FILE),
            [row[3] & _EXECUTABLE != 0 for row in rows],
            [row[2] for row in rows],
            contents,
            repeat(b""),
            map((batch.folder.full + b"/").__add__, batch.names),
            strict=False,
        ),
    )
