"""How do bytes get to a host? Connections kept for the next request, TLS, proxies, bodies from files.

Unencrypted http is spoken only to hosts whose settings allow it. Everything that goes wrong on the way is a
:class:`CutError`; a connection is given back to the pool only after an answer that was read to its end.
"""

import http.client
import io
import os
import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from buildgraph.errors import UsageError
from buildgraph.registry.failure import CutError, RegistryError, one_line
from buildgraph.registry.location import Origin
from buildgraph.registry.patience import Pace
from buildgraph.registry.settings import HostSettings, Settings
from buildgraph.registry.stopping import Stop

_MOST_IDLE: Final = 8
_READ: Final = 64 << 10
_LONGEST_HEAD: Final = 1 << 20
"""Bytes of an answer's head, however many interim answers (100) precede it, and of a body's trailer."""

FAILURES: Final = (OSError, http.client.HTTPException, ValueError)
"""What a broken connection or a host that speaks no HTTP makes the standard library raise."""


class _Paced(io.RawIOBase):
    """A socket's raw file that notices when the other side only trickles."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace
        self.budget: int | None = _LONGEST_HEAD
        """How many more bytes may come; None for any number."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        count = cast("int", self._raw.readinto(buffer))
        self._pace.add(time.monotonic() - began, count)
        if self.budget is not None:
            self.budget -= count
            if self.budget < 0:
                raise http.client.LineTooLong("header")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        raw = self.fp.detach()
        self._paced = _Paced(raw, Pace(sock.gettimeout() or 60.0))
        self.fp = io.BufferedReader(self._paced, _READ)

    def begin(self) -> None:
        super().begin()
        self._paced.budget = None

    def _read_and_discard_trailer(self) -> None:
        """What follows a chunked body is read without a limit by the standard library."""
        self._paced.budget = _LONGEST_HEAD
        super()._read_and_discard_trailer()  # type: ignore[misc]


class Connection(http.client.HTTPConnection):
    """One connection to ``origin``, perhaps through a proxy; not shared between threads while it is taken."""

    response_class = _PacedResponse

    def __init__(
        self, origin: Origin, settings: Settings, tls: ssl.SSLContext | None, stop: Stop
    ) -> None:
        self.origin = origin
        self._stop = stop
        self.used = False
        self._tls = tls
        self._patience = settings.timeouts
        self._absolute = ""
        self._proxy_headers: dict[str, str] = {}
        proxy = settings.proxy_for(origin.scheme, origin.authority)
        host, port = (origin.host, origin.port) if proxy is None else self._through(proxy)
        super().__init__(host, port, timeout=settings.timeouts.connect)
        self._tunneled = proxy is not None and tls is not None

    def _through(self, proxy: str) -> tuple[str, int]:
        parts = urlsplit(proxy)
        if parts.scheme != "http" or not parts.hostname:
            raise UsageError(
                "unsupported-proxy",
                f"the proxy for {self.origin.authority} is reached by {one_line(parts.scheme)[:20]!r}, "
                "and only plain http proxies are supported",
                hint=f"name an http:// proxy, or add {self.origin.host} to no_proxy",
            )
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            token = b64encode(pair.encode()).decode()
            self._proxy_headers["Proxy-Authorization"] = f"Basic {token}"
        if self.origin.scheme == "http":
            self._absolute = f"http://{self.origin.authority}"
        return parts.hostname, parts.port or 80

    def connect(self) -> None:
        try:
            self.sock = self._reached()
            if self._tunneled:
                self._open_tunnel()
        except FAILURES as error:
            failure = cut(error)
            failure.reached = False
            raise failure from error
        if self._tls:
            self.sock = self._tls.wrap_socket(
                self.sock, server_hostname=self.origin.host, do_handshake_on_connect=False
            )
            self._stop.watch(self.sock)
            self.sock.do_handshake()
        self.sock.settimeout(self._patience.idle)

    def _reached(self) -> socket.socket:
        """A connection to the first of the host's addresses that answers; it can be stopped while it is made."""
        failure = OSError("it has no address")
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._patience.connect)
                self._stop.watch(sock)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failure = error
                self._stop.check()
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    def _open_tunnel(self) -> None:
        """Have the proxy connect us. (The standard library's way leaves the answer's socket open when refused.)"""
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        target = f"{host}:{self.origin.port}"
        head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        head += [f"{name}: {value}" for name, value in self._proxy_headers.items()]
        self.sock.sendall("\r\n".join((*head, "", "")).encode("ascii"))
        response = self.response_class(self.sock, method="CONNECT")
        try:
            response.begin()
        finally:
            response.close()
        if not 200 <= response.status < 300:
            reason = f"{response.status} {one_line(response.reason)}".rstrip()
            failure = CutError(f"its proxy answers {reason}", permanent=response.status < 500)
            failure.reached = False
            raise failure

    def wait_longer(self, factor: float) -> None:
        """For an answer that takes work, as taking over a whole blob does."""
        self.sock.settimeout(self._patience.idle * factor)

    def begin(self, method: str, target: str, headers: dict[str, str]) -> None:
        """Send the head of a request."""
        if self.sock is None:
            self.connect()
        else:
            self.sock.settimeout(self._patience.idle)
        self.putrequest(method, self._absolute + target, skip_host=True, skip_accept_encoding=True)
        self.putheader("Host", self.origin.authority)
        for name, value in headers.items():
            self.putheader(name, value)
        if self._absolute:
            for name, value in self._proxy_headers.items():
                self.putheader(name, value)
        self.endheaders()

    @property
    def stale(self) -> bool:
        """An idle connection with something to read was closed by the other side."""
        if self.sock is None:
            return True
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class Pool:
    """Idle connections by origin. Safe to use from several threads and after a fork that does not use it."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._hosts: dict[str, HostSettings] = {}
        self._contexts: dict[object, ssl.SSLContext] = {}
        self._closed = False

    def host(self, authority: str) -> HostSettings:
        with self._lock:
            found = self._hosts.get(authority)
            if found is None:
                found = self._hosts[authority] = self._settings.for_host(authority)
            return found

    def take(self, origin: Origin, *, fresh: bool = False) -> Connection:
        """Raises RegistryError (``registry-plain-http``), UsageError for unusable settings, StoppedError."""
        self._stop.check()
        while not fresh:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None:
                break
            if not connection.stale:
                return connection
            connection.close()
        host = self.host(origin.authority)
        if origin.scheme == "http" and not host.plain_http:
            raise RegistryError(
                "registry-plain-http",
                f"{origin.authority} would be asked without encryption",
                hint=f'if that is meant, set plain-http = true in [registry."{origin.authority}"] of config.toml',
            )
        return Connection(origin, self._settings, self._context(origin, host), self._stop)

    def give_back(self, connection: Connection) -> None:
        connection.used = True
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if connection.sock is not None and not self._closed and len(idle) < _MOST_IDLE:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connections = [c for idle in self._idle.values() for c in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def _context(self, origin: Origin, host: HostSettings) -> ssl.SSLContext | None:
        if origin.scheme == "http":
            return None
        key = (host.ca, host.client_cert, host.client_key)
        with self._lock:
            found = self._contexts.get(key)
            if found is None:
                found = self._contexts[key] = _trusting(host, origin.authority)
            return found


def _trusting(host: HostSettings, authority: str) -> ssl.SSLContext:
    """The system's authorities and the host's own; loading them takes 20 ms, so contexts are shared."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    file = ""
    try:
        for path in host.ca:
            file = os.fspath(path)
            context.load_verify_locations(file)
        if host.client_cert:
            file = os.fspath(host.client_cert)
            context.load_cert_chain(file, host.client_key, password="")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UsageError(
            "bad-certificates",
            f"{file} cannot be used for {authority}: {getattr(error, 'strerror', '') or error}",
            hint="it must be readable and in PEM form, the key without a passphrase",
        ) from error
    return context


def cut(error: Exception) -> CutError:
    """What went wrong, in words."""
    match error:
        case CutError():
            return error
        case ssl.SSLCertVerificationError():
            return CutError(f"its certificate is refused: {error.verify_message}", untrusted=True)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return CutError("it closed the connection")
        case ssl.SSLError():
            reason = (error.reason or str(error)).lower().replace("_", " ")
            return CutError(f"TLS failed: {reason}", permanent=True)
        case TimeoutError():
            own = str(error) if str(error).startswith("only ") else ""
            return CutError(own or "it said nothing for too long", slow=True)
        case socket.gaierror():
            return CutError(f"its name is not known ({error.strerror})")
        case http.client.RemoteDisconnected():
            return CutError("it closed the connection without an answer")
        case OSError():
            return CutError(error.strerror or str(error) or type(error).__name__)
        case http.client.BadStatusLine():
            return CutError("it does not speak HTTP")
        case http.client.IncompleteRead():
            return CutError("the connection ended too early")
        case _:
            return CutError(f"its answer is no HTTP ({type(error).__name__})")
