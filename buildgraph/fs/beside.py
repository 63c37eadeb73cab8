"""How do two processors pack one layer? One process reads the files, another hashes and compresses their tar.

The reader is a forked child: it finds, hashes and writes each file into a chunk of shared memory, as
:mod:`buildgraph.fs.pack` does, and says which chunk is full. This process passes that through the layer's
:class:`~buildgraph.fs.stream.TarStream` and says which chunks are empty. So the bytes are those of ``pack``, and
memory is bounded by the same handful of chunks. What the child says::

    chunk (uint8) · bytes in it (uint32)      until one is not full
    BLAKE3 of each regular file (64 hex digits), in the order of the items
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from signal import SIGKILL
from struct import Struct
from typing import Final, NoReturn

from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, Packed, Packing
from buildgraph.fs.stream import TarStream
from buildgraph.fs.tree import FILE, Entry, Tree

_SAID: Final = Struct("<BI")
_HEX: Final = 64


def pack_beside(
    listing: Tree, items: Callable[[], Iterable[Item]], codec: Codec, blob: Path, workers: int = 2
) -> Packed | None:
    """The layer ``listing`` (canonical; contents may be missing), whose ``items`` the child asks for, at the file
    ``blob``, which is not fsynced.

    None, and no file, where anything went wrong in the child: whoever packs again learns what. For processes that have
    a single thread.
    """
    with TarStream(codec, blob, workers, sync=False) as stream, ExitStack() as pipes:
        chunks = stream.share()
        (full, say), (take, empty) = _pipe(pipes), _pipe(pipes)
        child = os.fork()
        if not child:
            full.close()
            empty.close()
            _serve(items, _Far(chunks, take, say))
        try:
            say.close()
            take.close()
            return _pass_on(stream, chunks, empty, full, listing)
        except (EOFError, BrokenPipeError):
            return None
        finally:
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)


def _pipe(pipes: ExitStack) -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return pipes.enter_context(FileIO(reader)), pipes.enter_context(FileIO(writer, "w"))


def _pass_on(
    stream: TarStream, chunks: list[memoryview], empty: FileIO, full: FileIO, listing: Tree
) -> Packed:
    numbers = {id(chunk): bytes((number,)) for number, chunk in enumerate(chunks)}
    empty.write(numbers[id(stream.first())])
    empty.write(numbers[id(stream.first())])  # one to go on with while the other is passed on
    while True:
        number, size = _SAID.unpack(_exactly(full, _SAID.size))
        chunk = chunks[number]
        if size < len(chunk):
            break
        with suppress(BrokenPipeError):  # a child that has said everything wants no more
            empty.write(numbers[id(stream.push(chunk))])
    rest = chunk[:size]
    contents = _exactly(full, _HEX * sum(entry.kind == FILE for entry in listing)).decode()
    return Packed(tuple(_filled(listing, contents)), *stream.finish(rest))


def _exactly(full: FileIO, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = full.read(size - len(content))
        if not more:
            raise EOFError
        content += more
    return content


def _filled(listing: Tree, contents: str) -> Iterator[Entry]:
    at = 0
    for entry in listing:
        if entry.kind == FILE:
            yield entry.holding(contents[at : at + _HEX])
            at += _HEX
        else:
            yield entry


def _serve(items: Callable[[], Iterable[Item]], far: "_Far") -> NoReturn:
    """The child, which does nothing else and cannot return; it says no more when something went wrong."""
    try:
        packing = Packing(_nearer(items()), far)
        listing = packing.run()
        far.say(packing.rest())
        far.tell("".join(entry.content for entry in listing if entry.kind == FILE).encode())
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
    """The chunks as the child sees them."""

    def __init__(self, chunks: list[memoryview], empty: FileIO, full: FileIO) -> None:
        self._chunks = chunks
        self._empty = empty
        self._full = full
        self._number = 0

    def first(self) -> memoryview:
        number = self._empty.read(1)
        if not number:
            raise EOFError
        self._number = number[0]
        return self._chunks[self._number]

    def push(self, chunk: memoryview) -> memoryview:
        self.say(chunk)
        return self.first()

    def say(self, chunk: memoryview) -> None:
        self._full.write(_SAID.pack(self._number, len(chunk)))

    def tell(self, content: bytes) -> None:
        while content:
            content = content[self._full.write(content) :]
