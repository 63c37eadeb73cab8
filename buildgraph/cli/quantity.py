"""Amounts as people write them: sizes, ages, and the ``key=value,…`` of several options."""

import re
from collections.abc import Iterable, Mapping

from buildgraph.errors import UsageError

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_AGE = r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str) -> int:
    """Bytes: ``20GB`` is decimal, ``20GiB`` binary, ``20`` is bytes."""
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(
            "bad-size", f"{text!r} is not a size", hint="write it as 500MB, 20GB or 2GiB"
        )
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** _POWERS[match[2].lower()])


def parse_age(text: str) -> int:
    """Seconds: ``90s``, ``15m``, ``12h``, ``30d``, ``4w``."""
    match = re.fullmatch(_AGE, text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError("bad-age", f"{text!r} is not an age", hint="write it as 12h, 30d or 4w")
    return int(float(match[1]) * _SECONDS[match[2].lower()])


def parse_fields(
    option: str, text: str, known: Iterable[str], usage: str = ""
) -> Mapping[str, str]:
    """``a=1,b=2``, each of the ``known`` names at most once; ``usage`` says how where not all go together."""
    allowed = tuple(known)
    found: dict[str, str] = {}
    example = ",".join(f"{each}=…" for each in allowed)
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name not in allowed or name in found:
            raise UsageError(
                "bad-option-value",
                f"{option} {text!r}: {part!r} is not understood",
                hint=f"write it as {option} {usage or example}",
            )
        found[name] = value
    return found


def parse_pair(option: str, text: str) -> tuple[str, str]:
    """``NAME=VALUE``; the value may be empty."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(
            "bad-option-value",
            f"{option} {text!r} has no value",
            hint=f"write it as {option} NAME=VALUE",
        )
    return name, value


def show_size(count: int) -> str:
    """Decimal units: ``12.3 MB``."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def show_seconds(amount: float) -> str:
    """``50 ms``, ``1.5 s``, ``2 min 5 s``; nothing for what took no time."""
    if not amount:
        return ""
    if amount < 0.0995:
        return f"{amount * 1000:.0f} ms"
    if amount < 99.5:
        return f"{amount:.1f} s"
    return f"{round(amount) // 60} min {round(amount) % 60} s"
