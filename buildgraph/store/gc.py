"""Taking things out of the store, beside running builds.

The generation is raised first. Then, per batch of candidates: their records are deleted; under ``gc.lock`` their
trees, layer blobs and snapshots are renamed into the trash in this order, the leases are read *again*, and what they
or an image name now is renamed back; then its records are written back and the trash is deleted. A kill anywhere
leaves things without records, which the next collection finds; never a record without its things. What was in the
trash and not yet being deleted is renamed back by whoever cleans up: nobody had asked who relies on it.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from buildgraph.digest import Digest
from buildgraph.store import reserve
from buildgraph.store.choose import Candidate, Choice
from buildgraph.store.inventory import take
from buildgraph.store.lease import dead, relied_on
from buildgraph.store.reach import blob_path, reached
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.local import LocalStore

_BATCH: Final = 64


class Evicted(NamedTuple):
    """``size`` is in bytes on disk; ``reason`` is one sentence, for ``--explain``."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """What was taken out, or would be, and what stays. ``excess`` is what is kept above ``max_size``: it is in use."""

    evicted: tuple[Evicted, ...]
    freed: int
    kept: int
    excess: int = 0
    staying: tuple[Evicted, ...] = ()


def collect(
    store: "LocalStore",
    max_size: int | None = None,
    max_age: float | None = None,
    *,
    dry_run: bool = False,
) -> Collection:
    """``max_size`` is in bytes of blobs and snapshots on disk, ``max_age`` in seconds since the last use.

    Without either, only what nothing refers to goes. One collection at a time; another one waits.
    """
    leases = store.home / "leases"
    with store.lock("collect"), reserve.spent(store.home / "reserve"):
        ended = dead(leases)
        inventory = take(store)
        choice = Choice(inventory, relied_on(leases, but=ended))
        if max_age is not None:
            choice.older(int(store.clock()), max_age)
            if not dry_run:
                _drop_old_files(store, store.clock() - max_age)
        if max_size is not None:
            choice.until(max_size)
        gone = list(choice.candidates())
        staying = tuple(Evicted(*one) for one in choice.staying())
        if not dry_run and (gone or inventory.stale):
            store.raise_generation()
            for aside in store.home.glob("*.damaged-*"):
                store.trash.remove(aside)
            store.records.drop(inventory.stale)
            gone = _Sweep(store, ended, inventory.rooted).all(gone)
        freed = sum(candidate.size for candidate in gone)
        kept = inventory.total - freed
        excess = 0 if max_size is None else max(0, kept - max_size)
        evicted = (Evicted(candidate.label, candidate.size, candidate.reason) for candidate in gone)
        return Collection(tuple(evicted), freed, kept, excess, staying)


class _Sweep:
    def __init__(self, store: "LocalStore", ended: frozenset[str], rooted: frozenset[str]) -> None:
        self._store = store
        self._ended = ended
        self._rooted = rooted
        self._images = store.images.roots()

    def all(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Those that really went."""
        pending = iter(candidates)
        gone: list[Candidate] = []
        while batch := list(islice(pending, _BATCH)):
            gone += self._batch(batch)
        return gone

    def _batch(self, batch: list[Candidate]) -> list[Candidate]:
        index = self._store.index()
        keys = [key for candidate in batch for key in candidate.keys]
        records = {key: index.get(key) for key in keys}
        self._store.records.drop(keys)
        thrown: dict[str, Path] = {}
        spared: list[Candidate] = []
        try:
            with self._store.lock("gc"):
                try:
                    self._throw(batch, thrown)
                    while fresh := self._named_since([c for c in batch if c not in spared]):
                        self._restore(fresh, thrown)
                        spared += fresh  # a manifest that is back leads to layers
                except BaseException:
                    self._restore(batch, thrown)
                    spared = batch
                    raise
        finally:
            self._write_back(spared, records)
            for path in thrown.values():
                self._store.trash.delete(path)
        return [candidate for candidate in batch if candidate not in spared]

    def _throw(self, batch: list[Candidate], thrown: dict[str, Path]) -> None:
        things = [thing for candidate in batch for thing in candidate.things]
        for thing in sorted(things, key=_turn):
            there = self._store.trash.throw(self._path(thing), on_trial=True)
            if there:
                thrown[thing] = there

    def _named_since(self, batch: list[Candidate]) -> list[Candidate]:
        names = relied_on(self._store.home / "leases", but=self._ended)
        images = self._store.images.roots()
        if images != self._images:
            self._rooted = frozenset(r.digest for r in reached(self._store.home, images))
        return [
            candidate
            for candidate in batch
            if names & candidate.names or self._rooted.intersection(candidate.things)
        ]

    def _restore(self, spared: list[Candidate], thrown: dict[str, Path]) -> None:
        for candidate in spared:
            for thing in candidate.things:
                if there := thrown.pop(thing, None):
                    self._store.trash.restore(there, self._path(thing))

    def _write_back(self, spared: list[Candidate], records: "dict[str, Value]") -> None:
        index = self._store.index()
        if any(candidate.keys for candidate in spared):
            with index.transaction():
                for candidate in spared:
                    for key in candidate.keys:
                        if records[key] is not None and index.get(key) is None:
                            index.set(key, records[key])

    def _path(self, thing: str) -> Path:
        if ":" in thing:
            return blob_path(self._store.home, Digest(thing))
        return self._store.snapshots_dir / thing


def _turn(thing: str) -> int:
    """Trees, then layer blobs, then snapshots."""
    return 0 if thing.startswith("blake3:") else 1 if ":" in thing else 2


def _drop_old_files(store: "LocalStore", before: float) -> None:
    """Compiled plans and stat caches that were not written since; they are made anew when needed."""
    for folder in (store.plans, store.stat):
        for path in folder.iterdir():
            if path.lstat().st_mtime < before:
                store.trash.remove(path)
