"""Whatever happens between two runs, the stat cache and the facts tell the truth.

The file system here has a clock that ticks only when the machine says so, so that two changes may well carry the
same times, as they do on a real one within a tick. Folders in it are mounts: of a disk that keeps whole seconds, and of
a server whose clock is slow.
"""

import os
import shutil
import tempfile
from pathlib import Path

from blake3 import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from buildgraph.fs import context as context_module
from buildgraph.fs import facts, fingerprint, folder, hashing, recheck, rows, scan
from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.rows import Row

FILES = st.sampled_from(["a", "b", "d/a", "d/e/a", "new", "disk/a", "server/a"])
TEXTS = st.sampled_from(["x", "y", "xx", ""])
TICK = 10_000_000
SECOND = 100 * TICK
DISK, SERVER = 1 << 30, 1 << 31


class Clock:
    """Rows as the kernel would give them if its clock stood still between :meth:`tick` calls."""

    def __init__(self) -> None:
        self.now = 100 * SECOND
        self.stamps: dict[bytes, int] = {}
        self.mtimes: dict[bytes, int] = {}

    def stamp(self, *paths: Path) -> None:
        for path in map(os.fsencode, paths):
            device = device_of(path)
            now = self.now - self.now % SECOND if device == DISK else self.now
            now -= 50 * SECOND if device == SERVER else 0
            self.stamps[path] = self.mtimes[path] = now

    def row(self, path: bytes, real: os.stat_result) -> Row:
        times = (self.mtimes.get(path, 0), self.stamps.get(path, 0))
        device = device_of(path) or real.st_dev
        return (device, real.st_ino, real.st_size, real.st_mode, *times)

    def moment(self, root: bytes, *_: bytes) -> rows.Moments:
        moments = rows.Moments()
        moments[os.stat(root).st_dev] = self.now
        return moments


def device_of(path: bytes) -> int:
    return DISK if b"/root/disk" in path else SERVER if b"/root/server" in path else 0


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="stat-cache-"))
        self.root = self.base / "root"
        self.clock = Clock()
        self.lstat, self.fstat = os.lstat, os.fstat
        self._saved: list[tuple[object, str, object]] = []

    @initialize()
    def begin(self) -> None:
        for name in ("d/e", "other", "disk", "server"):
            (self.root / name).mkdir(parents=True)
        for name in ("a", "d/a", "disk/a", "server/a"):
            (self.root / name).write_text("x")
            self.clock.stamp(self.root / name)
        self.clock.now += 2 * TICK
        for module in (context_module, fingerprint, folder, hashing, recheck, rows, scan):
            for name, value in (("row_of", self._row_of), ("moment", self.clock.moment)):
                if hasattr(module, name):
                    self._replace(module, name, value)
        self._replace(rows, "_is_local", lambda device: device == DISK)
        self._replace(rows.time, "clock_gettime_ns", lambda _: self.clock.now)

    def _replace(self, module: object, name: str, value: object) -> None:
        self._saved.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def teardown(self) -> None:
        for module, name, value in self._saved:
            setattr(module, name, value)
        shutil.rmtree(self.base)

    def _row_of(self, real: os.stat_result) -> Row:
        for path, _, files in os.walk(os.fsencode(self.root)):
            for name in [b"", *files]:
                full = os.path.join(path, name) if name else path
                if self.lstat(full).st_ino == real.st_ino:
                    return self.clock.row(full, real)
        return self.clock.row(b"", real)

    @rule(path=FILES, text=TEXTS)
    def write(self, path: str, text: str) -> None:
        file = self.root / path
        if not file.exists():
            self.clock.stamp(file.parent)
        file.write_text(text)
        self.clock.stamp(file)

    @rule(path=FILES, text=TEXTS, mtime=st.sampled_from([None, 0, 1 << 60]))
    def write_and_set_the_time(self, path: str, text: str, mtime: int | None) -> None:
        """As ``touch -d``, ``cp -p`` and ``tar -x`` do; None brings the old time back."""
        file = os.fsencode(self.root / path)
        before = self.clock.mtimes.get(file, 0)
        self.write(path, text)
        self.clock.mtimes[file] = before if mtime is None else mtime

    @rule(path=FILES)
    def remove(self, path: str) -> None:
        if (self.root / path).exists():
            (self.root / path).unlink()
            self.clock.stamp((self.root / path).parent)

    @rule(one=FILES, other=FILES)
    def swap(self, one: str, other: str) -> None:
        a, b = self.root / one, self.root / other
        if a.exists() and a != b:
            a.rename(b)
            self.clock.stamp(a.parent, b.parent, b)

    @rule()
    def touch(self) -> None:
        for path in self.root.rglob("*"):
            self.clock.stamp(path)

    @rule(ticks=st.sampled_from([1, TICK - 1, TICK + 1, 3 * TICK, SECOND // 2, 3 * SECOND]))
    def tick(self, ticks: int) -> None:
        self.clock.now += ticks

    @rule()
    def damage(self) -> None:
        for name in ("stat", "plan"):
            if (self.base / name).exists():
                content = (self.base / name).read_bytes()
                (self.base / name).write_bytes(content[: len(content) // 2])

    def _truth(self) -> dict[bytes, str]:
        return {
            os.fsencode(path.relative_to(self.root)): (
                "" if path.is_dir() else blake3(path.read_bytes()).hexdigest()
            )
            for path in self.root.rglob("*")
        }

    @rule()
    def build(self) -> None:
        cache = StatCache.load(self.base / "stat", self.root)
        context = Context(self.root, cache)
        assert {one.path: one.content for one in context.select(".")} == self._truth()
        cache.save()
        payload = repr(sorted(self._truth().items())).encode()
        facts.save(self.base / "plan", context.facts(), payload)

    @invariant()
    def a_plan_that_holds_is_right(self) -> None:
        payload = facts.check(self.base / "plan")
        assert payload in (None, repr(sorted(self._truth().items())).encode())


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestStatCache = Machine.TestCase
