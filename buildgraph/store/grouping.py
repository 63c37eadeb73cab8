"""Which records, blobs and snapshots belong together: records in, units out. Pure.

A :class:`Unit` is one tree with everything that only it is good for: the action records that yielded it, the layers
it became, their facts, compressed forms and snapshots, and its key documents with the listings that they name. A
base's layer, which no record yielded, is a unit too; so is what a step's history still points at.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from buildgraph.digest import ActionKey, Digest
from buildgraph.store.actions import decode_result, use_of
from buildgraph.store.base import ActionResult
from buildgraph.store.layers import decode_facts, decode_forms, parsed
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    from buildgraph.store.disk import Value

_DIGESTS: Final = re.compile(rb"(?:sha256|blake3):[0-9a-f]{64}")


@dataclass(slots=True)
class Unit:
    """``name`` is the tree's digest, the diff ID of a layer without a record, ``history:STEP``, or ``pinned:MANIFEST``
    of a base's documents."""

    name: str
    results: list[ActionResult] = field(default_factory=list)
    layers: set[Digest] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    forms: set[str] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    listings: set[str] = field(default_factory=set)
    """What its key documents say was selected; kept for explanations only."""
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
        return frozenset({*self.trees, *self.forms, *self.snapshots, *self.listings})

    @property
    def names(self) -> frozenset[str]:
        """A session that names one of these relies on the unit."""
        return self.identities | self.things

    @property
    def seconds(self) -> float:
        """What its commands took."""
        return sum(result.seconds for result in self.results)

    @property
    def label(self) -> str:
        if self.name.startswith("history:"):
            return f"history of {self.name.removeprefix('history:')}"
        if self.name.startswith("pinned:"):
            return f"base image {self.name[7:26]}"
        kinds = sorted({result.kind for result in self.results})
        other = "files" if self.name.startswith("blake3:") else "base layer"
        return ", ".join(sorted(self.steps)) or f"{'/'.join(kinds) or other} {self.name[:19]}"

    def restrict(self, there: frozenset[str]) -> None:
        """Leave out what is not ``there``, in time that goes with what the unit has: ``there`` is a set."""
        for things in (self.trees, self.forms, self.snapshots, self.listings):
            things.intersection_update(there)


class Grouping:
    """``rooted`` are the blobs that images consist of; ``loose`` the snapshots' names.

    ``units`` are by name. ``rooted`` grows: a layer's compressed forms stay together, with their record, as long as
    an image has one of them. ``stale`` are the keys of records that lead nowhere.
    """

    def __init__(
        self, records: Mapping[str, "Value"], rooted: frozenset[str], snapshots: Iterable[str]
    ) -> None:
        self.units: dict[str, Unit] = {}
        self.rooted = rooted
        self._owners: dict[Digest, list[Unit]] = defaultdict(list)
        self._away: dict[str, list[Unit]] = defaultdict(list)
        self._kept: set[str] = set()
        sorts: dict[str, dict[str, Value]] = defaultdict(dict)
        for key, value in sorted(records.items()):
            sort, _, rest = key.partition(":")
            sorts[sort][rest] = value
        self._actions = {
            ActionKey(key): self._action(key, result)
            for key, value in sorts["action"].items()
            if (result := decode_result(value))
        }
        for key, value in sorts["recipe"].items():
            self._recipe(key, parsed(value))
        for name in snapshots:
            self._snapshot(name)
        for key, value in sorts["layer"].items():
            facts = decode_facts(value)
            for unit in self._of_layer(key, f"layer:{key}"):
                unit.trees |= {facts.tree} if facts else set()
        for key in sorts["dirs"]:
            self._of_layer(key, f"dirs:{key}")
        for key, value in sorts["compressed"].items():
            self._forms(key, {form.digest for form in decode_forms(value).values()})
        for key, value in sorts["use"].items():
            self._use(key, value)
        for key, value in sorts["pinned"].items():
            unit = Unit(f"pinned:{key}", forms=set(filter(None, (parsed(key), parsed(value)))))
            unit.keys.add(unit.name)
            self.units[unit.name] = unit
        for key in sorts["origin"]:
            self._origin(key)
        self._explanations(sorts)
        self._kept |= {key for key in records if key.startswith("outputs:")}
        kept = {key for unit in self.units.values() for key in unit.keys} | self._kept
        self.stale = tuple(key for key in sorted(records) if key not in kept)

    def _action(self, key: str, result: ActionResult) -> Unit:
        unit = self._unit(result.tree)
        unit.results.append(result)
        unit.keys.add(f"action:{key}")
        unit.last = max(unit.last, result.made)
        if result.diff_id:
            self._own(unit, result.diff_id)
        return unit

    def _recipe(self, key: str, layer: Digest | None) -> None:
        tree = parsed(":".join(key.split(":")[:2]))
        if tree and layer:
            unit = self._unit(tree)
            unit.keys.add(f"recipe:{key}")
            self._own(unit, layer)

    def _snapshot(self, name: str) -> None:
        """What a bind was made of has no record; the name says which tree it is."""
        sort, _, hex_ = name.partition("-")
        if sort == "tree" and (tree := parsed(f"blake3:{hex_}")):
            self._unit(tree)

    def _forms(self, key: str, forms: set[Digest]) -> None:
        if forms & self.rooted:
            self.rooted |= forms
            self._kept.add(f"compressed:{key}")
            return
        for unit in self._of_layer(key, f"compressed:{key}"):
            unit.forms |= forms
            for form in forms:
                self._away[form].append(unit)

    def _origin(self, key: str) -> None:
        """Of an image's layer, or of a form that a record's layer has without its being here."""
        if parsed(key) in self.rooted:
            self._kept.add(f"origin:{key}")
            return
        for unit in self._away.get(key, ()):
            unit.keys.add(f"origin:{key}")

    def _use(self, key: str, value: "Value") -> None:
        if unit := self._actions.get(ActionKey(key)):
            last, count = use_of(value)
            unit.keys.add(f"use:{key}")
            unit.reuses += count
            unit.last = max(unit.last, last)

    def _explanations(self, sorts: Mapping[str, Mapping[str, "Value"]]) -> None:
        """Documents belong to the steps and actions they are keys of, and to the histories that name them."""
        owners: dict[str, list[Unit]] = defaultdict(list)
        for action, unit in self._actions.items():
            owners[action].append(unit)
        for step, value in sorts["step"].items():
            if isinstance(value, str) and (found := self._actions.get(ActionKey(value))):
                found.keys.add(f"step:{step}")
                owners[step].append(found)
        for step, value in sorts["history"].items():
            past = self.units.setdefault(f"history:{step}", Unit(f"history:{step}"))
            past.keys.add(past.name)
            if isinstance(value, dict) and isinstance(last := value.get("last"), int):
                past.last = last
            for text in texts(value):
                owners[text].append(past)
                if found := self._actions.get(ActionKey(text)):
                    found.steps.add(step)
        for key, value in sorts["document"].items():
            named = _digests(value)
            for unit in owners.get(key) or self._all_named(named):
                unit.keys.add(f"document:{key}")
                unit.listings |= named
        for unit in self.units.values():
            unit.listings -= self.units.keys() | unit.trees

    def _all_named(self, digests: set[str]) -> list[Unit]:
        """Of a document that is no step's key: whatever it is about."""
        layers = [
            unit for layer, units in self._owners.items() if layer in digests for unit in units
        ]
        return layers + [unit for name, unit in self.units.items() if name in digests]

    def _of_layer(self, text: str, key: str) -> list[Unit]:
        layer = parsed(text)
        if layer is None:
            return []
        if layer not in self._owners:
            self._own(self.units.setdefault(layer, Unit(layer)), layer)
        for unit in self._owners[layer]:
            unit.keys.add(key)
        return self._owners[layer]

    def _own(self, unit: Unit, layer: Digest) -> None:
        if layer not in unit.layers:
            unit.layers.add(layer)
            unit.snapshots.add(f"{layer.algorithm}-{layer.hex}")
            self._owners[layer].append(unit)

    def _unit(self, tree: Digest) -> Unit:
        if tree not in self.units:
            self.units[tree] = Unit(tree, trees={tree}, snapshots={f"tree-{tree.hex}"})
        return self.units[tree]


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


def _digests(value: "Value") -> set[str]:
    return {m.decode() for m in _DIGESTS.findall(value)} if isinstance(value, bytes) else set()
