"""What the store holds, grouped into what can be evicted together.

A :class:`Unit` is one tree with everything that only it is good for: the action records that yielded it, the layers
it became, their facts, compressed forms and snapshots. A layer that no record yielded (a base's) is a unit too. Units
depend on each other by the identities in their records. Nothing here is named in a lease, and nothing is changed.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.digest import ActionKey, Digest
from buildgraph.store.actions import decode_result, use_of
from buildgraph.store.base import ActionResult
from buildgraph.store.blobs import listed
from buildgraph.store.layers import decode_facts, decode_forms, parsed
from buildgraph.store.reach import reached

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.local import LocalStore


@dataclass(slots=True)
class Unit:
    """``name`` is the tree's digest, or the diff ID of a layer without a record."""

    name: str
    results: list[ActionResult] = field(default_factory=list)
    layers: set[Digest] = field(default_factory=set)
    trees: set[Digest] = field(default_factory=set)
    forms: set[Digest] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    """Record keys that go when the unit goes."""
    reuses: int = 0
    last: int = 0
    steps: set[str] = field(default_factory=set)

    @property
    def identities(self) -> frozenset[str]:
        """What a record above may name this unit by."""
        return frozenset({self.name, *self.layers})

    @property
    def things(self) -> frozenset[str]:
        """Blobs by digest and snapshots by name."""
        return frozenset({*self.trees, *self.forms, *self.snapshots})

    @property
    def names(self) -> frozenset[str]:
        """A session that names one of these relies on the unit."""
        return self.identities | self.things

    @property
    def seconds(self) -> float:
        """What it took to make."""
        return sum(result.seconds for result in self.results)

    @property
    def label(self) -> str:
        kinds = sorted({result.kind for result in self.results})
        return ", ".join(sorted(self.steps)) or f"{'/'.join(kinds) or 'layer'} {self.name[:19]}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """``sizes`` has bytes on disk by blob digest and snapshot name; ``rooted`` the blobs that images consist of."""

    units: Mapping[str, Unit]
    sizes: Mapping[str, int]
    rooted: frozenset[str]
    loose: tuple[str, ...]
    """Blobs and snapshots that no unit and no image has."""
    stale: tuple[str, ...]
    """Record keys that lead nowhere."""
    records: int

    def sharers(self) -> Counter[str]:
        """How many units have a thing."""
        return Counter(thing for unit in self.units.values() for thing in unit.things)

    @property
    def total(self) -> int:
        return sum(self.sizes.values())

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
    sizes: dict[str, int] = {digest: _size(path) for digest, path in listed(store.home)}
    with os.scandir(store.snapshots_dir) as entries:
        sizes |= {entry.name: folder_size(Path(entry.path)) for entry in entries}
    rooted: frozenset[str] = frozenset(r.digest for r in reached(store.home, store.images.roots()))
    index = store.index()
    records = {key: index.get(key) for key in index.keys()}  # noqa: SIM118 - no mapping
    grouping = _Grouping(records, rooted)
    units, rooted = grouping.units, rooted | grouping.forms_in_images
    for unit in units.values():
        unit.trees &= sizes.keys()
        unit.forms &= sizes.keys()
        unit.snapshots &= sizes.keys()
    owned = {thing for unit in units.values() for thing in unit.things}
    loose = tuple(sorted(sizes.keys() - owned - rooted))
    stale = tuple(_stale(records, units, rooted))
    return Inventory(units, sizes, rooted, loose, stale, len(records))


class _Grouping:
    """Groups records by the tree they are about."""

    def __init__(self, records: Mapping[str, "Value"], rooted: frozenset[str]) -> None:
        self.units: dict[str, Unit] = {}
        self.forms_in_images: frozenset[str] = frozenset()
        """A layer's compressed forms stay together, with their record, as long as an image has one of them."""
        self._owners: dict[Digest, list[Unit]] = defaultdict(list)
        by_sort: dict[str, list[tuple[str, str, Value]]] = defaultdict(list)
        for key, value in sorted(records.items()):
            sort, _, rest = key.partition(":")
            by_sort[sort].append((key, rest, value))
        actions = {}
        for key, rest, value in by_sort["action"]:
            result = decode_result(value)
            if result is not None:
                actions[ActionKey(rest)] = self._action(key, result)
        for key, rest, value in by_sort["recipe"]:
            self._recipe(key, rest, parsed(value))
        for key, rest, value in by_sort["layer"]:
            for unit in self._of_layer(rest, key):
                facts = decode_facts(value)
                unit.trees |= {facts.tree} if facts else set()
        for key, rest, value in by_sort["compressed"]:
            forms = {form.digest for form in decode_forms(value).values()}
            if forms & rooted:
                self.forms_in_images |= forms
                continue
            for unit in self._of_layer(rest, key):
                unit.forms |= forms
        for key, rest, value in by_sort["use"]:
            if unit_of := actions.get(ActionKey(rest)):
                last, count = use_of(value)
                unit_of.keys.add(key)
                unit_of.reuses += count
                unit_of.last = max(unit_of.last, last)
        named = {text for _, _, value in by_sort["history"] for text in texts(value)}
        self._name_steps(by_sort["history"], actions)
        for key, rest, value in by_sort["step"]:
            if isinstance(value, str) and (unit_of := actions.get(ActionKey(value))):
                unit_of.keys |= {key} | _document(rest, named)
        for action, unit_of in actions.items():
            unit_of.keys |= _document(action, named)

    def _action(self, key: str, result: ActionResult) -> Unit:
        unit = self._unit(result.tree)
        unit.results.append(result)
        unit.keys.add(key)
        unit.trees.add(result.tree)
        unit.snapshots.add(f"tree-{result.tree.hex}")
        unit.last = max(unit.last, result.made)
        if result.diff_id:
            self._own(unit, result.diff_id)
        return unit

    def _recipe(self, key: str, rest: str, layer: Digest | None) -> None:
        tree = parsed(":".join(rest.split(":")[:2]))
        if tree and layer:
            unit = self._unit(tree)
            unit.keys.add(key)
            unit.trees.add(tree)
            self._own(unit, layer)

    def _of_layer(self, text: str, key: str) -> list[Unit]:
        layer = parsed(text)
        if layer is None:
            return []
        if layer not in self._owners:
            self._own(self._unit(layer), layer)
        for unit in self._owners[layer]:
            unit.keys.add(key)
        return self._owners[layer]

    def _own(self, unit: Unit, layer: Digest) -> None:
        if layer not in unit.layers:
            unit.layers.add(layer)
            unit.snapshots.add(f"{layer.algorithm}-{layer.hex}")
            self._owners[layer].append(unit)

    def _unit(self, name: Digest) -> Unit:
        return self.units.setdefault(name, Unit(name))

    def _name_steps(
        self, histories: list[tuple[str, str, "Value"]], actions: Mapping[ActionKey, Unit]
    ) -> None:
        for _, step, value in histories:
            for text in texts(value):
                if unit := actions.get(ActionKey(text)):
                    unit.steps.add(step)


def _document(name: str, named: set[str]) -> set[str]:
    """The record that goes with its step, unless the step's history still points at it."""
    return set() if name in named else {f"document:{name}"}


def texts(value: "Value") -> Iterator[str]:
    """Every text anywhere in ``value``."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from texts(item)
        case dict():
            for item in value.values():
                yield from texts(item)
        case _:
            pass


def _stale(
    records: Mapping[str, "Value"], units: Mapping[str, Unit], rooted: frozenset[str]
) -> Iterator[str]:
    """What neither a unit, a history nor an image leads to."""
    kept = {key for unit in units.values() for key in unit.keys}
    for key, value in records.items():
        if key.startswith("history:"):
            kept.update((key, *(f"document:{text}" for text in texts(value))))
        if key.startswith("compressed:"):
            forms = {form.digest for form in decode_forms(value).values()}
            kept.update([key] if forms & rooted else ())
    return (key for key in sorted(records) if key not in kept)


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def folder_size(path: Path) -> int:
    """Bytes on disk of everything below; files that are gone, or of other ids, are not counted."""
    total = _size(path)
    pending = [str(path)] if path.is_dir() else []
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue
    return total
