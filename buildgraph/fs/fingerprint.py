"""What does a file hold? BLAKE3 digests of many files, and the cache that spares reading them again.

The cache knows contents by row (:mod:`buildgraph.fs.rows`), not by path: a row that was seen before is the same
file with the same content, wherever it lies now. Racy rows are never kept. File (one per context root)::

    buildgraph-stat 1\\n · crc32 of all that follows (8 hex digits) · count (int64)
    rows (6 int64 each) · digests (32 bytes each)

A damaged file is an empty cache. It is replaced by rename and not fsynced: the checksum finds what a crash leaves.
"""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, compress
from pathlib import Path
from stat import S_ISREG
from struct import error, iter_unpack, pack
from typing import Final, Self, cast
from zlib import crc32

from buildgraph.errors import ContentError, UsageError
from buildgraph.fs.hashing import cost as cost_of
from buildgraph.fs.hashing import hash_files, hash_here
from buildgraph.fs.printable import printable
from buildgraph.fs.rows import SIZE, WIDTH, Row, moment, racy_ones, racy_packed, row_of

_MAGIC: Final = b"buildgraph-stat 1\n"
_DIGEST: Final = 32
_SPARE: Final = 50_000
"""Rows nobody asked for that a file may hold before they are dropped: other targets need them."""
_LIMITS: Final = range(-(1 << 63), 1 << 63)


class StatCache:
    """``since`` has the moments from which on rows are racy; whatever is looked at is looked at after them."""

    __slots__ = ("_asked", "_file", "_known", "_learned", "_new", "_old", "_root", "since")

    def __init__(self, file: Path, root: Path, known: dict[Row, str]) -> None:
        self._file = file
        self._root = os.fsencode(root)
        self._known = known
        self._asked: list[Sequence[Row]] = []
        self._learned: list[tuple[bytes, bytes]] = []
        """What is not yet among the known, as the file has it: many rows that are only to be saved."""
        self._new = False
        self._old = bool(known)
        """Whether there may be two rows of one inode."""
        self.since = moment(self._root, os.fsencode(file.parent))

    @classmethod
    def load(cls, file: Path, root: Path) -> Self:
        """A missing, damaged or foreign file is an empty cache."""
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        return cls(file, root, _parse(content))

    def digest_many(self, paths: Sequence[bytes]) -> list[str]:
        """The hex BLAKE3 of each regular file of ``paths`` (absolute); errors as :meth:`digest`."""
        return self.digest(paths, self.rows(paths))

    def digest(self, paths: Iterable[bytes], rows: list[Row]) -> list[str]:
        """The same for rows that were just taken; replaces in ``rows`` those of files that changed meanwhile.

        ``paths`` are looked at only where something must be read. Raises ``source-changed`` for a file that keeps
        changing or vanished, ``source-special`` for what is no regular file, ``source-unreadable`` for what cannot be
        opened.
        """
        if not rows:
            return []
        self._asked.append(rows)
        known = self._all()
        found = list(map(known.get, rows))
        if None in found:
            both = zip(rows, paths, strict=True)
            self._learn({row: path for row, path in both if row not in known}, rows)
            found = list(map(known.get, rows))
        return cast("list[str]", found)

    def _learn(self, unknown: dict[Row, bytes], rows: list[Row]) -> None:
        self._new = True
        hashed = hash_files(list(unknown.values()), list(unknown))
        settled = {}
        for (row, path), content in zip(unknown.items(), hashed, strict=True):
            if content:
                self._known[row] = content
            else:
                settled[row], again = self._settle(path)
                self._known[settled[row]] = again
        if settled:
            rows[:] = [settled.get(row, row) for row in rows]

    def _all(self) -> dict[Row, str]:
        while self._learned:
            self._known.update(_unpacked(*self._learned.pop()))
        return self._known

    @property
    def is_empty(self) -> bool:
        return not self._known and not self._learned

    def cost(self, rows: Iterable[Row]) -> int:
        """Nanoseconds that it will take to read what is unknown."""
        known = self._all()
        return sum(cost_of(row) for row in rows if row not in known)

    def learn(self, rows: bytes, contents: bytes) -> None:
        """For files that somebody else has read, and seen that they were what their rows say after the last byte.

        In columns: six int64 and the 32 bytes of the BLAKE3 a file.
        """
        self._learned.append((rows, contents))
        self._new = True

    def rows(self, paths: Sequence[bytes]) -> list[Row]:
        return [self._row(path) for path in paths]

    def save(self) -> None:
        """Writes what is new; a home that cannot be written costs time, not the build."""
        if not self._new:
            return
        columns = self._as_learned() or self._kept()
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _write(self._file, *columns)
            self._new = False

    def _as_learned(self) -> tuple[bytes, bytes] | None:
        """The columns that were learned, where there is nothing else and none of it is racy."""
        if self._known or len(self._learned) != 1 or racy_packed(self._learned[0][0], self.since):
            return None
        return self._learned[0]

    def _kept(self) -> tuple[bytes, bytes]:
        """Rows and contents for the file, in columns."""
        learned = [row for rows, _ in self._learned for row in _rows(rows)]
        known = self._all()
        asked = sum(map(len, self._asked)) + len(learned)
        if len(known) > 2 * asked + _SPARE:
            known = {row: known[row] for row in chain(learned, *self._asked)}
        items = list(known.items())
        if self._old:
            items = list({item[0][:2]: item for item in items}.values())
        racy = racy_ones([row for row, _ in items], self.since)
        kept = compress(items, [not doubtful for doubtful in racy]) if racy else items
        kept = list(kept)
        try:
            return _packed(kept)
        except error:
            return _packed([item for item in kept if _is_small(item[0])])

    def _settle(self, path: bytes) -> tuple[Row, str]:
        """Row and content of a file that could not be hashed at first sight."""
        for _ in range(2):
            row = self._row(path)
            if not S_ISREG(row[3]):
                raise special(self._shown(path))
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                raise unreadable(self._shown(path), error) from error
            (content,) = hash_here([path], [row])
            if content:
                return row, content
        raise ContentError(
            "source-changed",
            f"{self._shown(path)} changes while it is read",
            hint="wait until nothing writes to it any more, or exclude it",
        )

    def _row(self, path: bytes) -> Row:
        try:
            return row_of(os.lstat(path))
        except OSError as error:
            raise unreadable(self._shown(path), error) from error

    def _shown(self, path: bytes) -> str:
        return show(path.removeprefix(self._root + b"/"))


def show(path: bytes) -> str:
    """A path for people; bytes that are no text stay visible."""
    return printable(path) or "."


def special(path: str) -> UsageError:
    return UsageError(
        "source-special",
        f"{path} is a FIFO, socket or device, which no layer can take from the context",
        hint="exclude it, or list it in the workspace's ignore",
    )


def unreadable(path: str, error: OSError) -> UsageError | ContentError:
    """The error for a path that was there, or should have been."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ContentError(
            "source-changed",
            f"{path} vanished while it was read",
            hint="wait until nothing writes to the folder any more",
        )
    return UsageError(
        "source-unreadable",
        f"{path} cannot be read: {error.strerror}",
        hint="make it readable, exclude it, or list it in the workspace's ignore",
    )


def _parse(content: bytes) -> dict[Row, str]:
    head = len(_MAGIC) + 8
    body = memoryview(content)[head:]
    if content[:head] != b"%s%08x" % (_MAGIC, crc32(body)):
        return {}
    count = int.from_bytes(body[:8], "little")
    cut = 8 + SIZE * count
    return dict(_unpacked(body[8:cut], body[cut:]))


def _unpacked(rows: bytes | memoryview, contents: bytes | memoryview) -> Iterable[tuple[Row, str]]:
    """What two columns of the file say."""
    text = contents.hex()
    width = 2 * _DIGEST
    return zip(
        _rows(rows), [text[at : at + width] for at in range(0, len(text), width)], strict=True
    )


def _rows(packed: bytes | memoryview) -> Iterable[Row]:
    return cast("Iterable[Row]", iter_unpack(f"{WIDTH}q", packed))


def _packed(items: Sequence[tuple[Row, str]]) -> tuple[bytes, bytes]:
    """The columns; raises ``struct.error`` where a number does not fit."""
    numbers = chain.from_iterable(row for row, _ in items)
    contents = "".join([content for _, content in items])
    return pack(f"{WIDTH * len(items)}q", *numbers), bytes.fromhex(contents)


def _is_small(row: Row) -> bool:
    """Whether every number has its place; inode numbers may be of 64 bits, times after 2262."""
    return all(number in _LIMITS for number in row)


def _write(file: Path, rows: bytes, contents: bytes) -> None:
    body = b"".join([(len(rows) // SIZE).to_bytes(8, "little"), rows, contents])
    temp = file.with_name(f"{file.name}.{os.getpid()}-{time.monotonic_ns()}")
    try:
        with temp.open("wb") as out:
            out.write(b"%s%08x" % (_MAGIC, crc32(body)))
            out.write(body)
        temp.rename(file)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
