"""In which order can names be dealt with, and which need themselves?

Depth-first, without recursion: a chain may have a hundred thousand links.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Walk(NamedTuple):
    """``order``: every name after all that it needs, cycles aside. A name is in at most one of ``cycles``."""

    order: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]


def walk(edges: Mapping[str, Iterable[str]]) -> Walk:
    """Names that are no keys of ``edges`` are passed over."""
    order: dict[str, None] = {}
    cycles: list[tuple[str, ...]] = []
    for start in edges:
        if start in order:
            continue
        path, at = [start], {start: 0}
        pending = [iter(edges[start])]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                last = path.pop()
                del at[last]
                order[last] = None
            elif step in at:
                cycles.append(tuple(path[at[step] :]))
            elif step not in order and step in edges:
                at[step] = len(path)
                path.append(step)
                pending.append(iter(edges[step]))
    return Walk(tuple(order), _disjoint(cycles))


def _disjoint(cycles: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    seen: set[str] = set()
    kept = []
    for cycle in cycles:
        if not seen.intersection(cycle):
            kept.append(cycle)
        seen.update(cycle)
    return tuple(kept)
