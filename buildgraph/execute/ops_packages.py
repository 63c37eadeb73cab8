"""A packages step: a Debian root of exactly the locked packages, made by mmdebstrap, as one layer.

apt sees the locked versions and no others, and all of them are asked for, so nothing is left to choose; what dpkg
calls installed at the end is compared with the lock. The same lock must give the same layer, wherever and whenever it
is made, so what differs from run to run or from machine to machine is left out or written anew: device nodes, logs
and caches, backups, the machine's name and resolver, and apt's sources, which become Debian's own. The programs run
with a fixed host name and environment, and in a process namespace of their own, so that none survives.
"""

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import BuildgraphError, MachineError, StepFailedError
from buildgraph.events import Observer, StepOutput
from buildgraph.execute import apt, aptsources
from buildgraph.execute.archive import Archive, Surroundings, find_archive
from buildgraph.execute.debian import (
    Package,
    foreign_architectures,
    installed,
    merged_links,
    pinned,
)
from buildgraph.execute.lines import Lines
from buildgraph.execute.local import CancelledError
from buildgraph.execute.placement import PlacedLayer
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import changes, tree
from buildgraph.fs.pack import Packed, pack
from buildgraph.fs.rooted import Rooted
from buildgraph.fs.settle import settle
from buildgraph.fs.tarball import EPOCH
from buildgraph.graph.step import PackagesStep
from buildgraph.sandbox.process import supervise
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.spec.model import DEFAULT_DISCARD
from buildgraph.spec.pins import PackagesPin
from buildgraph.store.base import ActionResult
from buildgraph.store.faults import no_space, tells_full
from buildgraph.store.local import LocalStore

DISCARDED: Final = (
    *DEFAULT_DISCARD,
    *(f"/{name}" for name in (apt.SOURCES, apt.PREFERENCES, apt.SETTINGS)),
    "/dev/**",
    "/tmp/**",  # noqa: S108 - a name in the root
    "/etc/*-",
    "/etc/apt/sources.list",
    "/var/cache/debconf/*-old",
    "/var/cache/fontconfig/**",
    "/var/cache/man/**",
    "/var/lib/apt/extended_states",
    "/var/lib/dbus/machine-id",
    "/var/lib/dpkg/*-old",
    "/var/lib/systemd/random-seed",
    "/var/log/**/*.log",
)
_HOST: Final = "localhost"
_NAMED: Final = 'hostname "$0" 2>/dev/null || echo "$0" >/proc/sys/kernel/hostname; exec "$@"'
_ALONE: Final = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--")
_OUR_DOING: Final = (
    "I: skipping ",
    "W: empty apt sources.list",
    "W: Host system does not have a ",
    "W: Download is performed unsandboxed ",
)
"""What mmdebstrap remarks about a root that was laid out for it."""

_CHUNK: Final = 200
_KEPT_LINES: Final = 20


class PackagesOp:
    def __init__(
        self,
        store: LocalStore,
        snapshots: Snapshots,
        stacks: Stacks,
        around: Surroundings,
        observer: Observer,
        cancelled: threading.Event,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stacks = stacks
        self._around = around
        self._observe = observer
        self._cancelled = cancelled

    def execute(self, step: PackagesStep, key: ActionKey, now: int) -> ActionResult:
        """Raises CancelledError, MachineError ``no-mmdebstrap``, StepFailedError ``version-gone``, ``packages-failed``,
        ``packages-differ`` and those of :mod:`buildgraph.execute.apt`."""
        start = time.monotonic()
        try:
            with self._snapshots.prepare(()) as active:
                self._make(step, active.root)
                active.quiesce()
                packed = self._pack(step, active.upper)
                made = self._store.blobs.put(tree.encode(packed.tree), "blake3")
                layer = PlacedLayer(step.id, made)
                self._store.lease.name(layer.snapshot)
                active.commit(layer.snapshot)
        except BuildgraphError as error:
            error.where = error.where or step.where
            raise
        self._stacks.placed.keep_tree(made, packed.tree)
        size = tree.size_of(packed.tree)
        seconds = time.monotonic() - start
        return ActionResult("packages", key, (), made, packed.diff_id, size, seconds, now)

    def _make(self, step: PackagesStep, root: Path) -> None:
        archive = find_archive(step, self._around)
        if not shutil.which("mmdebstrap"):
            raise MachineError(
                "no-mmdebstrap",
                f"step {_bare(step)} needs mmdebstrap, which this machine lacks",
                hint="apt-get install mmdebstrap",
            )
        packages = [Package.parse(pin) for pin in step.pins]
        foreign = foreign_architectures(step.pins, archive.architecture)
        config = self._store.temp()
        env = self._around.environment()
        source = apt.Apt(archive, root, config, foreign, env, self._teller(step), self._cancelled)
        source.update()
        if gone := source.lacking(packages):
            raise _gone(step, gone, archive)
        source.prefer(pinned(packages, archive.architecture))
        _lay_out(root, packages, archive.architecture)
        self._mmdebstrap(step, _command(root, packages, archive, foreign))
        _compare(step, packages, root)
        _write_sources(root, archive.suite)

    def _teller(self, step: PackagesStep) -> Callable[[str], None]:
        return lambda line: self._observe(StepOutput(_bare(step), line))

    def _mmdebstrap(self, step: PackagesStep, argv: Sequence[str]) -> None:
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        say = self._teller(step)

        def keep(line: bytes) -> None:
            text = line.decode("utf-8", "replace")
            if not text.startswith(_OUR_DOING):
                last.append(text)
                say(text)

        lines = Lines(keep)
        env = {**self._around.environment(), "SOURCE_DATE_EPOCH": str(EPOCH)}
        ended = supervise(argv, on_output=lines.feed, cancelled=self._cancelled, env=env)
        lines.end()
        if ended.cancelled:
            raise CancelledError
        if ended.code and tells_full(last):
            raise no_space(self._store.home)
        if ended.code:
            raise StepFailedError(
                "packages-failed",
                f"step {_bare(step)}: mmdebstrap failed with exit code {ended.code}",
                hint="`buildgraph doctor` says what this machine does not allow",
                detail=last,
            )

    def _pack(self, step: PackagesStep, root: Path) -> Packed:
        found = changes.scan(root, None, keep_times=step.keep_time, git_modes=step.git_modes)
        items = changes.select(found, (), DISCARDED)
        codec = self._stacks.codecs.get(step.id)
        temp = self._store.blobs.temp() if codec is not None else None
        packed = pack(items, codec=codec, blob=temp)
        settle(root, items)
        content = tree.encode(packed.tree)
        made = Digest.blake3(content)
        if codec is not None and temp is not None:
            self._stacks.record(made, content, packed, codec, temp)
        else:
            self._stacks.record_tar(made, packed)
        return packed


def resolve(
    step: PackagesStep,
    store: LocalStore,
    around: Surroundings,
    *,
    prefer: Sequence[str],
    observer: Observer,
    cancelled: threading.Event,
) -> PackagesPin:
    """What the step would install now, for the lock; of ``prefer`` (pins) as much as possible."""

    def say(line: str) -> None:
        observer(StepOutput(_bare(step), line))

    try:
        archive = find_archive(step, around)
        found = apt.resolve(
            archive,
            step.packages,
            store.temp(),
            prefer=prefer,
            env=around.environment(),
            say=say,
            cancelled=cancelled,
        )
    except BuildgraphError as error:
        error.where = error.where or step.where
        raise
    return PackagesPin(archive.suite, tuple(sorted(step.packages)), tuple(sorted(found)))


def _lay_out(root: Path, packages: Sequence[Package], architecture: str) -> None:
    """What mmdebstrap would take from this machine, and the links of a merged /usr. ``root`` is still all our own."""
    apt.make_file(root, "etc/hostname", f"{_HOST}\n")
    apt.make_file(root, "etc/resolv.conf", "")
    if any(package.name == "usr-is-merged" for package in packages):
        for name in merged_links(architecture):
            apt.make_folder(root, f"usr/{name}")
            (root / name).symlink_to(f"usr/{name}")


def _command(
    root: Path, packages: Sequence[Package], archive: Archive, foreign: Sequence[str]
) -> list[str]:
    names = [f"{p.named(archive.architecture)}={p.version}" for p in packages]
    chunks = [names[at : at + _CHUNK] for at in range(0, len(names), _CHUNK)]
    return [
        *apt.MORTAL,
        *_ALONE,
        *("sh", "-c", _NAMED, _HOST, "mmdebstrap", "--mode=root"),
        *("--format=directory", "--variant=essential"),
        f"--architectures={','.join((archive.architecture, *foreign))}",
        "--skip=check/empty,update,cleanup/apt",
        *(f"--include={','.join(chunk)}" for chunk in chunks),
        archive.suite,
        str(root),
        "",
    ]


def _compare(step: PackagesStep, packages: Sequence[Package], root: Path) -> None:
    with Rooted(root) as rooted:
        status = rooted.read(b"var/lib/dpkg/status", 1 << 28) or b""
    there = set(installed(status.decode("utf-8", "replace")))
    wanted = set(packages)
    if there != wanted:
        detail = [f"missing: {package}" for package in sorted(wanted - there)]
        detail += [f"not in the lock: {package}" for package in sorted(there - wanted)]
        raise StepFailedError(
            "packages-differ",
            f"step {_bare(step)} installed other packages than those in Buildfile.lock",
            hint=f"buildgraph lock --update {_bare(step)}",
            detail=detail,
        )


def _write_sources(root: Path, suite: str) -> None:
    with Rooted(root) as rooted:
        text = aptsources.canonical((rooted.read(b"etc/os-release") or b"").decode(), suite)
        if text:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            fd = rooted.open_exact(b"etc/apt/sources.list.d/debian.sources", flags, 0o644)
            with open(fd, "w", encoding="utf-8") as file:
                os.fchmod(fd, 0o644)
                file.write(text)


def _gone(step: PackagesStep, gone: Sequence[Package], archive: Archive) -> StepFailedError:
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    first = gone[0]
    return StepFailedError(
        "version-gone",
        f"the archive of {archive.suite} no longer has {first.name} {first.version}{more}",
        hint=f"buildgraph lock --update {_bare(step)}",
        detail=[str(package) for package in gone] if more else (),
    )


def _bare(step: PackagesStep) -> str:
    return step.id.partition(":")[2]
