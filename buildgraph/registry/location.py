"""Where does a request go next? URLs, redirects, ``Location`` and ``Link`` headers: decided, not carried out.

Only http and https; a name and password inside a URL are dropped. Another origin (scheme, host, port) never gets this
one's credentials; nobody is led from https to http.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from buildgraph.registry.failure import RegistryError, one_line
from buildgraph.values import dataclass

FOLLOWED: Final = frozenset((301, 302, 303, 307, 308))
MOST_REDIRECTS: Final = 10

_PORTS: Final = {"http": 80, "https": 443}
_SAFE: Final = "/%?=&:+,;@!$'()*~-._[]"
_LINK: Final = r'<([^<>]{0,8000})>((?:\s*;\s*[\w!#$&*+.^`|~-]+\s*(?:=\s*(?:"[^"]*"|[^\s",;]*))?)*)'
_REL: Final = r'(?i);\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]*))'


class Origin(NamedTuple):
    """``host`` in lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As it stands in a URL or reference: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Url:
    """``target`` is the path with its query, percent-encoded."""

    origin: Origin
    target: str

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Raises RegistryError (``registry-location``): a registry named it."""
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _bad(text, "is no URL") from error
        if parts.scheme not in _PORTS:
            raise _bad(text, "is neither http nor https")
        if not host or not host.isascii() or not re.fullmatch(r"[\w.:-]+", host):
            raise _bad(text, "names no host")
        target = quote(parts.path or "/", safe=_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=_SAFE)
        return cls(Origin(parts.scheme, host, port or _PORTS[parts.scheme]), target)

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.origin.authority}{self.target}"

    @property
    def shown(self) -> str:
        """For messages: a query may hold a signature that opens the blob to everybody."""
        return str(self).partition("?")[0]

    def at(self, target: str) -> "Url":
        return Url(self.origin, target)

    def with_query(self, query: str) -> "Url":
        """``query`` added to what is there already."""
        return self.at(self.target + ("&" if "?" in self.target else "?") + query)

    def follow(self, location: str) -> "Url":
        """What ``location`` in this URL's answer means. Raises RegistryError (``registry-location``)."""
        try:
            found = Url.parse(urljoin(str(self), location.strip()))
        except ValueError as error:
            raise _bad(location, "is no URL") from error
        if self.origin.scheme == "https" and found.origin.scheme == "http":
            raise _bad(location, f"would leave the encryption of {self.origin.authority}")
        return found


def next_page(headers: list[str], here: Url) -> Url | None:
    """The ``rel="next"`` of ``Link`` headers (RFC 8288), on the same origin. Raises ``registry-location``."""
    for header in headers:
        for target, params in re.findall(_LINK, header[:16384]):
            rel = re.search(_REL, params)
            if rel and "next" in (rel[1] or rel[2] or "").lower().split():
                found = here.follow(target)
                if found.origin != here.origin:
                    raise _bad(target, "leads to another host in the middle of a list")
                return found
    return None


def _bad(location: str, why: str) -> RegistryError:
    scheme, separator, rest = location.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    shown = one_line(f"{scheme}{separator}{host}" if separator else "a place")[:120]
    return RegistryError("registry-location", f"the registry leads to {shown}, which {why}")
