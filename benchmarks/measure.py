"""How long a command takes, and how much memory any process below it takes at most.

Before each timed command the disk's queue is emptied (`sync`), so that no side pays for what the other wrote. Nothing
is deleted between two timed commands: ext4 is slow for a while after many files were removed.
"""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

LIMIT = 1800.0  # seconds after which a command has failed
KB = 1024
MB = 1_000_000


class Ran(NamedTuple):
    """Seconds: on the clock, and of CPU time of the command and everything that it waited for."""

    wall: float
    cpu: float


class CommandError(Exception):
    pass


def timed(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    *,
    sync: bool = True,
    stdout: IO[str] | None = None,
) -> Ran:
    """Run ARGV to its end. Raises CommandError with its last words if it fails."""
    if sync:
        os.sync()
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=stdout or output,
            stderr=output,
        )
        with ended_at_limit(process):
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        _refuse_failure(argv, process.returncode, output)
    return Ran(wall, usage.ru_utime + usage.ru_stime)


@contextlib.contextmanager
def ended_at_limit(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill PROCESS when it has not ended in time, so that one that hangs fails its row and not the run."""
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def peak(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[float, str]:
    """The largest resident set (MB) that any one process below ARGV ever had, and that process's name.

    The kernel keeps each process's own peak (VmHWM), so it is enough to look at each one shortly before it ends: every
    few milliseconds.
    """
    peaks: dict[int, tuple[float, str]] = {}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        known = {process.pid}
        with ended_at_limit(process):
            while process.poll() is None:
                known |= descendants(known)
                for pid in known:
                    found = high_water(pid)
                    if found is not None:
                        peaks[pid] = max(found, peaks.get(pid, (0.0, "")))
                time.sleep(0.004)
        _refuse_failure(argv, process.returncode, output)
    return max(peaks.values())


def descendants(known: set[int]) -> set[int]:
    """Processes whose parent is one of KNOWN, and theirs. Who lost its parent stays known."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
                parents[int(name)] = int(fields[1])
    found: set[int] = set()
    more = known
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - found - known
        found |= more
    return found


def high_water(pid: int) -> tuple[float, str] | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    size = fields.get("VmHWM")
    if size is None:  # a zombie has no memory
        return None
    return int(size.split()[0]) * KB / MB, fields["Name"]


def _refuse_failure(argv: Sequence[str], code: int, output: IO[bytes]) -> None:
    if code:
        output.seek(0)
        last = output.read().decode(errors="replace").strip()[-2000:]
        raise CommandError(f"{' '.join(argv[:6])}: exit code {code}\n{last}")
