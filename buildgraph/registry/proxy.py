"""Through which proxy is a host reached? As the usual variables say it, read as Go's programs do.

``http_proxy`` and ``https_proxy`` by the scheme of the request, else ``all_proxy``; lower case wins over upper. What
``no_proxy`` lists is reached directly: names with all below them (``.name``: only those below), addresses, networks
(``10.0.0.0/8``), each with an optional port, or ``*``. Loopback addresses never go through a proxy.

A proxy is spoken to in http, https or SOCKS 5 (``socks5://``, ``socks5h://``), as its URL says, else in http.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from buildgraph.errors import UsageError
from buildgraph.registry.hosts import is_loopback, split_port
from buildgraph.values import dataclass, field

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_KINDS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class ProxyServer(NamedTuple):
    """``kind`` is ``http``, ``https`` or ``socks5``."""

    kind: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"ProxyServer({self.kind}://{self.authority})"

    @property
    def headers(self) -> dict[str, str]:
        """Who we are to it."""
        if not self.user:
            return {}
        token = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {token}"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """``urls`` by the scheme of requests, as they were written. ``direct`` is ``no_proxy``, split."""

    urls: Mapping[str, str] = field(default_factory=dict)
    direct: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Proxies(for {', '.join(self.urls) or 'nothing'})"  # URLs may hold a password

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Proxies":
        def value(name: str) -> str:
            return environ.get(name, "") or environ.get(name.upper(), "")

        fallback = value("all_proxy")
        urls = {scheme: value(f"{scheme}_proxy") or fallback for scheme in _DEFAULT_PORTS}
        words = value("no_proxy").replace(",", " ").split()
        return cls({s: url for s, url in urls.items() if url}, tuple(w.lower() for w in words))

    def choose(self, scheme: str, host: str) -> ProxyServer | None:
        """For requests of ``scheme`` to ``host``. Raises UsageError ``unsupported-proxy``."""
        url = self.urls.get(scheme)
        if not url or is_loopback(host) or self._is_direct(scheme, host):
            return None
        try:
            return _parsed(url if "://" in url else f"http://{url}")
        except ValueError:
            kind = url.partition("://")[0][:20] if "://" in url else "a proxy that is no URL"
            raise UsageError(
                "unsupported-proxy",
                f"the proxy for {host} is {kind!r}, and http, https and socks5 are supported",
                hint=f"correct {scheme}_proxy, or add {split_port(host)[0]} to no_proxy",
            ) from None

    def _is_direct(self, scheme: str, host: str) -> bool:
        name, port = split_port(host)
        port = port or _DEFAULT_PORTS[scheme]
        return any(_covers(entry, name.rstrip(".").lower(), port) for entry in self.direct)


def _parsed(url: str) -> ProxyServer:
    """Raises ValueError."""
    parts = urlsplit(url)
    kind, host = parts.scheme.lower(), parts.hostname
    if kind not in _KINDS or not host:
        raise ValueError(kind)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    port = parts.port or _KINDS[kind]
    return ProxyServer(kind.removesuffix("h"), host, port, user, password)


def _covers(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, name)
    wanted, wanted_port = split_port(entry)
    if wanted_port not in (None, port):
        return False
    wanted = wanted.removeprefix("*")
    if wanted.startswith("."):
        return name.endswith(wanted)
    return name == wanted or name.endswith(f".{wanted}")


def _in_network(entry: str, name: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(name) in ip_network(entry, strict=False)
    except ValueError:
        return False
