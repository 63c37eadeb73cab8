"""EXPOSE: ``[[ip:]host:]port[-port][/protocol]`` → the ports of an image's config. Host parts count for nothing."""

import ipaddress
from collections.abc import Iterable

from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.numbers import natural
from buildgraph.errors import UsageError

_PROTOCOLS = ("tcp", "udp", "sctp")
_LAST = 65535
_HINT = "write it as PORT, PORT/udp or FIRST-LAST"


def exposed_ports(words: Iterable[str], budget: Budget) -> tuple[str, ...]:
    """Such as ``80/tcp``, in the order of ``words``, as often as they name it. Raises UsageError ``bad-port``."""
    return tuple(port for word in words for port in _ports(word, budget))


def _ports(word: str, budget: Budget) -> list[str]:
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
    budget.spend(len(word) * (last - first + 1))
    return [f"{number}/{protocol}" for number in range(first, last + 1)]


def _range(word: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = [natural(each, _LAST) for each in (first, last if dash else first)]
    match numbers:
        case [int(low), int(high)] if low <= high:
            return low, high
        case _:
            raise _wrong(word, f"{text!r} is no port and no range of ports")


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
