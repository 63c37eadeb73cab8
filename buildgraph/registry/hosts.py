"""Which registry does a host name mean, and is it this machine?

A host is ``name[:port]`` or ``[IPv6][:port]`` as a reference writes it; docker.io has several names.
"""

import re
from typing import Final

from buildgraph.errors import UsageError

DOCKER_HUB = "docker.io"
_LOOPBACK_6: Final = bytes(15) + b"\x01"
_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io"})
PATTERN: Final = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_WRITTEN: Final = rf"(?:https?://)?({PATTERN})(?:/|/v[12]/?)?"


def parse(text: str) -> str:
    """A registry as people write it to log in (``https://index.docker.io/v1/``) → its canonical host.

    Raises UsageError ``bad-registry``.
    """
    found = re.fullmatch(_WRITTEN, text)
    if not found:
        host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
        hint = f"a login is for a whole registry: {host}" if re.fullmatch(PATTERN, host) else ""
        raise UsageError(
            "bad-registry",
            f"{text!r} is not a registry",
            hint=hint or "write it as host or host:port",
        )
    return canonical(found[1])


def canonical(host: str) -> str:
    """The one name under which a registry's settings and credentials are kept; no host means docker.io."""
    host = host.lower()
    return DOCKER_HUB if host in _HUB_NAMES else host


def split_port(host: str) -> tuple[str, int | None]:
    """``[::1]:5000`` → ``("::1", 5000)``; a port that is no number is part of no host and is left out."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":")
    elif host.count(":") > 1:
        return host, None  # a bare IPv6 address
    else:
        name, _, port = host.partition(":")
    return name, int(port) if port.isascii() and port.isdigit() else None


def is_loopback(host: str) -> bool:
    """Does what is sent to ``host`` stay on this machine, whatever a name server says?"""
    name = split_port(host)[0].rstrip(".").lower()
    if name == "localhost" or not (":" in name or name[:1].isdigit()):
        return name == "localhost"
    from socket import AF_INET, AF_INET6, inet_pton

    try:
        if ":" in name:
            return inet_pton(AF_INET6, name) == _LOOPBACK_6
        return inet_pton(AF_INET, name)[0] == 127
    except (OSError, UnicodeEncodeError):
        return False
