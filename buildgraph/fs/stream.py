"""How does one pass over a layer's tar yield its diff ID and its blob, on all cores and in little memory?

The tar is written into chunks of one codec block each. A full chunk travels one way: from the writer of the tar to
one of ``workers`` compressing threads, from those, in order again, to the thread that hashes both forms and writes
the blob, and then back to be filled again. So memory is bounded by a handful of chunks, and the bytes do not depend
on how many threads there are. A tar that fits one chunk starts no thread at all.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from itertools import cycle
from mmap import mmap
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self

from buildgraph.digest import Digest
from buildgraph.fs.bigfile import BigFile
from buildgraph.fs.compress import Blob, Codec

_Done = tuple[memoryview, bytes | Exception | None] | None
"""A chunk with its compressed form (None where there is none to make), or the end."""


class Chunks(Protocol):
    """Where the writer of a tar gets empty chunks, and hands over full ones."""

    def first(self) -> memoryview: ...

    def push(self, chunk: memoryview, /) -> memoryview: ...


class TarStream:
    """A context manager: :meth:`first`, then :meth:`push` for each full chunk, then :meth:`finish` once.

    With ``codec`` and ``blob`` the compressed form is written to that file, which is on disk (fsync, unless ``sync`` is
    False) when ``finish`` returns and is removed when the stream is left without it.
    """

    def __init__(
        self, codec: Codec | None, blob: Path | None, workers: int, *, sync: bool = True
    ) -> None:
        self._codec = codec or Codec("none")
        self._compress = None if self._codec.name == "none" else self._codec.compressor()
        self._sink = _Sink(self._codec, blob, sync=sync)
        self._width = max(1, workers) if self._compress and blob else 0
        self._most = 2 * self._width + 3
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._chunks = 0
        self._pushed = 0
        self._threads: list[threading.Thread] = []
        self._todo: list[SimpleQueue[memoryview | None]] = []
        self._done: list[SimpleQueue[_Done]] = []

    @property
    def block(self) -> int:
        return self._codec.block

    def __enter__(self) -> Self:
        self._sink.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._sink.close()

    def first(self) -> memoryview:
        """An empty chunk of :attr:`block` bytes."""
        self._chunks += 1
        return memoryview(mmap(-1, self.block))

    def push(self, chunk: memoryview) -> memoryview:
        """Take a chunk and give an empty one for it; waits while all are on their way."""
        if not self._threads:
            self._start()
        self._send(chunk)
        if self._chunks < self._most:
            return self.first()
        empty = self._free.get()
        if self._sink.failure:
            raise self._sink.failure
        return empty

    def finish(self, rest: memoryview) -> tuple[Digest, int, Blob | None]:
        """Take the last, shorter chunk; the diff ID, the size of the tar, and the blob."""
        if self._threads:
            self._send(rest)
            self._stop()
        else:
            compressed = self._compress(rest) if self._width and self._compress else None
            self._sink.take(rest, compressed)
        if self._sink.failure:
            raise self._sink.failure
        return self._sink.finish()

    def _start(self) -> None:
        self._done = [SimpleQueue() for _ in range(max(1, self._width))]
        if self._width and self._compress:
            for done in self._done:
                todo: SimpleQueue[memoryview | None] = SimpleQueue()
                self._todo.append(todo)
                self._run(_compress, self._compress, todo, done)
        self._run(_drain, self._sink, self._done, self._free)

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="pack")
        thread.start()
        self._threads.append(thread)

    def _send(self, chunk: memoryview) -> None:
        if self._todo:
            self._todo[self._pushed % self._width].put(chunk)
        else:
            self._done[0].put((chunk, None))
        self._pushed += 1

    def _stop(self) -> None:
        if not self._threads:
            return
        for todo in self._todo:
            todo.put(None)
        if not self._todo:
            self._done[0].put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()


def _compress(
    compress: Callable[[memoryview], bytes],
    todo: SimpleQueue[memoryview | None],
    done: SimpleQueue[_Done],
) -> None:
    while (chunk := todo.get()) is not None:
        try:
            done.put((chunk, compress(chunk)))
        except Exception as error:  # noqa: BLE001 - raised again in the packing thread
            done.put((chunk, error))
    done.put(None)


def _drain(sink: "_Sink", done: list[SimpleQueue[_Done]], free: SimpleQueue[memoryview]) -> None:
    """Chunks were dealt out in turn, so taking them in turn restores their order."""
    for queue in cycle(done):
        item = queue.get()
        if item is None:
            return
        chunk, compressed = item
        if not sink.failure:
            try:
                sink.take(chunk, compressed)
            except Exception as error:  # noqa: BLE001 - raised again in the packing thread
                sink.failure = error
        free.put(chunk)


class _Sink:
    """Takes the tar in order, with its compressed form."""

    def __init__(self, codec: Codec, blob: Path | None, *, sync: bool) -> None:
        self._sync = sync
        self.failure: Exception | None = None
        self._media_type = codec.media_type
        self._path = blob
        self._file: BigFile | None = None
        self._tar = hashlib.sha256()
        self._size = 0
        self._packed = self._tar if codec.name == "none" else hashlib.sha256()
        self._packed_size = 0
        self._frame = codec.frame()

    def open(self) -> None:
        if self._path is not None:
            self._file = BigFile(self._path)

    def take(self, chunk: memoryview, compressed: bytes | Exception | None) -> None:
        if isinstance(compressed, Exception):
            raise compressed
        self._tar.update(chunk)
        self._size += len(chunk)
        if self._file is None:
            return
        if not self._packed_size:
            self._write(self._frame.head)
        self._frame.update(chunk)
        self._write(chunk if compressed is None else compressed)

    def _write(self, content: bytes | memoryview) -> None:
        if self._packed is not self._tar:
            self._packed.update(content)
        self._packed_size += len(content)
        if self._file:
            self._file.write(content)

    def finish(self) -> tuple[Digest, int, Blob | None]:
        diff_id = Digest("sha256:" + self._tar.hexdigest())
        if self._file is None:
            return diff_id, self._size, None
        self._write(self._frame.tail())
        self._file.finish(sync=self._sync)
        self._file = None
        digest = Digest("sha256:" + self._packed.hexdigest())
        return diff_id, self._size, Blob(digest, self._packed_size, self._media_type)

    def close(self) -> None:
        """Remove what was not finished; idempotent."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            os.unlink(self._path)
