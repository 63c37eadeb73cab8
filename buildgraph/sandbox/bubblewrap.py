"""bubblewrap as a runtime: the fastest way into a sandbox, for commands that run as root without resource limits.

Most options travel by ``--args``, so neither the environment nor a mount shows in the process list.
bubblewrap has no masks of its own: they are binds of /dev/null and of an empty directory. What can be mounted before
is (:mod:`~buildgraph.sandbox.stage`); the rest is in this order::

    root with all that is mounted on it ─ /proc ─ its masks ─ capabilities ─ seccomp ─ exec

It takes nearly a millisecond until it reads its options, so it is started first, and the stage is set meanwhile: the
options that need the stage come through a pipe. Those that take rights away do not, so that there are none to be had
where the rest never arrives; nor is there a root then, in which a command could be found.

It sets no bounding set either, and a network of its own would come too late for ``/sys``: the thread that starts it has
both already (:mod:`~buildgraph.sandbox.apart`).
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from buildgraph.sandbox import profile, seccomp
from buildgraph.sandbox.apart import apart, aside, bound_capabilities
from buildgraph.sandbox.command import DEFAULT_PATH, Command, Exit, environment
from buildgraph.sandbox.loopback import Loopbacks
from buildgraph.sandbox.network import in_private_network
from buildgraph.sandbox.outcome import failed_exec, sandbox_failed
from buildgraph.sandbox.process import Ended, attend, nothing, supervise
from buildgraph.sandbox.room import Rooms
from buildgraph.sandbox.stage import Stage, staged

_SETUP_OUTPUT = 4096
_OWN = b"bwrap: "
_BARE = {"PATH": os.environ.get("PATH") or DEFAULT_PATH}


@cache
def _found(program: str) -> str:
    """Looked up once, not by every ``execve``."""
    return shutil.which(program, path=_BARE["PATH"]) or program


class Bubblewrap:
    name = "bubblewrap"
    package = "bubblewrap"
    binary = "bwrap"

    def __init__(self, scratch: Path) -> None:
        self._rooms = Rooms(scratch, dev=True)
        self._loopbacks = Loopbacks()

    def refuses(self, command: Command) -> str | None:
        if command.uid or command.gid or command.groups:
            return "it runs commands as root only"
        if command.limited:
            return "it cannot limit cpus or memory"
        if command.ulimits or command.insecure:
            return "it can neither set resource limits nor leave protection out"
        if not command.no_new_privs:
            return "it always sets no_new_privs"
        return None

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object] = nothing,
    ) -> Exit:
        def beside() -> None:
            meanwhile()
            self._rooms.furnish()
            if command.network == "none":
                self._loopbacks.furnish()

        def inside() -> Exit:
            try:
                if command.network == "none":
                    self._loopbacks.enter()
                bound_capabilities()
            except OSError as error:
                raise sandbox_failed(self.name, command, str(error)) from error
            return self._run(command, on_output, cancelled, beside)

        if command.network == "private":
            return in_private_network(inside)
        return aside(inside) if command.network == "none" else apart(inside)

    def _run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object],
    ) -> Exit:
        heard = _Heard(on_output)
        with ExitStack() as stack:
            files = _Files(stack)
            status, writer = files.status()
            argv = [_found(self.binary), *_restrictions(command, files)]
            argv += ("--json-status-fd", str(writer), "--args")

            def options() -> bytes:
                stage = stack.enter_context(staged(command, self._rooms, system=True))
                return _joined(_options(command, stage))

            if command.interactive:
                argv += (str(files.memory(options())), "--", *command.argv)
                return Exit(attend(argv, env=_BARE, pass_fds=files.passed))
            told = files.pipe()

            def begin() -> None:
                told.send(options())
                meanwhile()

            argv += (str(told.reader), "--", *command.argv)
            report = _Report(status)
            ended = supervise(
                argv,
                on_output=heard.feed,
                cancelled=cancelled,
                timeout=command.timeout,
                env=_BARE,
                pass_fds=files.passed,
                meanwhile=begin,
                report=report,
                undo=stack,
            )
        exited = _exit(self.name, command, ended, report.code(), bytes(heard.first))
        heard.pass_on()
        return exited


class _Heard:
    """Output as it comes; but what begins as bubblewrap's own messages do waits, for it may be told as an error."""

    def __init__(self, on_output: Callable[[bytes], None]) -> None:
        self._on_output = on_output
        self._waiting = True
        self.first = bytearray()

    def feed(self, chunk: bytes) -> None:
        if not self._waiting:
            self._on_output(chunk)
            return
        self.first += chunk
        own = _OWN.startswith(self.first) or self.first.startswith(_OWN)
        if not own or len(self.first) > _SETUP_OUTPUT:
            self.pass_on()

    def pass_on(self) -> None:
        if self._waiting and self.first:
            self._on_output(bytes(self.first))
        self._waiting = False


class _Files:
    """Descriptors that bubblewrap inherits; closed here when the stack ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.passed: list[int] = []

    def memory(self, content: bytes) -> int:
        fd = os.memfd_create("buildgraph", os.MFD_CLOEXEC)
        self._stack.callback(os.close, fd)
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        self.passed.append(fd)
        return fd

    def status(self) -> tuple[int, int]:
        """Read end (which never blocks) and the write end that is passed on."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stack.callback(os.close, reader)
        self._stack.callback(os.close, writer)
        self.passed.append(writer)
        return reader, writer

    def pipe(self) -> "_Pipe":
        """Its read end is passed on."""
        pipe = _Pipe(*os.pipe2(os.O_CLOEXEC))
        self._stack.callback(pipe.close)
        self.passed.append(pipe.reader)
        return pipe


class _Pipe:
    """To a program that reads all before it does anything."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self._ends = [writer, reader]

    def send(self, content: bytes) -> None:
        """All that it will ever get; one that ended before has no use for it."""
        os.close(self._ends.pop())
        with suppress(BrokenPipeError):
            while content:
                content = content[os.write(self._ends[0], content) :]
        self.close()

    def close(self) -> None:
        while self._ends:
            os.close(self._ends.pop())


_NAMESPACES = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"),
    *("--die-with-parent", "--as-pid-1"),
)
_RIGHTS = (
    *("--cap-drop", "ALL"),
    *(word for capability in profile.CAPABILITIES for word in ("--cap-add", capability)),
)


def _restrictions(command: Command, files: _Files) -> list[str]:
    """What holds whatever else is asked."""
    options = [*_NAMESPACES, *_RIGHTS, "--seccomp", str(files.memory(seccomp.program()))]
    return options if command.interactive else [*options, "--new-session"]


def _options(command: Command, stage: Stage) -> list[str]:
    empty = str(stage.empty)
    options = ["--hostname", command.hostname]
    options += ("--dev-bind", str(stage.root), "/", "--proc", "/proc")
    for path, is_directory in _proc_masks():
        options += ("--ro-bind", empty if is_directory else "/dev/null", path)
    for path in ("/proc/fs", "/proc/sys"):
        options += ("--ro-bind", path, path)
    options += ("--chdir", command.workdir, "--clearenv")
    for name, value in environment(command).items():
        options += ("--setenv", name, value)
    return options


@cache
def _proc_masks() -> tuple[tuple[str, bool], ...]:
    """What there is to hide, and whether it is a directory; bubblewrap itself makes the writable ones of
    /proc/{bus,irq,sysrq-trigger} read-only."""
    paths = [path for path in profile.MASKED if path.startswith("/proc/")]
    return tuple((path, os.path.isdir(path)) for path in paths if os.path.exists(path))


def _joined(options: Iterable[str]) -> bytes:
    return os.fsencode("".join(f"{option}\0" for option in options))


class _Report:
    """What bubblewrap says of the command: lines of JSON at a descriptor that never blocks."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._said = b""

    def is_over(self) -> bool:
        """Whether it says that the command has ended; then every process of its namespace has."""
        with suppress(BlockingIOError):
            self._said += os.read(self.fd, 4096)
        return self.code() is not None

    def code(self) -> int | None:
        """The command's exit code; None when bubblewrap never got to the command."""
        for line in self._said.split(b"\n")[:-1]:
            code = json.loads(line).get("exit-code")
            if isinstance(code, int):
                return code
        return None


def _exit(name: str, command: Command, ended: Ended, reported: int | None, first: bytes) -> Exit:
    if ended.timed_out or ended.cancelled:
        return Exit(ended.code, ended.timed_out, ended.cancelled)
    if reported is not None:
        return Exit(reported)
    said = first.decode("utf-8", "replace").strip()
    if said.startswith("bwrap: execvp "):
        return Exit(failed_exec(said))
    raise sandbox_failed(name, command, said or f"exit code {ended.code}")
