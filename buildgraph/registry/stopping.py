"""How does what waits for a registry end at once? Its sockets are shut, so that every read, write and connect returns.

:class:`Stop` is the event that a command sets when a signal asks it to end. From then on nothing new is asked of any
registry (:class:`StoppedError`), and no wait between two tries goes on. What must still be put right gets
:meth:`Stop.grace`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

_SLICE: Final = 0.1
"""Seconds of waiting after which it is looked whether to go on."""


class StoppedError(Exception):
    """What was asked of a registry is no longer wanted."""

    def __init__(self) -> None:
        super().__init__("interrupted")


class Stop(threading.Event):
    """:meth:`set` takes no lock that :meth:`watch` holds, because a signal's handler calls it between any two
    instructions; whoever watches a socket looks afterwards whether it came too late."""

    def __init__(self) -> None:
        super().__init__()
        self._watching = threading.Lock()
        self._sockets: frozenset[socket.socket] = frozenset()
        self._shut = False
        self._grace: float | None = None
        self._timer: threading.Timer | None = None

    def set(self) -> None:
        super().set()
        self._shut_after(self._grace)

    def check(self) -> None:
        if self._shut:
            raise StoppedError

    def watch(self, sock: "socket.socket") -> None:
        """Shut it when the time comes; forgotten when it is closed."""
        with self._watching:
            self._sockets = frozenset({*(s for s in self._sockets if s.fileno() >= 0), sock})
        if self._shut:
            _shut(sock)

    def sleep(self, seconds: float) -> None:
        """Raises StoppedError as soon as it is time."""
        whole, rest = divmod(seconds, _SLICE)
        for part in (*[_SLICE] * int(whole), rest):
            self.check()
            time.sleep(part)
        self.check()

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    @contextmanager
    def grace(self, seconds: float) -> Iterator[None]:
        """Inside, registries can be asked for that long after the stop. Not for two threads at once."""
        self._grace = seconds
        self._shut = False
        if self.is_set():
            self._shut_after(seconds)
        try:
            yield
        finally:
            self._grace = None
            self._shut = self.is_set()
            if self._timer:
                self._timer.cancel()

    def _shut_after(self, grace: float | None) -> None:
        if grace is None:
            self._cut()
            return
        self._timer = threading.Timer(grace, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        if not self.is_set():
            return
        self._shut = True
        for sock in self._sockets:
            _shut(sock)


def _shut(sock: "socket.socket") -> None:
    """Past what TLS would still like to say."""
    import socket

    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
