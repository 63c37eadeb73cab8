"""Which connection does a request take? Those to a host are kept for the next one.

Unencrypted http is spoken only to hosts whose settings allow it. Everything that goes wrong on the way is a
:class:`CutError`; a connection is given back to the pool only after an answer that was read to its end.
"""

import select
import threading
from typing import TYPE_CHECKING, Final

from buildgraph.registry.dial import Route, dial
from buildgraph.registry.failure import RegistryError
from buildgraph.registry.location import Origin
from buildgraph.registry.message import Answer, Exchange, Wire
from buildgraph.registry.settings import HostSettings, Settings
from buildgraph.registry.stopping import Stop

if TYPE_CHECKING:
    import ssl

_MOST_IDLE: Final = 16
"""As many as ask at once: who looks records up in a remote cache."""


class Connection:
    """One connection; not shared between threads while it is taken. ``used``: for an answered request."""

    def __init__(self, route: Route, idle: float, stop: Stop) -> None:
        """``idle``: seconds that the other side may say nothing."""
        self.origin = route.origin
        self.wire: Wire | None = None
        self.used = False
        self._route = route
        self._idle = idle
        self._stop = stop
        self._exchange: Exchange | None = None

    def begin(self, method: str, target: str, headers: dict[str, str]) -> Wire:
        """Send the head of a request; its body goes to what is returned."""
        if self.wire is None:
            self.wire = dial(self._route, self._stop)
        self.wire.settimeout(self._idle)
        all_headers = {"Host": self.origin.authority, **headers}
        if proxy := self._route.forwarding:
            target = f"http://{self.origin.authority}{target}"
            all_headers |= proxy.headers
        self._exchange = Exchange(method, target, all_headers)
        self.wire.sendall(self._exchange.head)
        return self.wire

    def wait_longer(self, factor: float) -> None:
        """For an answer that takes work, as taking over a whole blob does."""
        if self.wire:
            self.wire.settimeout(self._idle * factor)

    def answer(self) -> Answer:
        assert self.wire
        assert self._exchange
        return self._exchange.answer(self.wire)

    @property
    def stale(self) -> bool:
        """An idle connection with something to read was closed by the other side."""
        if self.wire is None:
            return True
        poll = select.poll()
        poll.register(self.wire.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        wire, self.wire = self.wire, None
        if wire:
            wire.close()


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
        return Connection(self._route(origin), self._settings.timeouts.idle, self._stop)

    def give_back(self, connection: Connection) -> None:
        connection.used = True
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if connection.wire is not None and not self._closed and len(idle) < _MOST_IDLE:
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

    def _route(self, origin: Origin) -> Route:
        host = self.host(origin.authority)
        if origin.scheme == "http" and not host.plain_http:
            raise RegistryError(
                "registry-plain-http",
                f"{origin.authority} would be asked without encryption",
                hint=f'if that is meant, set plain-http = true in [registry."{origin.authority}"] of config.toml',
            )
        tls = self._context(origin.authority) if origin.scheme == "https" else None
        proxy = self._settings.proxy_for(origin.scheme, origin.authority)
        proxy_tls = self._context(proxy.authority) if proxy and proxy.kind == "https" else None
        return Route(origin, self._settings.timeouts.connect, tls, proxy, proxy_tls)

    def _context(self, authority: str) -> "ssl.SSLContext":
        """Loading the system's authorities takes 20 ms, so contexts are shared."""
        host = self.host(authority)
        key = (host.ca, host.client_cert, host.client_key)
        with self._lock:
            found = self._contexts.get(key)
            if found is None:
                from buildgraph.registry.tls import trusting

                found = self._contexts[key] = trusting(host, authority)
            return found
