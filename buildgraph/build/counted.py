"""A stream that counts what passes through it and tells how far it is."""

import io
import time
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from buildgraph.events import Observer, TransferProgressed
from buildgraph.store.base import Compressed

_PIECE = 1 << 20
_BETWEEN = 0.25
"""Seconds between two tellings."""


class Counted(io.RawIOBase):
    """``check`` is called for every piece, and raises to stop. The stream is closed by whoever opened it."""

    def __init__(
        self,
        stream: BinaryIO,
        blob: Compressed,
        observer: Observer,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._blob = blob
        self._observer = observer
        self._check = check
        self._clock = clock
        self._told = clock()
        self.done = 0

    def stream(self) -> BinaryIO:
        return cast("BinaryIO", io.BufferedReader(self, _PIECE))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._check()
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self.done += len(content)
        now = self._clock()
        if now - self._told >= _BETWEEN:
            self._told = now
            self._observer(TransferProgressed(self._blob.digest, self.done, self._blob.size))
        return len(content)
