"""Through which proxy is a host reached? As the usual variables say it, read as Go's programs do.

``http_proxy`` and ``https_proxy`` by the scheme of the request, else ``all_proxy``; lower case wins over upper. What
``no_proxy`` lists is reached directly: names with all below them (``.name``: only those below), addresses, networks
(``10.0.0.0/8``), each with an optional port, or ``*``. Loopback addresses never go through a proxy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from buildgraph.errors import UsageError
from buildgraph.registry.hosts import is_loopback, split_port

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxies:
    """URLs may hold a password, so they are in no repr. ``direct`` is ``no_proxy``, split."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    direct: tuple[str, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Proxies":
        def value(name: str) -> str:
            return environ.get(name, "") or environ.get(name.upper(), "")

        fallback = value("all_proxy")
        urls = {scheme: value(f"{scheme}_proxy") or fallback for scheme in _DEFAULT_PORTS}
        words = value("no_proxy").replace(",", " ").split()
        return cls({s: url for s, url in urls.items() if url}, tuple(w.lower() for w in words))

    def choose(self, scheme: str, host: str) -> str | None:
        """The proxy's URL, ``http://…`` or ``https://…``. Raises UsageError ``unsupported-proxy`` for another kind."""
        url = self.urls.get(scheme)
        if not url or is_loopback(host) or self._is_direct(scheme, host):
            return None
        kind, separator, _ = url.partition("://")
        if not separator:
            return f"http://{url}"
        if kind.lower() not in _DEFAULT_PORTS:
            raise UsageError(
                "unsupported-proxy",
                f"a {kind[:20]} proxy is set for {host}, and only http proxies are supported",
                hint=f"set {scheme}_proxy to an http proxy, or add {split_port(host)[0]} to no_proxy",
            )
        return url

    def _is_direct(self, scheme: str, host: str) -> bool:
        name, port = split_port(host)
        port = port or _DEFAULT_PORTS[scheme]
        return any(_covers(entry, name.rstrip(".").lower(), port) for entry in self.direct)


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
