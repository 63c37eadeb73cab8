"""How far is a blob on its way? Told at its start, its end, and a few times a second between them."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Self

from buildgraph.digest import Digest
from buildgraph.events import (
    Direction,
    Observer,
    TransferFinished,
    TransferProgressed,
    TransferStarted,
)

_BETWEEN: Final = 0.25
"""Seconds between two tellings."""


class Progress(AbstractContextManager["Progress"]):
    """One blob from, or to, the repository ``place``; :meth:`at` may go back, when a part is sent again."""

    def __init__(
        self,
        observer: Observer,
        direction: Direction,
        blob: Digest,
        place: str,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._direction: Direction = direction
        self._blob = blob
        self._place = place
        self._size = size
        self._clock = clock
        self._began = self._told = clock()
        self.done = 0

    def __enter__(self) -> Self:
        self._observer(TransferStarted(self._direction, self._blob, self._place, self._size))
        return self

    def __exit__(self, *_: object) -> None:
        seconds = self._clock() - self._began
        event = TransferFinished(self._direction, self._blob, self._place, self.done, seconds)
        self._observer(event)

    def at(self, done: int) -> None:
        """``done`` bytes have passed."""
        self.done = done
        now = self._clock()
        if now - self._told >= _BETWEEN:
            self._told = now
            self._observer(TransferProgressed(self._blob, done, self._size))
