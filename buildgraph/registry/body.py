"""How is what is uploaded put on a connection? From a file by ``sendfile``, else in blocks; never whole in memory.

A registry may answer before it has all (a refusal, a token that ran out). Sending stops there, and the connection is
not used again.
"""

import io
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from typing import BinaryIO, Final

from buildgraph.errors import ContentError
from buildgraph.registry.message import Wire
from buildgraph.registry.patience import Pace
from buildgraph.values import dataclass

_BLOCK: Final = 256 << 10
_ONCE: Final = 1 << 30
_CLOSED: Final = ("SSLEOFError", "SSLZeroReturnError")
"""What ssl says of a connection that is gone; it is imported where connections are encrypted only."""


@dataclass(frozen=True, slots=True)
class Slice:
    """``size`` bytes from ``offset`` of what ``open`` opens; opened anew for every try, closed by whoever sends it.

    ``name`` is what messages call it; ``told`` hears up to which byte of the source all is on the connection.
    """

    open: Callable[[], BinaryIO]
    offset: int
    size: int
    name: str
    told: Callable[[int], None] = lambda _: None


Body = bytes | Slice


def size_of(body: Body) -> int:
    return len(body) if isinstance(body, bytes) else body.size


def send(wire: Wire, body: Body) -> bool:
    """False when the other side answered, or went away, before it had all.

    Raises ContentError (``blob-damaged``) for a source that is shorter than it should be, TimeoutError.
    """
    out = _Outlet(wire)
    try:
        if isinstance(body, bytes):
            return out.write(memoryview(body))
        with body.open() as stream:
            return _send_slice(out, stream, body)
    except (BrokenPipeError, ConnectionResetError):
        return False  # there may be an answer that says why
    except OSError as error:
        if type(error).__name__ in _CLOSED:
            return False
        raise


def _send_slice(out: "_Outlet", stream: BinaryIO, body: Slice) -> bool:
    file = _plain_file(stream)
    if file is not None:
        _check_length(file, body)
        if not out.encrypted:
            return out.send_file(file, body)
    _skip(stream, body)
    left = body.size
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise _short(body, left)
        left -= len(block)
        if not out.write(memoryview(block)):
            return False
        body.told(body.offset + body.size - left)
    return True


def _plain_file(stream: BinaryIO) -> int | None:
    """The descriptor of a stream that is nothing but a file read from its beginning."""
    raw = stream.raw if isinstance(stream, io.BufferedReader) else stream
    if not isinstance(raw, io.FileIO) or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    return raw.fileno() if stream.tell() == 0 else None


def _check_length(file: int, body: Slice) -> None:
    there = os.fstat(file).st_size
    if there < body.offset + body.size:
        raise _short(body, body.offset + body.size - there)


def _skip(stream: BinaryIO, body: Slice) -> None:
    if stream.seekable():
        stream.seek(body.offset)
        return
    left = body.offset
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise _short(body, left)
        left -= len(block)


def _short(body: Slice, lacking: int) -> ContentError:
    return ContentError("blob-damaged", f"{body.name} ends {lacking} bytes before its size")


class _Outlet:
    """Writes to a socket that has a timeout, watching for an early answer and for a reader that only trickles."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._timeout = wire.gettimeout() or 60.0
        self._pace = Pace(self._timeout)
        self.encrypted = type(wire) is not socket.socket
        self._poll = select.poll()
        # On TLS, bytes to read may be tickets of the protocol's own, and say nothing.
        self._poll.register(
            wire.fileno(), select.POLLOUT | (0 if self.encrypted else select.POLLIN)
        )

    def write(self, view: memoryview) -> bool:
        while view:
            if not self._ready():
                return False
            count = self._wire.send(view)
            self._pace.add(0.0, count)
            view = view[count:]
        return True

    def send_file(self, file: int, body: Slice) -> bool:
        at, end = body.offset, body.offset + body.size
        target = self._wire.fileno()
        while at < end:
            if not self._ready():
                return False
            try:
                count = os.sendfile(target, file, at, min(end - at, _ONCE))
            except BlockingIOError:
                continue
            if not count:
                raise _short(body, end - at)
            self._pace.add(0.0, count)
            at += count
            body.told(at)
        return True

    def _ready(self) -> bool:
        """Wait for room; False when there is something to read."""
        began = time.monotonic()
        events = self._poll.poll(self._timeout * 1000)
        self._pace.add(time.monotonic() - began, 0)
        if not events:
            message = "nothing could be sent"
            raise TimeoutError(message)
        return not events[0][1] & (select.POLLIN | select.POLLHUP | select.POLLERR)
