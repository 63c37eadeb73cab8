"""How is a host reached? Its name looked up, its addresses tried, perhaps through a proxy, and encrypted.

    host            the connection is its own
    http proxy      requests for http name the whole address; for https the proxy is asked to CONNECT
    https proxy     the same, and what is said to the proxy is encrypted
    SOCKS 5 proxy   it connects, for both

All of it can be stopped while it is waited for, and each wait ends with the connect timeout. A name is looked up by a
thread that is left behind when nobody waits for it any longer, since the system's resolver cannot be interrupted.
"""

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

from buildgraph.registry.failure import CutError, one_line
from buildgraph.registry.location import Origin
from buildgraph.registry.message import Exchange, MessageError, Wire
from buildgraph.registry.proxy import ProxyServer
from buildgraph.registry.stopping import Stop
from buildgraph.values import dataclass

if TYPE_CHECKING:
    import ssl

FAILURES: Final = (OSError, MessageError, ValueError)
"""What a broken connection or a host that speaks no HTTP makes reading and writing raise."""

_SLICE: Final = 0.05
"""Seconds between two looks whether a name is still wanted."""

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """``tls`` is for ``origin``, None for http; ``proxy_tls`` for a proxy that is reached by https. ``patience`` in
    seconds, for each step."""

    origin: Origin
    patience: float
    tls: "ssl.SSLContext | None" = None
    proxy: ProxyServer | None = None
    proxy_tls: "ssl.SSLContext | None" = None

    @property
    def forwarding(self) -> ProxyServer | None:
        """The proxy that reads each request, because it is no tunnel."""
        proxy = self.proxy
        return proxy if proxy and proxy.kind != "socks5" and not self.tls else None


def dial(route: Route, stop: Stop) -> Wire:
    """Raises CutError; OSError of the host's own TLS; StoppedError. The caller closes."""
    host, port = route.proxy[1:3] if route.proxy else route.origin[1:3]
    try:
        sock = _reached(host, port, route.patience, stop)
    except FAILURES as error:
        whose = f"its proxy {route.proxy.authority}" if route.proxy else ""
        raise _unreached(error, whose) from error
    try:
        wire = _through(route, sock, stop)
        return _encrypted(route, wire, stop)
    except BaseException:
        sock.close()
        raise


def cut(error: Exception) -> CutError:
    """What went wrong, in words."""
    match error:
        case CutError():
            return error
        case OSError() if type(error).__module__ == "ssl":
            from buildgraph.registry.tls import told

            return told(error)
        case TimeoutError():
            own = str(error) if str(error).startswith(("only ", "its name ")) else ""
            return CutError(own or "it said nothing for too long", slow=True)
        case socket.gaierror():
            return CutError(f"its name is not known ({error.strerror})")
        case OSError():
            return CutError(error.strerror or str(error) or type(error).__name__)
        case MessageError():
            return CutError(str(error))
        case _:
            return CutError(f"its answer is no HTTP ({type(error).__name__})")


def _unreached(error: Exception, whose: str = "") -> CutError:
    failure = cut(error)
    failure.reached = False
    if whose:
        failure.reason = f"{whose}: {failure.reason}"
    return failure


def _reached(host: str, port: int, patience: float, stop: Stop) -> socket.socket:
    """A connection to the first of the host's addresses that answers; it can be stopped while it is made."""
    failure = OSError("it has no address")
    for family, kind, protocol, _, address in _looked_up(host, port, patience, stop):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(patience)
            stop.watch(sock)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
            stop.check()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


class _Question(threading.Thread):
    """A name that is being looked up."""

    def __init__(self, host: bytes, port: int) -> None:
        super().__init__(name="resolve", daemon=True)
        self._asked = (host, port)
        self.addresses: list[_Address] = []
        self.failure: OSError | None = None

    def run(self) -> None:
        try:
            self.addresses = cast(
                "list[_Address]", socket.getaddrinfo(*self._asked, type=socket.SOCK_STREAM)
            )
        except OSError as error:
            self.failure = error


def _looked_up(host: str, port: int, patience: float, stop: Stop) -> list[_Address]:
    name = host.encode("ascii" if host.isascii() else "idna")
    try:
        numeric = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        return cast("list[_Address]", numeric)
    except socket.gaierror:
        pass
    question = _Question(name, port)
    question.start()
    end = time.monotonic() + patience
    while question.is_alive():
        question.join(_SLICE)
        stop.check()
        if time.monotonic() > end:
            message = f"its name was not found within {patience:.0f} s"
            raise TimeoutError(message)
    if question.failure:
        raise question.failure
    return question.addresses


def _through(route: Route, sock: socket.socket, stop: Stop) -> Wire:
    """Past the proxy, if there is one."""
    proxy = route.proxy
    if proxy is None:
        return sock
    wire: Wire = sock
    try:
        if route.proxy_tls:
            wire = _wrapped(route.proxy_tls, sock, proxy.host, stop)
        if proxy.kind == "socks5":
            from buildgraph.registry import socks

            socks.connect(wire, route.origin.host, route.origin.port, proxy.user, proxy.password)
        elif route.tls:
            _open_tunnel(wire, route.origin, proxy)
    except CutError as error:
        error.reached = False
        raise
    except FAILURES as error:
        stop.check()
        raise _unreached(error, "its proxy") from error
    return wire


def _open_tunnel(wire: Wire, origin: Origin, proxy: ProxyServer) -> None:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}"
    exchange = Exchange("CONNECT", target, {"Host": target, **proxy.headers})
    wire.sendall(exchange.head)
    answer = exchange.answer(wire)
    if not 200 <= answer.status < 300:
        reason = f"{answer.status} {one_line(answer.reason)}".rstrip()
        raise CutError(f"its proxy answers {reason}", permanent=answer.status < 500)


def _encrypted(route: Route, wire: Wire, stop: Stop) -> Wire:
    if not route.tls:
        return wire
    if isinstance(wire, socket.socket) and type(wire) is socket.socket:
        return _wrapped(route.tls, wire, route.origin.host, stop)
    from buildgraph.registry.tls import Nested

    nested = Nested(wire, route.tls, route.origin.host)
    nested.do_handshake()
    return nested


def _wrapped(
    context: "ssl.SSLContext", sock: socket.socket, name: str, stop: Stop
) -> "ssl.SSLSocket":
    wrapped = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
    try:
        stop.watch(wrapped)
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped
