"""A stream that counts what passes through it and tells how far it is."""

import io
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from buildgraph.registry.progress import Progress

_PIECE = 1 << 20


class Counted(io.RawIOBase):
    """``check`` is called for every piece, and raises to stop. The stream is closed by whoever opened it."""

    def __init__(
        self, stream: BinaryIO, progress: Progress, check: Callable[[], None] = lambda: None
    ) -> None:
        self._stream = stream
        self._progress = progress
        self._check = check

    def stream(self) -> BinaryIO:
        return cast("BinaryIO", io.BufferedReader(self, _PIECE))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._check()
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        self._progress.at(self._progress.done + len(content))
        return len(content)
