"""What can this machine do, and what would make it do the rest? Every answer comes from trying.

:func:`examine` changes nothing that outlives it. Call it where commands would run: after
:func:`~buildgraph.sandbox.namespace.enter_private_mounts`, with a scratch directory on the store's file system.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildgraph.errors import BuildgraphError, MachineError
from buildgraph.sandbox import mounts, network, seccomp
from buildgraph.sandbox.command import Command
from buildgraph.sandbox.namespace import Privilege
from buildgraph.sandbox.ociruntime import OciRuntime
from buildgraph.sandbox.runtime import Runtimes, machine_root
from buildgraph.sandbox.snapshot import Snapshots

_OTHER_PLACE = "put the store on ext4, xfs, btrfs or tmpfs (BUILDGRAPH_HOME)"


class Finding(NamedTuple):
    """``fix`` is a command or advice; empty when ``ok``. ``required``: run steps do not work without it."""

    capability: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True


def examine(scratch: Path, privilege: Privilege) -> tuple[Finding, ...]:
    return tuple(_findings(scratch, privilege))


def _findings(scratch: Path, privilege: Privilege) -> Iterator[Finding]:
    yield _privilege(privilege)
    if privilege.problem:
        return
    yield _tried("overlay", lambda: _try_overlay(scratch))
    yield _tried("system call filter", lambda: f"{len(seccomp.program()) // 8} instructions")
    runtimes = Runtimes(scratch)
    probes = runtimes.probe_all()
    works = any(not probe.reason for probe in probes)
    for probe in probes:
        fix = f"apt-get install {probe.runtime.package}" if probe.reason else ""
        detail = probe.reason or "ran a command"
        yield Finding(probe.runtime.name, not probe.reason, detail, fix, required=not works)
    yield _other_users(runtimes)
    yield _limits(scratch, runtimes)
    problem = network.private_network_problem()
    fix = "apt-get install slirp4netns" if problem else ""
    yield Finding("private network", not problem, problem or "slirp4netns", fix, required=False)


def _privilege(privilege: Privilege) -> Finding:
    name = "private mounts"
    if privilege.problem:
        return Finding(name, ok=False, detail=privilege.problem.message, fix=privilege.problem.hint)
    how = "as root" if privilege.kind == "root" else f"in a user namespace ({privilege.mapping})"
    return Finding(name, ok=True, detail=how)


def _tried(capability: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(capability, ok=True, detail=attempt())
    except BuildgraphError as error:
        return Finding(capability, ok=False, detail=error.message, fix=error.hint)


def _try_overlay(scratch: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=scratch) as folder:
        for name in ("snapshots", "tmp"):
            (Path(folder) / name).mkdir()
        store = Snapshots(Path(folder) / "snapshots", Path(folder) / "tmp")
        with store.create("lower") as lower:
            (lower / "gone").touch()
        with store.prepare([store.dir / "lower"]) as active:
            (active.root / "gone").unlink()
            active.commit("upper")
        with store.view([store.dir / "lower", store.dir / "upper"]) as view:
            if any(view.iterdir()):
                raise MachineError("no-overlay", "deleted files come back", hint=_OTHER_PLACE)
    return f"up to {mounts.most_lowers()} layers"


def _other_users(runtimes: Runtimes) -> Finding:
    name = "commands as another user than root"
    command = Command(Path("/"), ("true",), uid=1, gid=1)
    try:
        runtime = runtimes.choose(command)
    except BuildgraphError as error:
        return Finding(
            name,
            ok=False,
            detail="; ".join(error.detail),
            fix="apt-get install crun",
            required=False,
        )
    return Finding(name, ok=True, detail=runtime.name, required=False)


def _limits(scratch: Path, runtimes: Runtimes) -> Finding:
    name = "limits for cpus and memory"
    for runtime in (OciRuntime("crun", scratch), OciRuntime("runc", scratch)):
        if runtimes.probe(runtime).reason:
            continue
        with machine_root(scratch) as root:
            command = Command(
                root, ("true",), readonly_root=True, cpus=1, memory=1 << 29, timeout=20
            )
            if reason := runtime.refuses(command):
                return Finding(name, ok=False, detail=reason, fix="build as root", required=False)
            try:
                ended = runtime.run(command, lambda _: None, threading.Event())
            except BuildgraphError as error:
                detail = "; ".join((error.message, *error.detail))
                fix = "mount the cgroup controllers cpu and memory, writable"
                return Finding(name, ok=False, detail=detail, fix=fix, required=False)
        if ended.ok:
            return Finding(name, ok=True, detail=runtime.name, required=False)
    return Finding(
        name, ok=False, detail="needs crun or runc", fix="apt-get install crun", required=False
    )
