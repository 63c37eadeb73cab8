"""What does a URL give, and is it still the same? Plain GET and HEAD over http and https, redirects followed.

A server's word for a version is its ETag, or else Last-Modified; without either, what it gives counts as new each time.
A name and password in the URL are sent to its own host only and are in no message.
"""

import hashlib
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from blake3 import blake3

from buildgraph.errors import ContentError, RemoteError
from buildgraph.execute.archive import Surroundings
from buildgraph.registry.stopping import Stop

if TYPE_CHECKING:
    from buildgraph.registry.transport import Response, Transport

_PIECE: Final = 256 << 10
_TRIES: Final = 3
_NO_HEAD: Final = (400, 403, 404, 405, 501)
"""Answers of servers that know GET alone."""


class Fetched(NamedTuple):
    """``content`` is the hex BLAKE3 of the bytes, ``modified`` the server's Last-Modified."""

    content: str
    size: int
    version: str
    modified: str = ""


class Fetching:
    """Safe to use from several threads; :meth:`close` ends its connections."""

    def __init__(self, around: Surroundings, stop: Stop | None = None) -> None:
        self._around = around
        self._stop = stop
        self._transport: Transport | None = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def version(self, url: str) -> str:
        """Raises RemoteError ``fetch-failed``, or what keeps the server from being reached."""
        with self._asked("HEAD", url) as response:
            if response.status < 400:
                return _version(response)
            if response.status not in _NO_HEAD:
                raise _refused(response)
        response = self._asked("GET", url)
        try:
            if response.status >= 400:
                raise _refused(response)
            return _version(response)
        finally:
            response.discard()

    def fetch(self, url: str, checksum: str, to: Path) -> Fetched:
        """Write what ``url`` gives to the new file ``to``. Raises also ContentError ``checksum-mismatch``."""
        from buildgraph.registry.failure import CutError

        for left in reversed(range(_TRIES)):
            try:
                with self._asked("GET", url) as response:
                    if response.status >= 400:
                        raise _refused(response)
                    return _received(response, checksum, to)
            except CutError as error:
                if not left:
                    raise RemoteError("fetch-failed", f"{shown(url)} broke off: {error}") from error
        raise AssertionError

    def _asked(self, method: str, url: str) -> "Response":
        from buildgraph.registry.location import Url
        from buildgraph.registry.transport import Request

        parts = urlsplit(url)
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        auth = _Basic(parts.username, parts.password or "") if parts.username else None
        asked = Url.parse(plain)
        what = f"{asked.origin.authority} refused {asked.target.partition('?')[0]}"
        return self._connected().send(Request(method, asked, what, auth=auth))

    def _connected(self) -> "Transport":
        if self._transport is None:
            from buildgraph.registry.transport import Transport

            self._transport = Transport(_settings(self._around), stop=self._stop)
        return self._transport


def _settings(around: Surroundings):  # type: ignore[no-untyped-def]  # noqa: ANN202 - imported late
    from buildgraph.registry.proxy import Proxies
    from buildgraph.registry.settings import HostSettings, Settings

    class Anywhere(Settings):
        """Whoever writes http:// means it."""

        def for_host(self, host: str) -> HostSettings:
            return HostSettings(plain_http=True, ca=super().for_host(host).ca)

    ca = (around.folder / around.ca,) if around.ca not in ("", "host") else ()
    return Anywhere(ca=ca, proxies=Proxies.of(around.environ))


class _Basic:
    def __init__(self, user: str, password: str) -> None:
        self._pair = f"{unquote(user)}:{unquote(password)}"

    def header(self, _scopes: Sequence[str]) -> str | None:
        return "Basic " + b64encode(self._pair.encode()).decode()

    def challenged(self, _asked: Sequence[str], _scopes: Sequence[str], _sent: str | None) -> bool:
        return False

    def secrets(self) -> Sequence[str]:
        return (self._pair, self._pair.partition(":")[2])


def _version(response: "Response") -> str:
    for name in ("ETag", "Last-Modified"):
        if value := response.header(name):
            return f"{name}: {value}"
    return f"unknown at {time.time_ns()}"


def _received(response: "Response", checksum: str, to: Path) -> Fetched:
    hashed, size = blake3(), 0
    algorithm = checksum.partition(":")[0]
    checked = hashlib.new(algorithm) if algorithm else None
    buffer = memoryview(bytearray(_PIECE))
    with to.open("wb") as file:
        while count := response.readinto(buffer):
            hashed.update(buffer[:count])
            if checked is not None:
                checked.update(buffer[:count])
            file.write(buffer[:count])
            size += count
    if checked is not None and checksum != f"{algorithm}:{checked.hexdigest()}":
        raise ContentError(
            "checksum-mismatch",
            f"{response.request.url.shown} is {algorithm}:{checked.hexdigest()}, and {checksum} was asked for",
            hint="somebody changed the file, or the checksum is that of another one",
        )
    modified = response.header("Last-Modified")
    return Fetched(hashed.hexdigest(), size, _version(response), modified)


def _refused(response: "Response") -> RemoteError:
    shown = response.request.url.shown
    response.discard()
    return RemoteError(
        "fetch-failed",
        f"{shown}: the server answered {response.status}",
        hint="look at the address; it may have moved, or want a login",
    )


def shown(url: str) -> str:
    """Without a name and password, and without a query, which may hold a token."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
