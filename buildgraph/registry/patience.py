"""When is a request tried again, and when is enough enough?

A 429, a 5xx and a cut connection are tried again after 0.2, 0.4, 0.8 … s (a random half of it taken off, so that many
clients do not come back together) or after what ``Retry-After`` says, at most :data:`ATTEMPTS` times and
``total`` seconds of waiting. A registry that wants a longer wait than what is left is not waited for.
"""

from collections.abc import Callable
from typing import Final, Protocol

from buildgraph.values import dataclass

RETRIED: Final = frozenset((408, 429, 500, 502, 503, 504))
ATTEMPTS: Final = 6
SLOWEST: Final = 1024
"""Bytes a second below which a transfer counts as stuck."""

_FIRST: Final = 0.2
_LONGEST: Final = 10.0
_SLOW: Final = 3


class Clock(Protocol):
    """Time, so that tests need none."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


def _random() -> float:
    from random import random  # few commands ever wait

    return random()  # noqa: S311 - nothing secret


@dataclass(slots=True)
class Retries:
    """The patience of one request; :meth:`again` sleeps and says whether to try once more.

    ``total`` bounds the seconds of waiting, and with ``since`` all that passed after that moment.
    """

    clock: Clock
    total: float
    attempts: int = ATTEMPTS
    since: float | None = None
    tried: int = 1
    waited: float = 0.0
    jitter: Callable[[], float] = _random

    def again(self, retry_after: float | None = None, *, slow: bool = False) -> bool:
        """``slow``: the last try cost a whole timeout, which is worth several."""
        if self.tried >= self.attempts:
            return False
        wait = self._backoff() if retry_after is None else max(0.0, retry_after)
        gone = self.waited if self.since is None else self.clock.monotonic() - self.since
        if gone + wait > self.total:
            return False
        self.tried += _SLOW if slow else 1
        self.waited += wait
        self.clock.sleep(wait)
        return True

    def forgive(self) -> None:
        """There was progress worth another full number of tries; the waiting stays bounded."""
        self.tried = 1

    def _backoff(self) -> float:
        full = min(_FIRST * (1 << (self.tried - 1)), _LONGEST)
        return full * (1 - self.jitter() / 2)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds, from a number or a date (RFC 9110, section 10.2.3); None for nothing usable. ``now``: since 1970."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


class Pace:
    """Bounds transfers that trickle: ``window`` seconds of waiting must bring that many times SLOWEST bytes.

    Only time spent waiting for the other side counts, so a slow consumer of ours is not blamed on the registry.
    """

    __slots__ = ("_bytes", "_started", "_waited", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._waited = 0.0
        self._bytes = 0
        self._started = False

    def add(self, seconds: float, count: int) -> None:
        """Raises TimeoutError. What was waited for the first byte is bounded by the socket's own timeout."""
        if self._started:
            self._waited += seconds
        self._started = True
        self._bytes += count
        if self._waited > self._window:
            if self._bytes < self._window * SLOWEST:
                message = f"only {self._bytes} bytes came in {self._waited:.0f} s"
                raise TimeoutError(message)
            self._waited, self._bytes = 0.0, 0
