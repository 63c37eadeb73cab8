"""Results on standard output: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence


def line(text: str = "") -> None:
    """Written at once, so that it is known here whether it could be."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def document(value: object) -> None:
    """Indented JSON; what is not UTF-8 in a path is escaped."""
    line(json.dumps(value, indent=2))


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns two spaces apart; nothing at all without rows."""
    if not rows:
        return
    widths = [max(len(row[at]) for row in (heading, *rows)) for at in range(len(heading))]
    for row in (tuple(name.upper() for name in heading), *rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line(text.rstrip())
