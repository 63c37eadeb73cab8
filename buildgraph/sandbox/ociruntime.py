"""runc and crun as runtimes: any user, resource limits; three to four times the start-up time of bubblewrap.

Neither runtime ends its container when it is killed itself, so it is started as process 1 of a process namespace of
its own, which the kernel ends as a whole::

    setpriv --pdeathsig KILL ─► unshare --pid --fork --kill-child ─► crun run ─► the command
                                                                  └► reaper ─► runc run --detach ─► the command

What is under way lives in ``<scratch>/bundle-<pid>-…``: config.json, the runtime's state and log; and in control
groups ``buildgraph-<pid>-…``, which :func:`sweep` takes away after a crash.
"""

import json
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import ENOENT
from functools import cache
from pathlib import Path

from buildgraph.sandbox import bundle
from buildgraph.sandbox.command import DEFAULT_PATH, Command, Exit
from buildgraph.sandbox.mounts import in_initial_user_namespace
from buildgraph.sandbox.namespace import whole_mounts
from buildgraph.sandbox.network import in_private_network
from buildgraph.sandbox.outcome import failed_exec, sandbox_failed
from buildgraph.sandbox.process import nothing, supervise
from buildgraph.sandbox.room import Rooms
from buildgraph.sandbox.stage import staged

_CGROUPS = "/sys/fs/cgroup"
_GROUP = "buildgraph-"
_UNIFIED = f"{_CGROUPS}/unified"
_OWN_NAMESPACE = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
_REAPER = str(Path(__file__).with_name("reaper.py"))
_BARE = {"PATH": os.environ.get("PATH") or DEFAULT_PATH}


class OciRuntime:
    def __init__(self, binary: str, scratch: Path) -> None:
        self.name = self.package = self.binary = binary
        self._scratch = scratch
        self._rooms = Rooms(scratch, dev=False)

    def refuses(self, command: Command) -> str | None:
        if command.limited and not in_initial_user_namespace():
            return "it cannot limit cpus or memory without root"
        if command.interactive:
            return "it does not hand over the terminal"
        return None

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object] = nothing,
    ) -> Exit:
        if (
            shutil.which(self.binary, path=_BARE["PATH"]) is None
        ):  # unshare would say so as the command
            raise FileNotFoundError(ENOENT, "not installed", self.binary)
        whole_mounts()
        sweep()
        if command.network == "private":
            return in_private_network(lambda: self._run(command, on_output, cancelled, meanwhile))
        return self._run(command, on_output, cancelled, meanwhile)

    def _run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object],
    ) -> Exit:
        above = command.limits.cgroup_parent.strip("/")
        with (
            _parents(above),
            _folder(self._scratch) as folder,
            staged(command, self._rooms, system=False) as stage,
        ):
            identity = folder.name.removeprefix("bundle-")
            group = f"/{above}/{_GROUP}{identity}" if above else f"/{_GROUP}{identity}"
            group = group if in_initial_user_namespace() else ""
            config = bundle.config(command, stage.root, group)
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
            ended = supervise(
                self._argv(command, folder, identity),
                on_output=on_output,
                cancelled=cancelled,
                timeout=command.timeout,
                env=_BARE,
                meanwhile=meanwhile,
            )
            stopped = ended.timed_out or ended.cancelled
            said = _errors(folder / "log")
        if said and ended.code and not stopped:
            if "exec" not in said and "executable" not in said:
                raise sandbox_failed(self.name, command, said)
            return Exit(failed_exec(said))
        return Exit(ended.code, ended.timed_out, ended.cancelled)

    def _argv(self, command: Command, folder: Path, identity: str) -> Sequence[str]:
        argv = [self.binary, "--root", str(folder / "state"), "--log", str(folder / "log")]
        argv += ["--log-format", "json"]
        run = ["run", "--bundle", str(folder)]
        if self.binary != "crun":
            argv += ["--rootless", "auto" if in_initial_user_namespace() else "true"]
            pid_file = str(folder / "pid")
            reaper = [sys.executable, "-I", "-S", _REAPER, pid_file]
            return [
                *_OWN_NAMESPACE,
                *reaper,
                *argv,
                *run,
                "--detach",
                "--pid-file",
                pid_file,
                identity,
            ]
        if not command.limited:
            argv += ["--cgroup-manager", "disabled"]
        before: tuple[str, ...] = ()
        if os.path.ismount(
            _UNIFIED
        ):  # crun refuses hybrid control groups: show it only the old ones
            before = ("sh", "-c", f'mount -t tmpfs none {_UNIFIED} && exec "$@"', "sh")
        return [*_OWN_NAMESPACE, *before, *argv, *run, identity]


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    folder = scratch / f"bundle-{os.getpid()}-{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove_groups(folder.name.removeprefix("bundle-"))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _parents(above: str) -> Iterator[None]:
    """Groups that the runtime makes on the way to the command's own go with it, unless others are in them by then."""
    parts = above.split("/") if above else []
    ways = ["/".join(parts[: count + 1]) for count in range(len(parts))][::-1]
    roots = (
        (_CGROUPS, *(entry.path for entry in os.scandir(_CGROUPS) if entry.is_dir()))
        if ways
        else ()
    )
    new = [f"{root}/{way}" for root in roots for way in ways if not os.path.exists(f"{root}/{way}")]
    try:
        yield
    finally:
        for group in new:
            with suppress(OSError):
                os.rmdir(group)


def _errors(log: Path) -> str:
    """The runtime's own error messages, one a line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = []
    for line in lines:
        with suppress(ValueError):
            entry = json.loads(line)
            if entry.get("level") in ("error", "fatal"):
                found.append(str(entry.get("msg", "")))
    return "\n".join(found)


@cache
def sweep() -> None:
    """Remove the control groups of processes that are dead; once per process is enough."""
    for group in _groups("*"):
        pid = os.path.basename(group).removeprefix(_GROUP).partition("-")[0]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with suppress(OSError):
                os.rmdir(group)


def _remove_groups(identity: str) -> None:
    for group in _groups(identity):
        with suppress(OSError):
            os.rmdir(group)


def _groups(name: str) -> list[str]:
    import glob

    depths = ("", "*/", "*/*/", "*/*/*/")  # hierarchies of their own, and groups to be made in
    patterns = (f"{_CGROUPS}/{depth}{_GROUP}{name}" for depth in depths)
    return [path for pattern in patterns for path in glob.glob(pattern)]
