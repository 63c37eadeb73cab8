"""Layers from the network: what ADD fetches, a file of a URL or the files of a git repository.

Each is asked first which version it is now, cheaply: that is what its key holds, so that nothing is fetched twice as
long as it stays what it is. What it gives becomes a snapshot and a tree like any step's.
"""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from buildgraph.digest import ActionKey
from buildgraph.errors import ContentError, UsageError
from buildgraph.events import Observer, StepOutput
from buildgraph.execute.archive import Surroundings
from buildgraph.execute.fetching import Fetching, shown
from buildgraph.execute.placement import PlacedLayer
from buildgraph.execute.repository import Found, Repository
from buildgraph.execute.stacks import Stacks
from buildgraph.execute.waiting import Waiting
from buildgraph.fs import tree
from buildgraph.fs.pack import Item
from buildgraph.fs.remove import remove_tree
from buildgraph.fs.tree import Entry
from buildgraph.graph.step import FetchStep, GitStep, RemoteStep, StepId, kind_of
from buildgraph.registry.stopping import Stop
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.base import ActionResult
from buildgraph.store.local import LocalStore


class Remotes:
    """Safe to use from several threads."""

    def __init__(
        self,
        store: LocalStore,
        snapshots: Snapshots,
        stacks: Stacks,
        around: Surroundings,
        observer: Observer,
        cancelled: Stop,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stacks = stacks
        self._around = around
        self._observe = observer
        self._cancelled = cancelled
        self._fetching = Fetching(around, cancelled)
        self._versions: dict[StepId, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._fetching.close()

    def version(self, step: RemoteStep) -> str:
        """What the source is now, asked once per build: a checksum, a server's word, a commit."""
        with self._lock:
            if step.id not in self._versions:
                self._versions[step.id] = self._version(step)
            return self._versions[step.id]

    def _version(self, step: RemoteStep) -> str:
        match step:
            case FetchStep():
                with self._asking(step, shown(step.url)):
                    return step.checksum or self._fetching.version(step.url)
            case GitStep():
                repository = self._repository(step)
                with self._asking(step, repository.shown):
                    found = repository.find(step.ref, step.checksum)
                return found.text if step.keep_git_dir else found.commit  # refs are kept with it

    def _asking(self, step: RemoteStep, place: str) -> Waiting:
        return Waiting(self._observe, step.id.partition(":")[2], f"asks what {place} is now")

    def execute(self, step: RemoteStep, key: ActionKey, now: int) -> ActionResult:
        """Raises RemoteError, ContentError, MachineError of what it fetches."""
        start = time.monotonic()
        with self._scratch() as scratch:
            items = (
                self._fetched(step, scratch)
                if isinstance(step, FetchStep)
                else self._cloned(step, scratch)
            )
            first = self._stacks.pack(items, tar=True)
            layer = PlacedLayer(step.id, tree.digest(first.tree))
            self._store.lease.name(layer.snapshot)
            if self._snapshots.path(layer.snapshot) is None:
                with self._snapshots.create(layer.snapshot) as folder:
                    self._stacks.pack(items, snapshot=folder, tar=False)
        made = self._store.blobs.put(tree.encode(first.tree), "blake3")
        self._stacks.placed.keep_tree(made, first.tree)
        self._stacks.record_tar(made, first)
        size = tree.size_of(first.tree)
        seconds = time.monotonic() - start
        return ActionResult(kind_of(step), key, (), made, first.diff_id, size, seconds, now)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = self._store.tmp / f"remote-{token_hex(6)}"
        folder.mkdir()
        try:
            yield folder
        finally:
            with suppress(OSError):
                remove_tree(folder)

    def _fetched(self, step: FetchStep, scratch: Path) -> list[Item]:
        file = scratch / "file"
        found = self._fetching.fetch(step.url, step.checksum, file)
        known = step.checksum or found.version.startswith("unknown")
        if not known and found.version != self.version(step):
            raise ContentError(
                "fetch-changed", f"{step.name} changed while it was fetched", hint="build again"
            )
        entry = Entry(
            os.fsencode(step.name), tree.FILE, 0o600, size=found.size, content=found.content
        )
        return [Item(entry, os.fsencode(file))]

    # -- git

    def _repository(self, step: GitStep) -> Repository:
        return Repository(step.url, self._around, self._store.tmp)

    def _cloned(self, step: GitStep, scratch: Path) -> list[Item]:
        folder = scratch / "clone"
        folder.mkdir()
        found = Found(*self.version(step).split())
        repository = self._repository(step)
        self._observe(
            StepOutput(step.id.partition(":")[2], f"{repository.shown} at {found.commit}")
        )
        repository.check_out(
            step.ref, found, folder, submodules=step.submodules, keep=step.keep_git_dir
        )
        root = folder / step.subdir if step.subdir else folder
        if not root.resolve().is_relative_to(folder.resolve()) or not root.is_dir():
            raise UsageError(
                "source-missing",
                f"{repository.shown} has no folder {step.subdir} at {found.commit[:12]}",
            )
        return [] if root.is_symlink() else list(_items(os.fsencode(root), keep=step.keep_git_dir))


def _items(root: bytes, *, keep: bool) -> Iterator[Item]:
    """All below a checkout, sorted, with git's own modes."""
    found, pending = [], [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            kept = [entry for entry in entries if keep or entry.name != b".git"]
        found += [entry.path for entry in kept]
        pending += [entry.path for entry in kept if entry.is_dir(follow_symlinks=False)]
    for full in sorted(found, key=lambda full: full[len(root) + 1 :]):
        path, seen = full[len(root) + 1 :], os.lstat(full)
        if stat.S_ISLNK(seen.st_mode):
            yield Item(Entry(path, tree.SYMLINK, 0o777, link=os.readlink(full)))
        elif stat.S_ISDIR(seen.st_mode):
            yield Item(Entry(path, tree.DIRECTORY, 0o755))
        elif stat.S_ISREG(seen.st_mode):
            yield Item(Entry(path, tree.FILE, 0o755 if seen.st_mode & 0o100 else 0o644), full)
