"""How do two processors pack one layer? Two processes read the files, this one hashes and compresses their tar.

The readers are forked children. Nothing need be known of a file but its name: a reader opens it once, and says what it
found. The listing is cut between entries into segments, which the readers take in turn; each writes its segments, as
:mod:`buildgraph.fs.pack` does, piece by piece into chunks that it shares with this process. This process passes the
pieces, in order, through the layer's :class:`~buildgraph.fs.stream.TarStream`; so the bytes are those of ``pack``, and
memory is bounded by a handful of chunks. Between the processes go::

    to each reader    one byte for each chunk that is free again
    from a reader     size (uint32) of the piece in its next chunk; one that is less than the chunk ends a segment,
                      and is followed by the row (6 int64) of each regular file of the segment, and then by the
                      BLAKE3 (32 bytes) of each
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from mmap import mmap
from pathlib import Path
from signal import SIGKILL
from stat import S_ISREG
from struct import Struct, iter_unpack
from typing import Final, NamedTuple, NoReturn

from blake3 import blake3

from buildgraph.digest import Digest
from buildgraph.fs.compress import Blob, Codec
from buildgraph.fs.mode import git_mode
from buildgraph.fs.pack import OPEN, Item, Packed, Packing, changed
from buildgraph.fs.rows import SIZE, WIDTH, Row, is_racy, pack_rows, row_of
from buildgraph.fs.stream import TarStream
from buildgraph.fs.tarball import END, head
from buildgraph.fs.tree import DIRECTORY, FILE, Entry, Tree, lines

_NUMBER: Final = Struct("<I")
_HASH: Final = 32
_HEAD: Final = 512
_READERS: Final = 2
_SEGMENT: Final = 256
"""Entries."""
_CHUNK: Final = 1 << 20
_CHUNKS: Final = 12
"""Of each reader; a segment of small files takes one or two. With fewer, readers wait whenever this process is late."""

_TURN: Final = 0.0001
"""Seconds."""

Items = Callable[[int, int], Iterable[Item]]


class Read(NamedTuple):
    """A layer, and what its regular files were when they had been read, in the order of its tree.

    ``lines`` are those of its tree (:func:`buildgraph.fs.tree.lines`): they are made while the readers read. ``rows``
    have six int64 a file, ``hashes`` 32 bytes.
    """

    packed: Packed
    lines: list[bytes]
    rows: bytes
    hashes: bytes


def pack_beside(
    listing: Tree,
    items: Items,
    codec: Codec,
    blob: Path,
    *,
    since: dict[int, int],
    workers: int = 2,
) -> Read | None:
    """The layer of directories, files and links ``listing`` (canonical) at the file ``blob``, which is not fsynced.

    Files get the size, the content and (git's) the mode that they are found with. A reader asks ``items`` for those
    from one index to another. None, and no file, where a reader met anything that is not as it should be: whoever packs
    again learns what. Rows are racy as of ``since``. For processes that have a single thread.
    """
    segments = [listing[first : first + _SEGMENT] for first in range(0, len(listing), _SEGMENT)]
    folders = {b"", *(entry.path for entry in listing if entry.kind == DIRECTORY)}
    with (
        TarStream(codec, blob, workers, sync=False) as stream,
        ExitStack() as children,
        _short_turns(),
    ):
        readers = []
        for number in range(_READERS):
            mine = range(number * _SEGMENT, len(listing), _READERS * _SEGMENT)
            task = _Task(mine, items, folders, since)
            readers.append(children.enter_context(_reader(task)))
        relay = _Relay(stream)
        try:
            for number, segment in enumerate(segments):
                relay.pass_on(segment, readers[number % _READERS])
        except EOFError:
            return None
        diff_id, size, made = relay.finish()
        packed = Packed(tuple(relay.listing), diff_id, size, made)
        return Read(packed, relay.lines, b"".join(relay.rows), b"".join(relay.hashes))


@contextmanager
def _short_turns() -> Iterator[None]:
    """The stream's threads need Python's lock for moments: not to wait 5 ms for each while this one computes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Reader:
    """A child, as this process sees it."""

    def __init__(self, chunks: Sequence[memoryview], said: FileIO, free: FileIO) -> None:
        self._chunks = chunks
        self._said = said
        self._free = free
        self._pieces = 0

    def piece(self) -> memoryview:
        """The next one, to be given back before another is asked for. Raises EOFError where the child ended early."""
        (size,) = _NUMBER.unpack(self.exactly(_NUMBER.size))
        return self._chunks[self._pieces % len(self._chunks)][:size]

    def give_back(self) -> None:
        self._pieces += 1
        with suppress(BrokenPipeError):  # a child that is done wants no more
            self._free.write(b"\0")

    def exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            more = self._said.read(size - len(content))
            if not more:
                raise EOFError
            content += more
        return content


class _Relay:
    """This process's side."""

    def __init__(self, stream: TarStream) -> None:
        self._stream = stream
        self._chunk = stream.first()
        self._at = 0
        self.listing: list[Entry] = []
        self.lines: list[bytes] = []
        self.rows: list[bytes] = []
        self.hashes: list[bytes] = []

    def pass_on(self, segment: Tree, reader: _Reader) -> None:
        """Raises EOFError where the reader ended early."""
        size = _CHUNK
        while size == _CHUNK:
            piece = reader.piece()
            size = len(piece)
            self._write(piece)
            reader.give_back()
        files = sum(entry.kind == FILE for entry in segment)
        rows = reader.exactly(SIZE * files)
        hashes = reader.exactly(_HASH * files)
        filled = list(_filled(segment, rows, hashes.hex()))
        self.listing += filled
        self.lines += lines(filled)
        self.rows.append(rows)
        self.hashes.append(hashes)

    def _write(self, piece: bytes | memoryview) -> None:
        while piece:
            part = piece[: len(self._chunk) - self._at]
            end = self._at + len(part)
            self._chunk[self._at : end] = part
            piece = piece[len(part) :]
            self._at = end
            if end == len(self._chunk):
                self._chunk = self._stream.push(self._chunk)
                self._at = 0

    def finish(self) -> tuple[Digest, int, Blob | None]:
        """The archive's end comes from here."""
        self._write(END)
        return self._stream.finish(self._chunk[: self._at])


def _filled(segment: Tree, rows: bytes, hashes: str) -> Iterator[Entry]:
    found = iter_unpack(f"{WIDTH}q", rows)
    at = 0
    for entry in segment:
        if entry.kind != FILE:
            yield entry
            continue
        row = next(found)
        content = hashes[at : at + 2 * _HASH]
        at += 2 * _HASH
        yield tuple.__new__(
            Entry, (*entry[:2], git_mode(row[3]), *entry[3:5], row[2], content, *entry[7:])
        )


class _Task(NamedTuple):
    """What one reader does: the segments that begin at ``starts``."""

    starts: Sequence[int]
    items: Items
    folders: set[bytes]
    since: dict[int, int]


@contextmanager
def _reader(task: _Task) -> Iterator[_Reader]:
    """A child, which is gone in the end."""
    chunks = [memoryview(mmap(-1, _CHUNK)) for _ in range(_CHUNKS)]
    with ExitStack() as pipes:
        (said, say), (wait, free) = _pipe(pipes), _pipe(pipes)
        child = os.fork()
        if not child:
            said.close()
            free.close()
            _serve(task, _Far(chunks, wait, say))
        try:
            say.close()
            wait.close()
            yield _Reader(chunks, said, free)
        finally:
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)


def _pipe(pipes: ExitStack) -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return pipes.enter_context(FileIO(reader)), pipes.enter_context(FileIO(writer, "w"))


def _serve(task: _Task, far: "_Far") -> NoReturn:
    """The child, which does nothing else and cannot return; it says no more when something went wrong."""
    try:
        for start in task.starts:
            packing = _Finding(task.items(start, start + _SEGMENT), far, task)
            packing.run()
            far.end(packing.left, pack_rows(packing.rows) + b"".join(packing.hashes))
    finally:
        os._exit(0)


class _Finding(Packing):
    """Packs files of which nothing is known but their names, and remembers what they were."""

    def __init__(self, items: Iterable[Item], far: "_Far", task: _Task) -> None:
        super().__init__(items, far, folders=task.folders)
        self._since = task.since
        self._here = b"."
        self.rows: list[Row] = []
        self.hashes: list[bytes] = []

    @property
    def left(self) -> int:
        """How much of the last chunk is written."""
        return self._at

    def _file(self, item: Item) -> Entry:
        fd = os.open(self._nearer(item.source), OPEN)
        try:
            row = self._at_once(item.entry, fd) or self._in_parts(item, fd)
        finally:
            os.close(fd)
        self.rows.append(row)
        return item.entry

    def _nearer(self, source: bytes) -> bytes:
        """A file by its name alone, from the folder that it is in: short paths are found faster."""
        folder, slash, name = source.rpartition(b"/")
        if folder != self._here:
            os.chdir(folder + slash)
            self._here = folder
        return name

    def _at_once(self, entry: Entry, fd: int) -> Row | None:
        """The fast way for a file that fits the chunk: one read puts it behind the place of its header.

        What was last changed before the build began did not change while it was read.
        """
        start = self._at + _HEAD
        if start >= self._room:
            return None
        got = os.readv(fd, (self._view[start:],))
        row = row_of(os.fstat(fd))
        size, end = row[2], start + row[2]
        if (
            got != size
            or end + 512 >= self._room
            or not S_ISREG(row[3])
            or is_racy(row, self._since)
        ):
            return None
        header = head(_as_found(entry, row), size)
        if len(header) != _HEAD:
            return None
        self.hashes.append(blake3(self._view[start:end]).digest())
        self._put(header, end)
        return row

    def _in_parts(self, item: Item, fd: int) -> Row:
        os.lseek(fd, 0, os.SEEK_SET)
        row = row_of(os.fstat(fd))
        if not S_ISREG(row[3]):
            raise changed(item.source, "it is no regular file")
        made = self._content(Item(_as_found(item.entry, row), item.source), fd, row[2])
        if row_of(os.fstat(fd)) != row:
            raise changed(item.source, "it is another file than was found")
        self.hashes.append(bytes.fromhex(made.content))
        return row


def _as_found(entry: Entry, row: Row) -> Entry:
    mode = git_mode(row[3])
    return entry if entry.mode == mode else entry._replace(mode=mode)


class _Far:
    """The chunks as a child sees them."""

    def __init__(self, chunks: Sequence[memoryview], wait: FileIO, say: FileIO) -> None:
        self._chunks = chunks
        self._wait = wait
        self._say = say
        self._number = 0
        self._free = len(chunks)

    def first(self) -> memoryview:
        while not self._free:
            more = self._wait.read(len(self._chunks))
            if not more:
                raise EOFError
            self._free += len(more)
        return self._chunks[self._number % len(self._chunks)]

    def push(self, chunk: memoryview, /) -> memoryview:
        self._pass(_NUMBER.pack(len(chunk)))
        return self.first()

    def end(self, left: int, found: bytes) -> None:
        """Of a segment, whose last piece has ``left`` bytes."""
        self._pass(_NUMBER.pack(left) + found)

    def _pass(self, content: bytes) -> None:
        self._number += 1
        self._free -= 1
        while content:
            content = content[self._say.write(content) :]
