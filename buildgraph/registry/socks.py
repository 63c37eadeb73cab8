"""How does a SOCKS proxy connect us? Version 5 (RFC 1928), by name, with a password where it wants one (RFC 1929).

    →  05 METHODS                      which ways of saying who we are we know: 00 nobody, 02 user and password
    ←  05 METHOD
    →  01 USER PASSWORD    ← 01 00     only for method 02; texts with their length before them
    →  05 01 00 ADDRESS PORT           connect; 01 and four bytes, 04 and sixteen, or 03 and a name with its length
    ←  05 REPLY 00 ADDRESS PORT        00: from here on the connection is that to the host

The proxy looks names up, as it does for Go's programs whether ``socks5`` or ``socks5h`` is written.
"""

import socket
from typing import Final

from buildgraph.registry.failure import CutError
from buildgraph.registry.message import Wire

_REPLIES: Final = {
    1: "it failed",
    2: "that is not allowed",
    3: "the network cannot be reached",
    4: "the host cannot be reached",
    5: "the connection was refused",
    6: "it took too long",
    7: "it does not know how",
    8: "it does not know that kind of address",
}
_FINAL: Final = (2, 7, 8)
_REFUSED: Final = "its SOCKS proxy does not take the user and password"


def connect(wire: Wire, host: str, port: int, user: str, password: str) -> None:
    """Raises CutError, OSError."""
    wire.sendall(bytes((5, 2, 0, 2)) if user else bytes((5, 1, 0)))
    version, method = _read(wire, 2)
    if version != 5:
        raise CutError("its proxy does not speak SOCKS 5", permanent=True)
    if method == 2 and user:
        _sign_in(wire, user, password)
    elif method != 0:
        why = _REFUSED if user else "its SOCKS proxy wants a user and password"
        raise CutError(why, permanent=True)
    wire.sendall(bytes((5, 1, 0)) + _address(host) + port.to_bytes(2, "big"))
    _, reply, _, kind = _read(wire, 4)
    if reply:
        said = _REPLIES.get(reply, f"it answers {reply}")
        raise CutError(f"its SOCKS proxy says: {said}", permanent=reply in _FINAL)
    length = {1: 4, 4: 16}.get(kind) or _read(wire, 1)[0]
    _read(wire, length + 2)


def _sign_in(wire: Wire, user: str, password: str) -> None:
    wire.sendall(b"\x01" + _text(user.encode()) + _text(password.encode()))
    if _read(wire, 2)[1]:
        raise CutError(_REFUSED, permanent=True)


def _address(host: str) -> bytes:
    for mark, family in ((b"\x01", socket.AF_INET), (b"\x04", socket.AF_INET6)):
        try:
            return mark + socket.inet_pton(family, host)
        except OSError:
            continue
    return b"\x03" + _text(host.encode("idna"))


def _text(content: bytes) -> bytes:
    if len(content) > 255:
        raise CutError("a SOCKS proxy takes no text of more than 255 bytes", permanent=True)
    return bytes((len(content),)) + content


def _read(wire: Wire, size: int) -> bytes:
    content = bytearray(size)
    at = 0
    while at < size:
        count = wire.recv_into(memoryview(content)[at:])
        if not count:
            raise CutError("its proxy closed the connection")
        at += count
    return bytes(content)
