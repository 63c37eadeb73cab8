"""How is one request answered? Connection, credentials, redirects and retries, in this order from the inside out.

    send      tries again after a cut connection, 408, 429 and 5xx (patience)
    └ once    answers a 401 and follows redirects
      └ exchange   one request, one answer; a kept connection that turns out dead is replaced once

A request's ``auth`` is asked for the Authorization header for its own origin only. Bodies are opened anew for each try.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, Self

from buildgraph import __version__
from buildgraph.registry.body import Body, Slice, send, size_of
from buildgraph.registry.connection import Connection, Pool
from buildgraph.registry.dial import FAILURES, cut
from buildgraph.registry.failure import (
    LONGEST_ANSWER,
    CutError,
    RegistryError,
    refusal,
    unreachable,
)
from buildgraph.registry.location import FOLLOWED, MOST_REDIRECTS, Origin, Url
from buildgraph.registry.message import Answer
from buildgraph.registry.patience import ATTEMPTS, RETRIED, Clock, Retries, retry_after
from buildgraph.registry.settings import Settings
from buildgraph.registry.stopping import Stop
from buildgraph.values import dataclass, field, replace

_AGENT: Final = f"buildgraph/{__version__}"
_COMMIT: Final = 10
"""Times the idle timeout that a registry may take to answer a body: it moves and hashes what it got."""


class Auth(Protocol):
    """Who we are to one registry."""

    def header(self, scopes: Sequence[str]) -> str | None:
        """The Authorization header to send, None for none (yet)."""

    def challenged(self, asked: Sequence[str], scopes: Sequence[str], sent: str | None) -> bool:
        """A 401 with these ``WWW-Authenticate`` headers came; is another try with :meth:`header` worth it?"""

    def secrets(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """``what`` begins the sentence that tells of a refusal, as in ``registry.example.com refused …``."""

    method: str
    url: Url
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    auth: Auth | None = None
    scopes: Sequence[str] = ()
    attempts: int = ATTEMPTS


class Response:
    """An answer; closing one that was read to its end keeps the connection for the next request."""

    def __init__(self, raw: Answer, request: Request, connection: Connection, pool: Pool) -> None:
        self._raw = raw
        self._connection = connection
        self._pool = pool
        self._open = True
        self.reusable = True
        self.request = request
        self.url = request.url
        self.status = raw.status
        self.headers = raw.headers

    def header(self, name: str) -> str:
        return (self.headers.get(name) or "").strip()

    def all(self, name: str) -> list[str]:
        return self.headers.all(name)

    @property
    def length(self) -> int | None:
        """What Content-Length says of the body, also of one that HEAD leaves out."""
        text = self.header("Content-Length")
        return int(text[:19]) if text.isascii() and text.isdigit() else None

    def readinto(self, view: Any) -> int:
        """0 at the end of the body. Raises CutError where that comes too early."""
        try:
            return self._raw.readinto(view)
        except FAILURES as error:
            raise cut(error) from error

    def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the body."""
        content = bytearray()
        block = bytearray(min(limit, 64 << 10))
        while len(content) < limit:
            count = self.readinto(memoryview(block)[: limit - len(content)])
            if not count:
                break
            content += block[:count]
        return bytes(content)

    def refused(self, what: str = "") -> RegistryError:
        """This answer as an error; closes it."""
        body = b""
        with suppress(CutError), self:
            body = self.read(LONGEST_ANSWER)
        secrets = self.request.auth.secrets() if self.request.auth else ()
        told = what or self.request.what
        arguments = (told, self.status, self._raw.reason, body, secrets)
        match self.status:
            case 401 | 403:
                return refusal("registry-denied", *arguments)
            case 404:
                return refusal("registry-not-found", *arguments)
            case 429:
                return refusal("registry-busy", *arguments)
            case status if status >= 500:
                return refusal("registry-failed", *arguments)
            case _:
                return refusal("registry-refused", *arguments)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with suppress(CutError):
            if not self._raw.done and (self._raw.left or 0) <= LONGEST_ANSWER:
                self.read(LONGEST_ANSWER + 1)
        if self.reusable and self._raw.keep:
            self._pool.give_back(self._connection)
        else:
            self._connection.close()

    def discard(self) -> None:
        """Close without reading what may be endless."""
        self._open = False
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport:
    """Safe to use from several threads."""

    def __init__(
        self, settings: Settings, clock: Clock | None = None, stop: Stop | None = None
    ) -> None:
        self.settings = settings
        stop = stop or Stop()
        self.clock: Clock = clock or stop
        self.pool = Pool(settings, stop)
        self._lock = threading.Lock()
        self._answered: set[Origin] = set()

    def close(self) -> None:
        self.pool.close()

    def retries(self, attempts: int = ATTEMPTS) -> Retries:
        """A new portion of patience, for what may take long while it goes on."""
        return Retries(self.clock, self.settings.timeouts.retry, attempts)

    def again(self, retries: Retries, response: Response) -> bool:
        """Is ``response`` worth another try? Then the wait is over and the response closed."""
        if response.status not in RETRIED:
            return False
        wait = retry_after(response.headers.get("Retry-After"), self.clock.time())
        if not retries.again(wait):
            return False
        response.close()
        return True

    def send(self, request: Request) -> Response:
        """Any status; the caller closes. Raises RegistryError when there is no answer at all."""
        retries = self.retries(request.attempts)
        retries.since = self.clock.monotonic()
        while True:
            try:
                response = self.once(request)
            except CutError as error:
                if not self.endure(retries, error, request.url.origin):
                    raise self.lost(request.url.origin, error) from error
                continue
            if not self.again(retries, response):
                return response

    def endure(self, retries: Retries, error: CutError, origin: Origin) -> bool:
        """Wait for another try. A host that never answered is probably not there: one more try is enough."""
        if error.permanent or (origin not in self._answered and retries.tried >= 2):
            return False
        return retries.again(slow=error.slow)

    def lost(self, origin: Origin, error: CutError) -> RegistryError:
        return unreachable(origin.authority, error, answered=origin in self._answered)

    def once(self, request: Request) -> Response:
        """Raises CutError."""
        hop, challenges = request, 0
        for _ in range(MOST_REDIRECTS):
            authorization = hop.auth.header(hop.scopes) if hop.auth else None
            response = self.exchange(hop, authorization)
            if response.status == 401 and hop.auth and challenges < 2:
                challenges += 1
                if not _worth_another(hop.auth, response, authorization):
                    return response
                response.close()
                continue
            location = response.header("Location")
            if response.status not in FOLLOWED or not location:
                return response
            hop = _led(hop, response, location)
        raise RegistryError(
            "registry-location",
            f"{request.url.origin.authority} leads from one address to another without an end",
        )

    def exchange(self, request: Request, authorization: str | None = None) -> Response:
        """Raises CutError; RegistryError for a host that may not be asked at all."""
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **request.headers}
        if authorization:
            headers["Authorization"] = authorization
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(size_of(request.body or b""))
        connection = self.pool.take(request.url.origin)
        try:
            return self._talk(connection, request, headers)
        except ConnectionError as error:
            if not connection.used or isinstance(request.body, Slice):
                raise cut(error) from error  # an upload may have kept a part of what was sent
        except FAILURES as error:
            raise cut(error) from error
        try:  # the registry closed it while it was idle
            connection = self.pool.take(request.url.origin, fresh=True)
            return self._talk(connection, request, headers)
        except FAILURES as error:
            raise cut(error) from error

    def _talk(self, connection: Connection, request: Request, headers: dict[str, str]) -> Response:
        with _closed_on_failure(connection):
            wire = connection.begin(request.method, request.url.target, headers)
            whole = True
            if request.body is not None:
                whole = send(wire, request.body)
                connection.wait_longer(_COMMIT)
            raw = connection.answer()
        with self._lock:
            self._answered.add(request.url.origin)
        response = Response(raw, request, connection, self.pool)
        response.reusable = whole
        return response


@contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _worth_another(auth: Auth, response: Response, sent: str | None) -> bool:
    """Can the challenge of ``response`` be met? It is closed when that raises."""
    try:
        asked = response.all("WWW-Authenticate")
        return auth.challenged(asked, response.request.scopes, sent)
    except BaseException:
        response.discard()
        raise


def _led(hop: Request, response: Response, location: str) -> Request:
    """The request that a redirect asks for."""
    try:
        url = hop.url.follow(location)
        if hop.method not in ("GET", "HEAD") and response.status not in (307, 308):
            raise RegistryError(
                "registry-location",
                f"{hop.url.origin.authority} answers {hop.method} with a redirect ({response.status})",
            )
    finally:
        response.close()
    same = url.origin == hop.url.origin
    if not same and isinstance(hop.body, bytes) and hop.method == "POST":
        raise RegistryError(  # the body is a credential
            "registry-location",
            f"{hop.url.origin.authority} leads a request for a token to {url.origin.authority}",
        )
    return replace(hop, url=url, auth=hop.auth if same else None)
