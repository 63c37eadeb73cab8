"""EXPOSE: ``[[ip:]host:]port[-port][/protocol]`` → the ports of an image's config. Host parts count for nothing."""

import ipaddress
from collections.abc import Iterable

from buildgraph.errors import UsageError

_PROTOCOLS = ("tcp", "udp", "sctp")
_HINT = "write it as PORT, PORT/udp or FIRST-LAST"


def exposed_ports(words: Iterable[str]) -> tuple[str, ...]:
    """Such as ``80/tcp``; sorted as texts, each once. Raises UsageError ``bad-port``."""
    return tuple(sorted({port for word in words for port in _ports(word)}))


def _ports(word: str) -> list[str]:
    head, _, container = word.rpartition(":")
    port, slash, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if not port or (slash and protocol not in _PROTOCOLS):
        why = f"{protocol!r} is no protocol" if port else "it names no port"
        raise _wrong(word, why)
    first, last = _range(word, port)
    ip, _, host = head.rpartition(":")
    _check_address(word, ip)
    if host:
        low, high = _range(word, host)
        if high - low != last - first and first != last:
            raise _wrong(word, "the ranges of its ports differ in length")
    return [f"{number}/{protocol}" for number in range(first, last + 1)]


def _range(word: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [first, last if dash else first]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise _wrong(word, f"{text!r} is no port")
    low, high = map(int, numbers)
    if not low <= high <= 65535:
        raise _wrong(word, f"{text!r} is no range of ports")
    return low, high


def _check_address(word: str, text: str) -> None:
    if not text:
        return
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise _wrong(word, f"{text!r} is no IP address") from error


def _wrong(word: str, why: str) -> UsageError:
    return UsageError("bad-port", f"EXPOSE {word}: {why}", hint=_HINT)
