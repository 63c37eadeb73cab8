"""How do two processors pack one layer? Two processes read the files, this one hashes and compresses their tar.

The readers are forked children. From the sizes of the files it is known where in the tar each entry goes; so the tar
is cut between entries into segments, which the readers take in turn. They find, hash and write their files as
:mod:`buildgraph.fs.pack` does, into chunks of shared memory, of which the one at a cut has two writers. This process
passes full chunks through the layer's :class:`~buildgraph.fs.stream.TarStream`; so the bytes are those of ``pack``, and
memory is bounded by a handful of chunks. Chunk ``n`` of the tar lies in chunk ``n % len(chunks)`` of the memory.
Between the processes go::

    to each reader    one byte for each further chunk that may be written
    from a reader     number (uint32) of a chunk of which its part is written; after the last one of a segment
                      BLAKE3 of each regular file of the segment (64 hex digits)
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from signal import SIGKILL
from struct import Struct
from typing import Final, NamedTuple, NoReturn

from buildgraph.digest import Digest
from buildgraph.fs.compress import Blob, Codec
from buildgraph.fs.pack import Item, Packed, Packing
from buildgraph.fs.stream import TarStream
from buildgraph.fs.tarball import END, extent
from buildgraph.fs.tree import DIRECTORY, FILE, Entry, Tree

_NUMBER: Final = Struct("<I")
_HEX: Final = 64
_READERS: Final = 2
_SEGMENT: Final = 2
"""Chunks; a bigger file is a segment of its own."""
_AHEAD: Final = 3 * _READERS
"""Chunks that readers may write while the stream has as many as it wants."""

Items = Callable[[int, int], Iterable[Item]]


class Segment(NamedTuple):
    """Entries ``first`` to ``last`` (not included) and where in the tar they go."""

    first: int
    last: int
    start: int
    end: int


def pack_beside(
    listing: Tree, items: Items, codec: Codec, blob: Path, workers: int = 2
) -> Packed | None:
    """The layer of directories, files and links ``listing`` (canonical; contents may be missing) at the file ``blob``,
    which is not fsynced. A reader asks ``items`` for those from one index to another.

    None, and no file, where a reader met anything that is not as it should be: whoever packs again learns what. For
    processes that have a single thread.
    """
    with TarStream(codec, blob, workers, sync=False) as stream:
        chunks = stream.share(_AHEAD)
        segments = _segments(listing, codec.block)
        folders = {b"", *(entry.path for entry in listing if entry.kind == DIRECTORY)}
        with ExitStack() as readers:
            pipes = []
            for number in range(_READERS):
                mine = segments[number::_READERS]
                pipes.append(readers.enter_context(_reader(mine, items, chunks, folders)))
            relay = _Relay(stream, chunks, pipes)
            with suppress(EOFError):
                return Packed(tuple(relay.pass_on(listing, segments)), *relay.finish())
    return None


def _segments(listing: Tree, block: int) -> list[Segment]:
    found = []
    first = start = at = 0
    for index, entry in enumerate(listing, 1):
        at += extent(entry)
        if at - start >= _SEGMENT * block:
            found.append(Segment(first, index, start, at))
            first, start = index, at
    if at > start:
        found.append(Segment(first, len(listing), start, at))
    return found


class _Relay:
    """This process's side."""

    def __init__(
        self, stream: TarStream, chunks: list[memoryview], pipes: list[tuple[FileIO, FileIO]]
    ) -> None:
        self._stream = stream
        self._chunks = chunks
        self._pipes = pipes
        self._at = 0
        """How much of the tar has been passed on."""
        self._end = 0
        stream.first()
        for _ in range(_AHEAD):
            stream.first()
        self._grant(_AHEAD + 1)

    def pass_on(self, listing: Tree, segments: Sequence[Segment]) -> Iterator[Entry]:
        """The entries with their contents. Raises EOFError where a reader ended early."""
        block = self._stream.block
        for number, (first, last, start, end) in enumerate(segments):
            reader = self._pipes[number % _READERS][0]
            for chunk in range(start // block, -(-end // block)):
                (said,) = _NUMBER.unpack(_exactly(reader, _NUMBER.size))
                assert said == chunk
                if (chunk + 1) * block <= end:
                    self._push()
            files = sum(entry.kind == FILE for entry in listing[first:last])
            yield from _filled(listing[first:last], _exactly(reader, _HEX * files).decode())
            self._end = end

    def _push(self) -> None:
        block = self._stream.block
        self._stream.push(self._chunks[self._at // block % len(self._chunks)])
        self._at += block
        self._grant(1)

    def _grant(self, count: int) -> None:
        for _, writer in self._pipes:
            with suppress(BrokenPipeError):  # a reader that is done wants no more
                writer.write(bytes(count))

    def finish(self) -> tuple[Digest, int, Blob | None]:
        """The archive's end comes from here."""
        block, at, left = self._stream.block, self._end, END
        while left:
            chunk = self._chunks[at // block % len(self._chunks)]
            part = left[: block - at % block]
            chunk[at % block : at % block + len(part)] = part
            at, left = at + len(part), left[len(part) :]
            if at % block == 0:
                self._push()
        return self._stream.finish(self._chunks[at // block % len(self._chunks)][: at % block])


def _exactly(reader: FileIO, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = reader.read(size - len(content))
        if not more:
            raise EOFError
        content += more
    return content


def _filled(entries: Tree, contents: str) -> Iterator[Entry]:
    at = 0
    for entry in entries:
        if entry.kind == FILE:
            yield entry.holding(contents[at : at + _HEX])
            at += _HEX
        else:
            yield entry


@contextmanager
def _reader(
    segments: Sequence[Segment], items: Items, chunks: list[memoryview], folders: set[bytes]
) -> Iterator[tuple[FileIO, FileIO]]:
    """Pipes from and to a child, which is gone in the end."""
    with ExitStack() as pipes:
        (full, say), (take, grant) = _pipe(pipes), _pipe(pipes)
        child = os.fork()
        if not child:
            full.close()
            grant.close()
            _serve(segments, items, folders, _Far(chunks, take, say))
        try:
            say.close()
            take.close()
            yield full, grant
        finally:
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)


def _pipe(pipes: ExitStack) -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return pipes.enter_context(FileIO(reader)), pipes.enter_context(FileIO(writer, "w"))


def _serve(segments: Sequence[Segment], items: Items, folders: set[bytes], far: "_Far") -> NoReturn:
    """The child, which does nothing else and cannot return; it says no more when something went wrong."""
    try:
        for first, last, start, end in segments:
            far.start(start)
            packing = Packing(
                _nearer(items(first, last)), far, folders=folders, at=start % far.block
            )
            listing = packing.run()
            if end % far.block:
                far.say()
            far.tell("".join([entry.content for entry in listing if entry.kind == FILE]).encode())
    finally:
        os._exit(0)


def _nearer(items: Iterable[Item]) -> Iterator[Item]:
    """Each file by its name alone, from the folder that it is in: short paths are found faster."""
    here = b""
    for item in items:
        folder, slash, name = item.source.rpartition(b"/")
        if slash and folder != here:
            os.chdir(folder + slash)
            here = folder
        yield Item(item.entry, name, item.data, row=item.row)


class _Far:
    """The chunks as a child sees them."""

    def __init__(self, chunks: list[memoryview], take: FileIO, full: FileIO) -> None:
        self._chunks = chunks
        self._take = take
        self._full = full
        self._granted = 0
        self._number = 0
        self.block = len(chunks[0])

    def start(self, at: int) -> None:
        self._number = at // self.block

    def first(self) -> memoryview:
        while self._granted <= self._number:
            more = self._take.read(len(self._chunks))
            if not more:
                raise EOFError
            self._granted += len(more)
        return self._chunks[self._number % len(self._chunks)]

    def push(self, _chunk: memoryview, /) -> memoryview:
        self.say()
        self._number += 1
        return self.first()

    def say(self) -> None:
        self.tell(_NUMBER.pack(self._number))

    def tell(self, content: bytes) -> None:
        while content:
            content = content[self._full.write(content) :]
