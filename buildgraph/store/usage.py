"""What `cache info` and `cache ls` tell: how much there is, and what it is good for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from buildgraph.store import reserve
from buildgraph.store.inventory import folder_size, take
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.local import LocalStore


@dataclass(frozen=True, slots=True)
class Part:
    """``size`` is in bytes on disk."""

    name: str
    count: int
    size: int


class Kept(NamedTuple):
    """One result or base layer with all that belongs to it. ``last`` is the second since 1970 of its last use."""

    label: str
    kinds: tuple[str, ...]
    tree: str
    layers: tuple[str, ...]
    size: int
    seconds: float
    reuses: int
    last: int


@dataclass(frozen=True, slots=True)
class Usage:
    parts: tuple[Part, ...]
    images: int
    garbage: int
    """Bytes that the next collection frees in any case."""

    @property
    def total(self) -> int:
        return sum(part.size for part in self.parts)


def info(store: "LocalStore") -> Usage:
    """Measures file by file; seconds for a big store."""
    with reserve.spent(store.home / "reserve"):
        inventory = take(store)
    blobs = [thing.size for name, thing in inventory.things.items() if ":" in name]
    snapshots = [thing.size for name, thing in inventory.things.items() if ":" not in name]
    parts = [
        Part("blobs", len(blobs), sum(blobs)),
        Part("snapshots", len(snapshots), sum(snapshots)),
        Part("records", inventory.records, folder_size(store.home / "records")),
    ]
    for name in ("volumes", "plans", "stat", "seen", "releases", "leases", "tmp", "trash"):
        folder = store.home / name
        parts.append(Part(name, sum(1 for _ in folder.iterdir()), folder_size(folder)))
    garbage = sum(inventory.things[name].size for name in inventory.loose)
    return Usage(tuple(parts), len(store.images.list()), garbage)


def ls(store: "LocalStore") -> Iterable[Kept]:
    """The biggest first."""
    with reserve.spent(store.home / "reserve"):
        inventory = take(store)
    kept = [
        Kept(
            unit.label,
            tuple(sorted({result.kind for result in unit.results})),
            unit.name,
            tuple(sorted(unit.layers)),
            sum(inventory.things[thing].size for thing in unit.things),
            unit.seconds,
            unit.reuses,
            unit.last,
        )
        for unit in inventory.units.values()
        if not unit.name.startswith("history:")
    ]
    return sorted(kept, key=lambda unit: (-unit.size, unit.label))
