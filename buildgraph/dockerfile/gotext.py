"""How does Go print a value? A history line holds texts that BuildKit made with ``fmt``'s ``%q`` and ``%v``."""

from collections.abc import Iterable

from buildgraph.oci.config import Healthcheck

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_SECOND = 1_000_000_000


def quoted(text: str) -> str:
    """``%q`` of a string (Go's ``strconv.Quote``)."""
    return f'"{"".join(map(_escaped, text))}"'


def quoted_list(words: Iterable[str]) -> str:
    """``%q`` of a slice of strings."""
    return f"[{' '.join(map(quoted, words))}]"


def plain_list(words: Iterable[str]) -> str:
    """``%v`` of a slice of strings."""
    return f"[{' '.join(words)}]"


def duration(nanoseconds: int) -> str:
    """``Duration.String``: ``1h0m30s``, ``1.5s``, ``250ms``; ``0s`` for nothing."""
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if rest < size * 1000:
            return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, below = divmod(rest, 60 * _SECOND)
    text = f"{_decimal(below, _SECOND)}s"
    if minutes:
        hours, left = divmod(minutes, 60)
        text = f"{hours}h{left}m{text}" if hours else f"{left}m{text}"
    return sign + text


def healthcheck(check: Healthcheck) -> str:
    """``%+v`` of docker's ``HealthcheckConfig``."""
    times = (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    )
    told = " ".join(f"{name}:{duration(value)}" for name, value in times)
    return f"{{Test:{plain_list(check.test)} {told} Retries:{check.retries}}}"


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _decimal(value: int, unit: int) -> str:
    """``value / unit`` exactly, without zeros at the end."""
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0")
