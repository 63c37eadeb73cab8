"""kill -9 at any moment: no process, no mount, no control group is left."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import capability, sandboxes

from buildgraph.sandbox import ociruntime

PROGRAM = Path(__file__).resolve().parents[1] / "support/sandboxed.py"


@contextlib.contextmanager
def started(folder: Path, runtime: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    program = start(folder, runtime, script)
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def start(folder: Path, runtime: str, script: str) -> subprocess.Popen[bytes]:
    """The program, running its command."""
    argv = [sys.executable, str(PROGRAM), str(folder), "/bin/busybox", runtime, script]
    path = os.pathsep.join(filter(None, sys.path))
    program = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
    assert program.stdout
    line = program.stdout.readline()
    if json.loads(line or "{}") != {"up": True}:
        program.kill()
        program.communicate()
        pytest.fail(f"it never ran: {line!r}")
    return program


def descendants(pid: int) -> dict[int, int]:
    """pidfd by pid of everything below ``pid``."""
    found: dict[int, int] = {}
    pending = [pid]
    while pending:
        parent = pending.pop()
        for task in Path("/proc").glob(f"{parent}/task/*/children"):
            with contextlib.suppress(OSError):  # threads and helpers come and go
                for child in map(int, task.read_text().split()):
                    found[child] = os.pidfd_open(child)
                    pending.append(child)
    return found


def is_over(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@pytest.fixture(params=["bwrap", "crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    capability.require_root()
    capability.require(request.param, "busybox")
    return str(request.param)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_and_no_mount_survives(
    tmp_path: Path, runtime: str, number: signal.Signals
) -> None:
    script = "trap '' TERM INT HUP; sleep 1000 & echo up; sleep 1000"
    before = Path("/proc/self/mountinfo").read_text().count(str(tmp_path))
    with started(tmp_path, runtime, script) as program:
        below = descendants(program.pid)
        assert len(below) >= 2
        program.send_signal(number)
        assert program.wait() == -number
    for pid, pidfd in below.items():
        assert is_over(pidfd, 20), pid
        os.close(pidfd)
    assert Path("/proc/self/mountinfo").read_text().count(str(tmp_path)) == before
    ociruntime.sweep.cache_clear()
    ociruntime.sweep()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/buildgraph-{program.pid}-*"))


def test_the_folder_works_on(tmp_path: Path, runtime: str) -> None:
    sandboxes.private_mounts()
    with started(tmp_path, runtime, "echo up; touch /x; sleep 1000") as program:
        below = descendants(program.pid)
    for pidfd in below.values():
        assert is_over(pidfd, 20)
        os.close(pidfd)
    store = sandboxes.snapshots(tmp_path)
    assert store.path("step") is None
    with store.prepare([store.dir / "base"]) as active:
        assert not (active.root / "x").exists()
