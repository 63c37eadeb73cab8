"""What is an HTTP message on the wire? Heads of requests and answers, and where a body ends (RFC 9112).

    GET /v2/ HTTP/1.1        HTTP/1.1 200 OK
    Host: example.com        Content-Length: 2
                             {}

h11 writes the heads, parses the answers and says where bodies end; which bytes come when is asked for here. Nothing
that the other side says is believed without a bound: an answer's head has at most 1 MiB with all interim answers (100,
103) before it, so has what follows a chunked body, and a trickle is an error (:class:`Pace`).
"""

import time
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

import h11

from buildgraph.registry.patience import Pace

_LONGEST: Final = 1 << 20
_READ: Final = 120 << 10
"""Below the 128 KiB from which malloc asks the kernel for each block anew."""
_SWITCHING: Final = 101
_TOO_LONG: Final = 431


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


class Exchange:
    """One request, of which ``head`` is what is sent before the body, and its answer."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        """``headers`` have the Host. Raises ValueError for what would be another message than it seems."""
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST)
        try:
            head = self._parser.send(
                h11.Request(method=method, target=target, headers=list(headers.items()))
            )
            if method == "CONNECT":
                self._parser.send(h11.EndOfMessage())
        except (h11.LocalProtocolError, UnicodeEncodeError):
            message = "a request with a line break, or a space in its target"  # h11's own shows the secret in it
            raise ValueError(message) from None
        self.head = head or b""

    def answer(self, wire: Wire) -> "Answer":
        """Once the body is sent, or the other side has answered before. Raises MessageError, NoAnswerError, OSError."""
        return Answer(self._parser, wire)


class Headers:
    """Of one answer; names in any case."""

    __slots__ = ("_lines",)

    def __init__(self, head: h11.Response | h11.InformationalResponse) -> None:
        self._lines = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
        ]

    def get(self, name: str) -> str | None:
        """The first of that name."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for known, value in self._lines if known == wanted]


class Answer:
    """Its head is read at once, its body as it is asked for.

    ``left`` are the bytes of the body that have not been read, None where it does not say how many there are. ``done``:
    all has been read. ``keep``: then the connection can be used again.
    """

    def __init__(self, parser: h11.Connection, wire: Wire) -> None:
        self._parser = parser
        self._wire = wire
        self._pace = Pace(wire.gettimeout() or 60.0)
        self._block = memoryview(bytearray(_READ))
        self._came = 0
        self._closed = False
        self._data = memoryview(b"")
        self.done = False
        head = self._head()
        self.status: int = head.status_code
        self.reason = bytes(head.reason).decode("latin-1").strip()
        self.headers = Headers(head)
        length = self.headers.get("Content-Length")
        self.left = int(length) if length else None
        if parser.their_state is h11.SEND_BODY:
            self._take(parser.next_event())
        else:
            self._end()

    @property
    def keep(self) -> bool:
        parser = self._parser
        whole = self.done and not self._closed and parser.their_state is h11.DONE
        return whole and not parser.trailing_data[0]

    def readinto(self, buffer: Any) -> int:
        """0 at the end of the body. Raises MessageError when that comes too early, OSError."""
        view = memoryview(buffer).cast("B")
        if self.done or not view:
            return 0
        if not self._data:
            self._take(self._event())
        count = min(len(view), len(self._data))
        view[:count] = self._data[:count]
        self._data = self._data[count:]
        if self.left is not None and not self.done:
            self.left -= count
            if not self.left:
                self._take(self._event())
        return count

    def _head(self) -> h11.Response | h11.InformationalResponse:
        while True:
            event = self._event(head=True)
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == _SWITCHING:
                return event

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Data):
            self._data = memoryview(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._end()

    def _end(self) -> None:
        self.done, self.left = True, 0

    def _event(self, *, head: bool = False) -> object:
        try:
            while (event := self._parser.next_event()) is h11.NEED_DATA:
                self._receive(head=head)
        except h11.RemoteProtocolError as error:
            raise self._wrong(error) from None
        return event

    def _receive(self, *, head: bool) -> None:
        if head and self._came > _LONGEST:
            raise _endless()
        began = time.monotonic()
        count = self._wire.recv_into(self._block)
        self._pace.add(time.monotonic() - began, count)
        self._came += count
        self._closed = not count
        if head and self._closed and not self._parser.trailing_data[0]:
            message = "it closed the connection without an answer"
            raise NoAnswerError(message)
        self._parser.receive_data(cast("bytes", self._block[:count]))  # any bytes will do

    def _wrong(self, error: h11.RemoteProtocolError) -> MessageError:
        if self._closed:
            return MessageError("the connection ended too early")
        if error.error_status_hint == _TOO_LONG:
            return _endless()
        what, _, _ = str(error).partition(":")  # what follows is the other side's, and may be long
        return MessageError(f"its answer is not HTTP: {what}")


def _endless() -> MessageError:
    return MessageError("its answer's head has no end")
