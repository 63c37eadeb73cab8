"""Which things are least worth keeping. Pure: from an inventory and what sessions rely on, to candidates.

Leaves go first: units that no other unit's record was computed from. Among leaves, the lowest (rebuild seconds times
uses) per byte. What a session names stays, and so does what images consist of.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from buildgraph.store.grouping import Unit
from buildgraph.store.inventory import Inventory
from buildgraph.values import dataclass

_DAY: Final = 86_400
_BYTES_A_SECOND: Final = 100_000_000
"""Nothing is cheaper to make again than this: packing, unpacking."""
_HISTORY_SECONDS: Final = 10.0
"""What it is worth to explain a step's last decisions."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """``things`` (blobs by digest, snapshots by name) and ``keys`` (of records) go together or not at all.

    A session that names one of ``names`` keeps it. ``reason`` is one sentence for people.
    """

    label: str
    things: tuple[str, ...]
    keys: tuple[str, ...]
    names: frozenset[str]
    size: int
    reason: str


class Choice:
    """Call :meth:`older` and :meth:`until`, in this order, then :meth:`candidates` and :meth:`staying`."""

    def __init__(self, inventory: Inventory, pinned: frozenset[str]) -> None:
        self._inventory = inventory
        self._evicted: list[tuple[Unit, tuple[str, ...], str]] = []
        self._loose = [name for name in inventory.loose if not pinned.intersection(spellings(name))]
        self.freed = self._bytes(self._loose)
        self._sharers = inventory.sharers()
        self._all_sharers = inventory.sharers()
        self._above = inventory.dependents()
        self._below = defaultdict(list)
        for name, above in self._above.items():
            for upper in above:
                self._below[upper].append(name)
        self._free = {
            name: unit for name, unit in inventory.units.items() if not unit.names & pinned
        }

    def older(self, now: int, max_age: float) -> None:
        """Choose what was last used more than ``max_age`` seconds ago; a time in the future counts as now."""
        for unit in self._leaves(
            lambda unit: (0, unit.last), lambda unit: now - unit.last > max_age
        ):
            idle = now - unit.last
            self._evict(unit, f"not used for {_span(idle)}" if unit.last else "nothing uses it")

    def until(self, max_size: int) -> None:
        """Choose until at most ``max_size`` bytes stay, or nothing is left to choose."""

        def too_big(unit: Unit) -> bool:
            helps = bool(unit.things - self._inventory.rooted)
            return helps and self._inventory.total - self.freed > max_size

        for unit in self._leaves(self._rank, too_big):
            self._evict(unit, self._why(unit))
        # Results that were computed from each other have no leaf; the size is a hard number.
        for unit in sorted(self._free.values(), key=self._rank):
            if too_big(unit):
                self._evict(unit, self._why(unit))

    def candidates(self) -> Iterator[Candidate]:
        gone = {unit.name for unit, _, _ in self._evicted}
        kept_keys = {
            key
            for unit in self._inventory.units.values()
            if unit.name not in gone
            for key in unit.keys
        }
        for unit, things, reason in self._evicted:
            keys = tuple(sorted(unit.keys - kept_keys))
            yield Candidate(unit.label, things, keys, unit.names, self._bytes(things), reason)
        for name in self._loose:
            names = frozenset(spellings(name))
            yield Candidate(name, (name,), (), names, self._bytes([name]), "nothing refers to it")

    def staying(self) -> Iterator[tuple[str, int, str]]:
        """What was not chosen, as label, size and the reason, the biggest first."""
        gone = {unit.name for unit, _, _ in self._evicted}
        units = [unit for unit in self._inventory.units.values() if unit.name not in gone]
        found = [(unit.label, self._own(unit.things), self._holds(unit)) for unit in units]
        images = self._inventory.rooted.intersection(self._inventory.things)
        if images:
            found.append(("images", self._bytes(tuple(images)), "they have names"))
        yield from sorted(found, key=lambda one: (-one[1], one[0]))

    def _own(self, things: frozenset[str]) -> int:
        return self._bytes(tuple(things - self._inventory.rooted))

    def _holds(self, unit: Unit) -> str:
        if unit.name not in self._free:
            return "a running build uses it"
        if unit.things and unit.things <= self._inventory.rooted:
            return "an image consists of it"
        return f"within the limits: {self._why(unit)}"

    def _leaves(
        self, rank: Callable[[Unit], tuple[float, int]], wanted: Callable[[Unit], bool]
    ) -> Iterator[Unit]:
        """Wanted leaves, the lowest rank first; when the caller evicts one, those below it may become leaves."""
        heap = [(rank(unit), name) for name, unit in self._free.items() if not self._above[name]]
        heapq.heapify(heap)
        while heap:
            _, name = heapq.heappop(heap)
            unit = self._free[name]
            if not wanted(unit):
                continue
            yield unit
            for lower in self._below[name]:
                if lower in self._free and not self._above[lower]:
                    heapq.heappush(heap, (rank(self._free[lower]), lower))

    def _evict(self, unit: Unit, reason: str) -> None:
        self._sharers.subtract(unit.things)
        rooted = self._inventory.rooted
        alone = tuple(sorted(t for t in unit.things if self._sharers[t] <= 0 and t not in rooted))
        del self._free[unit.name]
        self._evicted.append((unit, alone, reason))
        self.freed += self._bytes(alone)
        for lower in self._below[unit.name]:
            self._above[lower].discard(unit.name)

    def _rank(self, unit: Unit) -> tuple[float, int]:
        return self._worth(unit), unit.last

    def _worth(self, unit: Unit) -> float:
        share = max(self._share(unit), 1.0)
        seconds = max(unit.seconds, share / _BYTES_A_SECOND)
        if unit.name.startswith("history:"):
            seconds = _HISTORY_SECONDS
        return seconds * (1 + unit.reuses) / share

    def _share(self, unit: Unit) -> float:
        """The bytes it is answerable for; of what it shares with others, its part."""
        things = unit.things - self._inventory.rooted
        known = self._inventory.things
        return sum(known[thing].size / self._all_sharers[thing] for thing in things)

    def _why(self, unit: Unit) -> str:
        uses = {0: "never reused", 1: "reused once"}.get(unit.reuses, f"reused {unit.reuses} times")
        took = f"{unit.seconds:.1f} s" if unit.seconds >= 0.05 else "no time"
        return f"{took} to make, {uses}"

    def _bytes(self, things: list[str] | tuple[str, ...]) -> int:
        return sum(self._inventory.things[thing].size for thing in things)


def _span(seconds: int) -> str:
    days, hours, minutes = seconds // _DAY, seconds // 3600, seconds // 60
    count, unit = (days, "day") if days else (hours, "hour") if hours else (minutes, "minute")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def spellings(thing: str) -> tuple[str, ...]:
    """How a session may have named a blob or snapshot: a snapshot also goes by the digest it is named after."""
    sort, dash, hex_ = thing.partition("-")
    if not dash:
        return (thing,)
    return thing, f"{'blake3' if sort == 'tree' else sort}:{hex_}"
