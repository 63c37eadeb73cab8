"""How long is ``1h30m``? Durations as Go writes them, in nanoseconds."""

import re
from decimal import Decimal
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST: Final = 100
_MOST: Final = 1 << 63


def parse_duration(text: str) -> int | None:
    """Negative ones too; None for what is no duration."""
    sign = -1 if text[:1] == "-" else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body) <= _LONGEST:
        part = _PART.match(body, at)
        if part is None:
            return None
        total += int(Decimal(part[1]) * _UNITS[part[2]])
        at = part.end()
    return sign * total if at and total < _MOST else None
