"""What the store holds, with sizes, grouped into units that can be evicted together.

Nothing here is named in a lease, and nothing is changed.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildgraph.store.blobs import listed
from buildgraph.store.grouping import Grouping, Unit
from buildgraph.store.reach import reached
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.local import LocalStore


class Thing(NamedTuple):
    """A blob or snapshot: bytes on disk, and the second since 1970 of its last change."""

    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """``things`` are by blob digest and snapshot name; ``rooted`` the blobs that images consist of."""

    units: Mapping[str, Unit]
    things: Mapping[str, Thing]
    rooted: frozenset[str]
    loose: tuple[str, ...]
    """Blobs and snapshots that no unit and no image has."""
    stale: tuple[str, ...]
    """Keys of records that lead nowhere."""
    records: int

    @property
    def total(self) -> int:
        return sum(thing.size for thing in self.things.values())

    def sharers(self) -> Counter[str]:
        """How many units have a thing."""
        return Counter(thing for unit in self.units.values() for thing in unit.things)

    def dependents(self) -> dict[str, set[str]]:
        """By unit: the other units whose records were computed from it."""
        makers = defaultdict(set)
        for unit in self.units.values():
            for identity in unit.identities:
                makers[identity].add(unit.name)
        above: dict[str, set[str]] = {name: set() for name in self.units}
        for unit in self.units.values():
            for result in unit.results:
                for identity in result.identities:
                    for maker in makers.get(identity, ()):
                        if maker != unit.name:
                            above[maker].add(unit.name)
        return above


def take(store: "LocalStore") -> Inventory:
    """Look at everything; seconds for a big store, because snapshots are measured file by file."""
    snapshots = os.listdir(store.snapshots_dir)
    things = dict(_things(store, snapshots))
    index = store.index()
    records = {key: index.get(key) for key in index.keys()}  # noqa: SIM118 - no mapping
    images = frozenset[str](r.digest for r in reached(store.home, store.images.roots()))
    grouped = Grouping(records, images, snapshots)
    there = frozenset(things)
    for unit in grouped.units.values():
        unit.restrict(there)
        if not unit.results:
            unit.last = max([unit.last, *(things[thing].changed for thing in unit.things)])
    owned = {thing for unit in grouped.units.values() for thing in unit.things}
    loose = tuple(sorted(things.keys() - owned - grouped.rooted))
    return Inventory(grouped.units, things, grouped.rooted, loose, grouped.stale, len(records))


def _things(store: "LocalStore", snapshots: list[str]) -> Iterator[tuple[str, Thing]]:
    for digest, path in listed(store.home):
        found = _lstat(path)
        if found:
            yield digest, Thing(found.st_blocks * 512, int(found.st_ctime))
    for name in snapshots:
        path = store.snapshots_dir / name
        found = _lstat(path)
        if found:
            yield name, Thing(folder_size(path), int(found.st_ctime))


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def folder_size(path: Path) -> int:
    """Bytes on disk of everything below, a file with several names once; what cannot be looked at is not counted."""
    found = _lstat(path)
    total = found.st_blocks * 512 if found else 0
    pending = [str(path)] if path.is_dir() else []
    linked: set[int] = set()
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    stat = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif stat.st_nlink > 1:
                        if stat.st_ino in linked:
                            continue
                        linked.add(stat.st_ino)
                    total += stat.st_blocks * 512
        except OSError:
            continue
    return total
