"""Reads a stream once, ahead of its consumer, and hashes all of it on the way.

A thread fills a few buffers in turn (so that decompressing and SHA-256 run beside the consumer's own work) and never
holds more than them, whatever the stream says. Buffers are full but for the last and hold whole tar blocks: 512 bytes
taken at a multiple of 512 always come in one piece.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import BinaryIO, Final, Self

from buildgraph.digest import Digest
from buildgraph.errors import ContentError

BUFFER: Final = 1 << 20
_BUFFERS: Final = 4


class ReadAhead:
    """A context manager: leaving it ends the thread. ``limit`` bounds the stream's length in bytes.

    Raises what the stream raises, and :class:`ContentError` (``archive-too-big``), where the consumer gets there.
    """

    def __init__(self, stream: BinaryIO, limit: int, buffer: int = BUFFER) -> None:
        self._readinto = _reader(stream)
        self._limit = limit
        self._hash = hashlib.sha256()
        self._filled: SimpleQueue[tuple[memoryview, int] | BaseException] = SimpleQueue()
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._buffer = buffer
        self._read = 0
        self.size = 0
        """Bytes taken so far."""
        self._view = memoryview(bytearray(buffer))
        self._at = 0
        self._end = self._fill(self._view)
        self._last = self._end < buffer

    def __enter__(self) -> Self:
        if not self._last:
            self._thread = Thread(target=self._produce, name="read-ahead", daemon=True)
            for _ in range(_BUFFERS - 1):
                self._free.put(memoryview(bytearray(self._buffer)))
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread:
            self._free.put(None)
            self._thread.join()

    @property
    def left(self) -> int:
        """How many bytes may still come."""
        return self._limit - self.size

    def take(self, count: int) -> memoryview:
        """The next bytes, at most ``count`` and at least one; empty at the end. Valid until the next call."""
        at = self._at
        if at == self._end:
            if self._last:
                return self._view[:0]
            self._next()
            at = 0
        end = min(at + count, self._end)
        self._at = end
        self.size += end - at
        return self._view[at:end]

    def skip(self, count: int) -> bool:
        """Whether the stream had that many bytes left."""
        while count:
            count -= (taken := len(self.take(count)))
            if not taken:
                return False
        return True

    def finish(self) -> Digest:
        """Read what is left, and name all that was read."""
        while self.take(self._buffer):
            pass
        return Digest("sha256:" + self._hash.hexdigest())

    def _next(self) -> None:
        self._free.put(self._view)
        filled = self._filled.get()
        if isinstance(filled, BaseException):
            self._last = True
            self._end = self._at = 0
            raise filled
        self._view, self._end = filled
        self._at = 0
        self._last = self._end < self._buffer

    def _produce(self) -> None:
        try:
            while (view := self._free.get()) is not None:
                end = self._fill(view)
                self._filled.put((view, end))
                if end < self._buffer:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self._filled.put(error)

    def _fill(self, view: memoryview) -> int:
        at = 0
        while at < self._buffer:
            try:
                count = self._readinto(view[at:])
            except (OSError, EOFError) as error:
                raise ContentError(
                    "archive-unreadable", f"the archive cannot be read: {error}"
                ) from error
            if not count:
                break
            at += count
        self._read += at
        if self._read > self._limit:
            raise ContentError(
                "archive-too-big", f"the archive is longer than {self._limit} bytes unpacked"
            )
        self._hash.update(view[:at])
        return at


def _reader(stream: BinaryIO) -> Callable[[memoryview], int]:
    return getattr(stream, "readinto", None) or partial(_read_into, stream)


def _read_into(stream: BinaryIO, view: memoryview) -> int:
    piece = stream.read(len(view))
    view[: len(piece)] = piece
    return len(piece)
