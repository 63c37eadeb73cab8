"""What is left of a table when what is wrong in it is taken out, so that the rest can still be looked at?

A key goes with its value. An item of an array leaves a blank of its kind behind: the others keep their places.
"""

from collections.abc import Collection
from typing import Any

from buildgraph.spec.position import Path

_OF_TABLES = ("copy", "mounts")
"""Arrays whose items are tables."""


def without(table: Any, bad: Collection[Path], key: str | int = "") -> Any:
    """``table``, which stands at ``key``."""
    if not bad:
        return table
    heads: dict[str | int, list[Path]] = {}
    for place in bad:
        if place:
            heads.setdefault(place[0], []).append(place[1:])
    if isinstance(table, list):
        blank = {} if key in _OF_TABLES else "?"
        return [
            blank if () in heads.get(at, ()) else without(item, heads.get(at, ()), key)
            for at, item in enumerate(table)
        ]
    return {
        name: without(value, heads.get(name, ()), name)
        for name, value in table.items()
        if () not in heads.get(name, ())
    }
