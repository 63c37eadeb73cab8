"""What tests of runtimes stand on: a store, one runtime that works here, and a root to run commands in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import capability, sandboxes
from support.bed import Bed

from buildgraph.sandbox.runtime import MountPoint, Runtime, Runtimes, stubs
from buildgraph.sandbox.snapshot import Snapshots


class OnRuntime:
    def make(self, scratch: Path) -> Runtime:
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Snapshots:
        sandboxes.private_mounts()
        return sandboxes.snapshots(tmp_path)

    @pytest.fixture
    def runtime(self, store: Snapshots) -> Runtime:
        runtime = self.make(store.tmp)
        if reason := Runtimes(store.tmp).probe(runtime).reason:
            capability.lack(f"{runtime.name}: {reason}")
        return runtime

    @pytest.fixture
    def bed(self, runtime: Runtime, store: Snapshots) -> Iterator[Bed]:
        with store.prepare([sandboxes.busybox(store)], stubs()) as active:
            yield Bed(runtime, active, store)
        assert sandboxes.left(store.tmp) == []

    def prepared(
        self, bed: Bed, mounts: tuple[MountPoint, ...], script: str, **keys: object
    ) -> tuple[str, list[str]]:
        """Output and changes of ``script`` on a root whose mount points exist."""
        with bed.store.prepare([sandboxes.busybox(bed.store)], stubs(mounts)) as active:
            inner = Bed(bed.runtime, active, bed.store)
            return inner.sh(script, mounts=mounts, **keys), inner.changes()
