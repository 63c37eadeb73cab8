"""What is an HTTP message on the wire? Heads of requests and answers, and where a body ends (RFC 9112).

    GET /v2/ HTTP/1.1        HTTP/1.1 200 OK
    Host: example.com        Content-Length: 2
                             {}

Read is what servers send, HTTP/1.0 included; written is HTTP/1.1. Nothing that the other side says is believed without
a bound: an answer's head has at most 1 MiB with all interim answers (100, 103) before it, so has what follows a chunked
body, and a trickle is an error (:class:`Pace`). A body that ends before its length is one, too. Bytes of a body go
straight from the socket to where they are wanted.
"""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from buildgraph.registry.patience import Pace

_LONGEST: Final = 1 << 20
_READ: Final = 16 << 10
_STATUS: Final = re.compile(rb"HTTP/1\.(\d) +(\d{3})(?: (.*))?")
_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_LENGTH: Final = re.compile(r"\d{1,18}", re.ASCII)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]")
_BODILESS: Final = frozenset((204, 205, 304))


class Wire(Protocol):
    """What is asked of a socket here, whatever wraps it."""

    def recv_into(self, buffer: memoryview | bytearray, /) -> int: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def sendall(self, data: bytes | memoryview, /) -> None: ...

    def settimeout(self, value: float | None, /) -> None: ...

    def gettimeout(self) -> float | None: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class MessageError(Exception):
    """What came is no answer of HTTP, or not a whole one; says which."""


class NoAnswerError(ConnectionError):
    """The connection was closed before the first byte of an answer."""


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Raises ValueError for what would be another message than it seems."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
    if " " in target or any(_FORBIDDEN.search(line) for line in lines):
        message = "a request with a line break, or a space in its target"
        raise ValueError(message)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


class Headers:
    """Of one answer; names in any case."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Iterable[bytes]) -> None:
        found: list[tuple[str, str]] = []
        for line in lines:
            text = line.decode("latin-1")
            if text[:1] in (" ", "\t") and found:  # a value that goes on, as it did before RFC 7230
                name, value = found.pop()
                found.append((name, f"{value} {text.strip()}".strip()))
                continue
            name, colon, value = text.partition(":")
            if colon:
                found.append((name.strip().lower(), value.strip()))
        self._lines = tuple(found)

    def get(self, name: str) -> str | None:
        """The first of that name."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for known, value in self._lines if known == wanted]

    def words(self, name: str) -> list[str]:
        """The parts of lists, in lower case: ``Connection: Keep-Alive, Foo``."""
        return [word.strip().lower() for value in self.all(name) for word in value.split(",")]


class _Source:
    """Lines and bytes from a socket that must keep a pace."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pace = Pace(wire.gettimeout() or 60.0)
        self._block = bytearray(_READ)
        self._from = self._to = 0
        self._budget = 0

    def allow(self) -> None:
        """Lines of another MiB may come."""
        self._budget = _LONGEST

    @property
    def rest(self) -> int:
        """Bytes that came and were not asked for."""
        return self._to - self._from

    def readinto(self, view: memoryview) -> int:
        """0 at the end of the connection."""
        if self.rest:
            count = min(self.rest, len(view))
            view[:count] = self._block[self._from : self._from + count]
            self._from += count
            return count
        return self._receive(view)

    def line(self) -> bytes:
        """Without its end. Raises NoAnswerError when there is no further byte, MessageError."""
        line = bytearray()
        while True:
            end = self._block.find(b"\n", self._from, self._to)
            upto = self._to if end < 0 else end + 1
            line += self._block[self._from : upto]
            self._budget -= upto - self._from
            self._from = upto
            if self._budget < 0:
                message = "its answer's head has no end"
                raise MessageError(message)
            if end >= 0:
                return bytes(line.rstrip(b"\r\n"))
            self._from, self._to = 0, self._receive(self._block)
            if not self._to:
                if line:
                    raise _early()
                message = "it closed the connection without an answer"
                raise NoAnswerError(message)

    def _receive(self, into: memoryview | bytearray) -> int:
        began = time.monotonic()
        count = self._wire.recv_into(into)
        self._pace.add(time.monotonic() - began, count)
        return count


class Answer:
    """The answer to a request of ``method``: its head is read at once, its body as it is asked for.

    ``left`` are the bytes of the body, or of its chunk, that have not been read; None for a body that ends with the
    connection. ``done``: all has been read. ``keep``: then the connection can be used again.
    """

    def __init__(self, wire: Wire, method: str) -> None:
        """Raises MessageError, NoAnswerError, OSError."""
        self._source = _Source(wire)
        self._source.allow()
        version, self.status, self.reason, self.headers = self._head()
        while 100 <= self.status < 200 and self.status != 101:
            version, self.status, self.reason, self.headers = self._head()
        named = self.headers.words("Connection")
        self._keep = "close" not in named and (version > 0 or "keep-alive" in named)
        self._chunked = False
        self._between = False
        self.done = False
        self.left = self._framed(method)
        if self.left == 0 and not self._chunked:
            self.done = True

    @property
    def keep(self) -> bool:
        return self.done and self._keep and not self._source.rest

    def readinto(self, buffer: Any) -> int:
        """0 at the end of the body. Raises MessageError when that comes too early, OSError."""
        view = memoryview(buffer).cast("B")
        if self.done or not view or (self._chunked and not self._next_chunk()):
            return 0
        count = self._source.readinto(view if self.left is None else view[: self.left])
        if self.left is None:
            self.done, self._keep = not count, False
            return count
        if not count:
            raise _early()
        self.left -= count
        self.done = not self.left and not self._chunked
        return count

    def _head(self) -> tuple[int, int, str, Headers]:
        found = _STATUS.fullmatch(self._source.line())
        if not found:
            message = "it does not speak HTTP"
            raise MessageError(message)
        reason = (found[3] or b"").decode("latin-1").strip()
        return int(found[1]), int(found[2]), reason, Headers(self._lines())

    def _lines(self) -> list[bytes]:
        """Up to the empty one."""
        lines: list[bytes] = []
        try:
            while line := self._source.line():
                lines.append(line)
        except NoAnswerError:
            raise _early() from None
        return lines

    def _framed(self, method: str) -> int | None:
        """How long is the body? Sets ``_chunked``."""
        connected = method == "CONNECT" and 200 <= self.status < 300
        if method == "HEAD" or self.status in _BODILESS or self.status == 101 or connected:
            return 0
        if codings := self.headers.words("Transfer-Encoding"):
            self._chunked = codings[-1] == "chunked"
            return 0 if self._chunked else None
        lengths = set(self.headers.words("Content-Length"))
        if not lengths:
            return None
        text = lengths.pop()
        if lengths or not _LENGTH.fullmatch(text):
            message = "its answer does not say how long it is"
            raise MessageError(message)
        return int(text)

    def _next_chunk(self) -> bool:
        """Be inside of a chunk; False behind the last."""
        if self.left:
            return True
        self._source.allow()
        try:
            if self._between and self._source.line():
                message = "a chunk of its answer is longer than it says"
                raise MessageError(message)
            size = _SIZE.fullmatch(self._source.line())
        except NoAnswerError:
            raise _early() from None
        if not size:
            message = "its answer has a chunk without a size"
            raise MessageError(message)
        self.left = int(size[1], 16)
        self._between = True
        if not self.left:
            self._lines()
            self.done = True
        return not self.done


def _early() -> MessageError:
    return MessageError("the connection ended too early")
