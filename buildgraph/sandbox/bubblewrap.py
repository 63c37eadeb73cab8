"""bubblewrap as a runtime: the fastest way into a sandbox, for commands that run as root without resource limits.

Options travel in an anonymous file (``--args``), so neither the environment nor a mount shows in the process list.
bubblewrap has no masks of its own: they are binds of /dev/null and of an empty directory, in that order::

    root ─ /proc ─ /dev ─ /sys ─ masks ─ /etc files ─ the command's mounts ─ capabilities ─ seccomp ─ exec
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from buildgraph.fs.rooted import Rooted
from buildgraph.sandbox import profile, seccomp
from buildgraph.sandbox.command import Command, Exit, environment, make_workdir
from buildgraph.sandbox.mounts import Sysfs, Tmpfs, in_initial_user_namespace
from buildgraph.sandbox.network import etc_files, in_private_network
from buildgraph.sandbox.outcome import failed_exec, sandbox_failed
from buildgraph.sandbox.points import Placed, mounted_folder, placed, resolved_target
from buildgraph.sandbox.process import Ended, supervise

_SETUP_OUTPUT = 4096
_BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}


class Bubblewrap:
    name = "bubblewrap"
    package = "bubblewrap"
    binary = "bwrap"

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def refuses(self, command: Command) -> str | None:
        if command.uid or command.gid or command.groups:
            return "it runs commands as root only"
        if command.limited:
            return "it cannot limit cpus or memory"
        if not command.no_new_privs:
            return "it always sets no_new_privs"
        return None

    def run(
        self, command: Command, on_output: Callable[[bytes], None], cancelled: threading.Event
    ) -> Exit:
        if command.network == "private":
            return in_private_network(lambda: self._run(command, on_output, cancelled))
        return self._run(command, on_output, cancelled)

    def _run(
        self, command: Command, on_output: Callable[[bytes], None], cancelled: threading.Event
    ) -> Exit:
        first = bytearray()

        def collect(chunk: bytes) -> None:
            if len(first) < _SETUP_OUTPUT:
                first.extend(chunk[:_SETUP_OUTPUT])
            on_output(chunk)

        if not command.readonly_root:
            make_workdir(command)
        with ExitStack() as stack:
            places = stack.enter_context(placed(command, self._scratch))
            room = stack.enter_context(mounted_folder(Tmpfs(), self._scratch))
            files = _Files(stack)
            status, writer = files.pipe()
            options = [*_options(command, places, room, files), "--json-status-fd", str(writer)]
            argv = [self.binary, "--args", str(files.memory(_joined(options))), "--", *command.argv]
            ended = supervise(
                argv,
                on_output=collect,
                cancelled=cancelled,
                timeout=command.timeout,
                env=_BARE,
                pass_fds=files.passed,
            )
            reported = _reported(os.read(status, 4096))
        return _exit(self.name, command, ended, reported, bytes(first))


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

    def pipe(self) -> tuple[int, int]:
        """Read end (which never blocks) and the write end that is passed on."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stack.callback(os.close, reader)
        self._stack.callback(os.close, writer)
        self.passed.append(writer)
        return reader, writer


def _options(
    command: Command, places: Iterable[Placed], room: Path, files: _Files
) -> Iterator[str]:
    """``room`` is a fresh tmpfs for what this one command needs."""
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
    if command.network == "none":
        yield "--unshare-net"
    yield from ("--die-with-parent", "--new-session", "--as-pid-1")
    yield from ("--hostname", command.hostname)
    yield from ("--ro-bind" if command.readonly_root else "--bind", str(command.root), "/")
    yield from ("--proc", "/proc", "--dev", "/dev", "--chmod", "1777", "/dev/shm")  # noqa: S108
    yield from _sys_and_masks(room)
    with Rooted(command.root) as root:
        taken = {place.target for place in places}
        for path, text in etc_files(command).items():
            target = resolved_target(root, path)
            if target not in taken:
                content = files.memory(text.encode("utf-8", "surrogateescape"))
                yield from ("--perms", "0644", "--bind-data", str(content), target)
    for place in places:
        yield from ("--bind" if place.writable else "--ro-bind", place.source, place.target)
    yield from ("--chdir", command.workdir, "--clearenv")
    for name, value in environment(command).items():
        yield from ("--setenv", name, value)
    yield from ("--cap-drop", "ALL")
    for capability in profile.CAPABILITIES:
        yield from ("--cap-add", capability)
    yield from ("--seccomp", str(files.memory(seccomp.program())))


def _sys_and_masks(room: Path) -> Iterator[str]:
    """bubblewrap itself makes the writable ones of /proc/{bus,irq,sysrq-trigger} read-only."""
    empty, sysfs = room / "empty", room / "sys"
    empty.mkdir()
    masked: tuple[str, ...] = profile.MASKED
    if in_initial_user_namespace():
        sysfs.mkdir()
        Sysfs().attach(sysfs)
    else:  # a fresh one is for the owner of the network namespace that we are in
        sysfs = Path("/sys")
        masked += profile.MASKED_IN_HOST_SYSFS
    yield from ("--ro-bind", str(sysfs), "/sys")
    for path in masked:
        if os.path.isdir(path):
            yield from ("--ro-bind", str(empty), path)
        elif os.path.exists(path):
            yield from ("--ro-bind", "/dev/null", path)
    for path in ("/proc/fs", "/proc/sys"):
        yield from ("--ro-bind", path, path)


def _joined(options: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(option) + b"\0" for option in options)


def _reported(status: bytes) -> int | None:
    """The exit code as bubblewrap reports it; None when it never got to the command."""
    for line in status.splitlines():
        code = json.loads(line).get("exit-code")
        if isinstance(code, int):
            return code
    return None


def _exit(name: str, command: Command, ended: Ended, reported: int | None, first: bytes) -> Exit:
    if ended.timed_out or ended.cancelled or reported is not None:
        return Exit(ended.code, ended.timed_out, ended.cancelled)
    said = first.decode("utf-8", "replace").strip()
    if said.startswith("bwrap: execvp "):
        return Exit(failed_exec(said))
    raise sandbox_failed(name, command, said or f"exit code {ended.code}")
