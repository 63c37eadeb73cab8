"""The store and the machine, for the commands that look after them."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.events import Observer
from buildgraph.fs.check import differs
from buildgraph.sandbox.doctor import examine
from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.store import gc, usage
from buildgraph.store.local import LocalStore
from buildgraph.store.reading import reading
from buildgraph.store.verify import verify
from buildgraph.values import dataclass

_STEP: Final = re.compile(r"\b([0-9a-f]{16})/step:")
"""How the store's history names a step: the workspace's id, and the step."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """``made`` is when it was last used, as text; ``size`` in bytes on disk; ``workspace`` is empty for base layers."""

    key: str
    step: str
    size: int
    seconds: float
    made: str
    workspace: str = ""

    def document(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verified:
    """``dropped``: what is damaged was taken out; a store that takes no writes keeps it."""

    checked: int
    damaged: tuple[str, ...]
    dropped: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """``size`` in bytes on disk; ``reason`` is one sentence."""

    name: str
    size: int
    reason: str

    def document(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Collected:
    """Bytes; ``excess`` is what is in use and so stays above the wanted size. ``stays``: the biggest first."""

    freed: int
    kept: int
    excess: int
    gone: tuple[Gone, ...]
    stays: tuple[Gone, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """``fix`` is what to do, empty when ``ok``; ``required``: run steps do not work without it."""

    capability: str
    ok: bool
    required: bool
    detail: str
    fix: str


def cache_info(home: Path) -> Mapping[str, str | int]:
    with reading(home) as store:
        found = usage.info(store)
    facts: dict[str, str | int] = {"home": str(home), "images": found.images}
    for part in found.parts:
        facts[part.name] = part.count
        facts[f"{part.name}_bytes"] = part.size
    return facts | {"garbage_bytes": found.garbage, "total_bytes": found.total}


def cache_ls(home: Path) -> list[RecordEntry]:
    """The biggest first."""
    with reading(home) as store:
        kept = sorted(usage.ls(store), key=lambda entry: (-entry.size, entry.label))
    return [
        RecordEntry(
            entry.tree.partition(":")[2],
            _for_people(entry.label),
            entry.size,
            entry.seconds,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last)) if entry.last else "",
            _workspaces(entry.label),
        )
        for entry in kept
    ]


def _for_people(label: str) -> str:
    """Without the names of workspaces and of kinds: ``os`` for ``19c715c4e1927f07/step:os``."""
    return ", ".join(dict.fromkeys(_STEP.sub("", label).split(", ")))


def _workspaces(label: str) -> str:
    return ", ".join(dict.fromkeys(match[1] for match in _STEP.finditer(label)))


def cache_verify(home: Path) -> Verified:
    enter_private_mounts()
    with reading(home) as store:
        found = verify(store, differs)
        dropped = not store.frozen
    checked = found.blobs + found.records + found.snapshots
    damaged = tuple(f"{f.sort} {f.name}: {f.problem}" for f in found.findings)
    return Verified(checked, damaged, dropped)


def cache_gc(home: Path, *, max_size: int | None, max_age: int | None, dry_run: bool) -> Collected:
    enter_private_mounts()
    with LocalStore.open(home) as store:
        found = gc.collect(store, max_size, max_age, dry_run=dry_run)
    gone, stays = (
        tuple(Gone(_for_people(e.name), e.size, e.reason) for e in several)
        for several in (found.evicted, found.staying)
    )
    return Collected(found.freed, found.kept, found.excess, gone, stays)


def mend(home: Path, lost: Sequence[str], observer: Observer) -> None:
    """Tell of each of these blobs that it is gone or of the wrong size, and drop what is left of it."""
    with suppress(ContentError), LocalStore.open(home, observer) as store:
        for digest in map(Digest.parse, lost):
            store.miss(digest)


def doctor(home: Path) -> Sequence[Finding]:
    """What this machine can do, each found out by trying it."""
    privilege = enter_private_mounts()
    with reading(home, make=True) as store:
        kept = _kept_by(home, store)
        found = examine(store.tmp, privilege)
    return [kept, *(Finding(f.capability, f.ok, f.required, f.detail, f.fix) for f in found)]


def _kept_by(home: Path, store: LocalStore) -> Finding:
    if not store.frozen:
        return Finding("store", ok=True, required=True, detail=str(home), fix="")
    fix = "name a folder of your own with --home or BUILDGRAPH_HOME"
    return Finding("store", ok=False, required=True, detail=f"{home} takes no writes", fix=fix)
