"""Run one program to its end, whatever it does: its output as it comes, a time limit, cancellation, no survivor.

The program is the outermost of a chain whose inner part is process 1 of a process namespace of its own. The chain is
watched by descriptors (pidfd, pipe), so nothing is ever sent to a number that somebody else has by now. Killing means
the whole namespace, and this module returns only after every process in it is gone.
"""

import errno
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple, Protocol

from buildgraph.errors import MachineError, UsageError

_CHUNK = 64 << 10
_TICK = 0.1  # how long a cancellation may go unnoticed
_DEATH = 30.0
_GRACE = 1.0  # for the outer programs to end after what they wait for


class Report(Protocol):
    """What a program says about the command that it runs."""

    @property
    def fd(self) -> int:
        """Readable whenever there is more of it."""

    def is_over(self) -> bool:
        """Read what there is. Whether the command, and every process below it, has ended."""


class Ended(NamedTuple):
    code: int
    timed_out: bool
    cancelled: bool


def nothing() -> None:
    """What there is to do while a program runs, usually."""


def supervise(
    argv: Sequence[str],
    *,
    on_output: Callable[[bytes], None],
    cancelled: threading.Event,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    meanwhile: Callable[[], object] = nothing,
    report: Report | None = None,
    undo: ExitStack | None = None,
) -> Ended:
    """``on_output`` gets what the program writes to stdout and stderr, in order, from this thread.

    ``meanwhile`` is called once, when the program has started: for a millisecond of work that nobody else has time for.

    With ``report`` and ``undo``, which go together, a command counts as ended when the program reports so. The
    program's own end, a few instructions later, is waited for by ``undo``, and its exit code is not known.

    Raises OSError when the program cannot be started, UsageError ``command-too-long`` where its words are to blame,
    MachineError ``unkillable`` when it cannot be ended.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            program = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env=env,
                pass_fds=pass_fds,
                start_new_session=True,
                umask=0o022,
                cwd="/",
            )
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise _too_long(error) from error
            raise
        finally:
            os.close(writer)
        watch = _Watch(program, reader, on_output, cancelled, deadline, meanwhile)
        return watch.run(report, undo)
    finally:
        os.close(reader)


def _too_long(error: OSError) -> UsageError:
    return UsageError(
        "command-too-long",
        f"the command or a variable of its environment is too long for the kernel: {error.strerror}",
        hint="one word may have 128 KiB: put a long script into a file, run = { file = … }",
    )


def attend(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> int:
    """Run a program that has this process's terminal, until it ends by itself; its exit code."""
    ended = subprocess.run(argv, env=env, pass_fds=pass_fds, cwd="/", check=False)
    return _code(ended.returncode)


class _Watch:
    def __init__(
        self,
        program: subprocess.Popen[bytes],
        reader: int,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        deadline: float | None,
        meanwhile: Callable[[], object],
    ) -> None:
        self.program = program
        self.reader = reader
        self.on_output = on_output
        self.cancelled = cancelled
        self.deadline = deadline
        self.meanwhile = meanwhile
        self.open = True

    def run(self, report: Report | None, undo: ExitStack | None) -> Ended:
        pidfd = os.pidfd_open(self.program.pid)
        try:
            self.meanwhile()
            stopped = self._follow(pidfd, report)
            if stopped in ("", "reported"):
                while self.open and _readable(self.reader, 0):
                    self._read()
            else:
                if self.open and _readable(self.reader, 0):
                    self._read()  # a pipe's worth; what follows is about being killed
                _kill(self.program.pid, pidfd)
            if stopped == "reported" and undo is not None:
                undo.callback(self.program.wait)
                return Ended(0, timed_out=False, cancelled=False)
            return Ended(_code(self.program.wait()), stopped == "timed out", stopped == "cancelled")
        except BaseException:
            _kill(self.program.pid, pidfd)
            self.program.wait()
            raise
        finally:
            os.close(pidfd)

    def _follow(self, pidfd: int, report: Report | None) -> str:
        """Until the program ends by itself (empty), reports the end, or must be ended (why)."""
        poll = select.poll()
        if report is not None:
            poll.register(report.fd, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        poll.register(self.reader, select.POLLIN)
        while True:
            if self.cancelled.is_set():
                return "cancelled"
            wait = _TICK
            if self.deadline is not None:
                wait = min(wait, self.deadline - time.monotonic())
                if wait <= 0:
                    return "timed out"
            ready = {fd for fd, _ in poll.poll(wait * 1000)}
            if self.reader in ready:
                self._read()
                if not self.open:
                    poll.unregister(self.reader)
                continue
            if ready and report is not None and report.is_over():
                return "reported"
            if pidfd in ready:
                return ""

    def _read(self) -> None:
        if chunk := os.read(self.reader, _CHUNK):
            self.on_output(chunk)
        else:
            self.open = False


def _kill(pid: int, pidfd: int) -> None:
    """End the program and all below it, and wait until the last of them is gone."""
    below = _descendants(pid)
    deadline = time.monotonic() + _DEATH
    try:
        for fd in below:  # first, so that those above them collect them
            _send_kill(fd)
        if below:
            _readable(pidfd, _GRACE)
        _send_kill(pidfd)
        for fd in (pidfd, *below):
            if not _readable(fd, deadline - time.monotonic()):
                raise MachineError(
                    "unkillable",
                    f"process {pid} or one it started is still there {_DEATH:.0f} s after it was killed",
                    hint="it waits for a device or a network file system; see `ps -o pid,stat,wchan`",
                )
    finally:
        for fd in below:
            os.close(fd)


def _send_kill(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Descriptors of the processes below ``pid``; the first process of a namespace ends after all others in it."""
    found: list[int] = []
    pending = [pid]
    while pending:
        parent = pending.pop()
        with suppress(OSError), open(f"/proc/{parent}/task/{parent}/children", "rb") as names:
            for name in names.read().split():
                with suppress(ProcessLookupError):
                    found.append(os.pidfd_open(int(name)))
                    pending.append(int(name))
    return found


def _readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _code(status: int) -> int:
    return 128 - status if status < 0 else status
