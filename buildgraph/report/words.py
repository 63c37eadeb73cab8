"""How amounts and styles read: bytes, seconds, counts, and the few colours of a terminal."""

import os
import re
from typing import TextIO

WORTH_SHOWING = 1_000_000
"""Bytes that a person sees moving; smaller blobs are over before anybody has read their digest."""

_UNITS = ("B", "kB", "MB", "GB", "TB")
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_CONTROL = (  # compiled by its first use
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI sequences, colours among them
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC sequences (titles, links)
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def size(count: int) -> str:
    """Decimal units with three digits, as ``ls --si`` and registries count: ``999 B``, ``1.23 MB``."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 999.5 or unit == _UNITS[-1]:
            break
        amount /= 1000
    if unit == "B":
        return f"{count} B"
    places = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
    return f"{amount:.{places}f} {unit}"


def seconds(amount: float) -> str:
    if amount < 0.0995:
        return f"{amount * 1000:.0f} ms"
    if amount < 99.5:
        return f"{amount:.1f} s"
    minutes, rest = divmod(round(amount), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def columns(stream: TextIO) -> int:
    """How wide the terminal is; 0 if it does not know, or is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 0


def paint(text: str, style: str, *, on: bool) -> str:
    """``style`` is a name such as ``bold`` or ``red``."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if on and text else text


def clean(line: str) -> str:
    """A line of a command's output without what would move the cursor; of a progress bar, its last state."""
    shown = line.rstrip("\r")
    return re.sub(_CONTROL, "", shown.rpartition("\r")[2]).replace("\t", "    ")
