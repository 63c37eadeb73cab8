"""Which program runs a command in a sandbox? The first that is there, works on this machine and can do what is asked.

A runtime works when it ran a command: nothing is concluded from version numbers or kernel settings. Each is tried
once per process, and only when it is its turn: bubblewrap, then crun, then runc. The first command that anybody wants
to be run is a trial like any other; only where it does not end well, the runtime is tried with ``true``.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from buildgraph.errors import BuildgraphError, MachineError
from buildgraph.sandbox.bubblewrap import Bubblewrap
from buildgraph.sandbox.command import (
    BindPoint,
    Command,
    Exit,
    MountPoint,
    Network,
    TmpfsPoint,
    stubs,
)
from buildgraph.sandbox.mounts import Bind, attached
from buildgraph.sandbox.ociruntime import OciRuntime
from buildgraph.sandbox.process import nothing
from buildgraph.values import dataclass


class Runtime(Protocol):
    """Runs commands. Any number of threads may use one at once."""

    @property
    def name(self) -> str: ...

    @property
    def package(self) -> str:
        """The Debian package that it comes with."""

    def refuses(self, command: Command) -> str | None:
        """Why this runtime cannot do what ``command`` asks; None when it can."""

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object] = ...,
    ) -> Exit:
        """Run ``command`` to its end; when it returns, no process of it is left.

        ``on_output`` is called in this thread with pieces of stdout and stderr, in the order they were written.
        ``meanwhile`` is called once, while the command runs, and takes no time of it.
        Raises MachineError (``sandbox-failed``) when the command could not even be started for the machine's sake,
        UsageError when its workdir or a mount's target cannot be.
        """


@dataclass(frozen=True, slots=True)
class Probe:
    """``reason`` is empty when the runtime works."""

    runtime: Runtime
    reason: str = ""


class Runtimes:
    """The runtimes of this machine; ``scratch`` is a private directory for what lives as long as a command."""

    def __init__(self, scratch: Path, candidates: Sequence[Runtime] | None = None) -> None:
        self._scratch = scratch
        self._candidates: Sequence[Runtime] = candidates or (
            Bubblewrap(scratch),
            OciRuntime("crun", scratch),
            OciRuntime("runc", scratch),
        )
        self._probed: dict[str, Probe] = {}
        self._lock = threading.Lock()

    def run(
        self,
        command: Command,
        on_output: Callable[[bytes], None],
        cancelled: threading.Event,
        meanwhile: Callable[[], object] = nothing,
    ) -> Exit:
        """By the first that can. Raises as :meth:`choose` and :meth:`Runtime.run` do."""

        def by(runtime: Runtime) -> Exit:
            return runtime.run(command, on_output, cancelled, meanwhile)

        first = next((r for r in self._candidates if not r.refuses(command)), None)
        ended = self._tried(first, by) if first and first.name not in self._probed else None
        return by(self.choose(command)) if ended is None else ended

    def _tried(self, runtime: Runtime, by: Callable[[Runtime], Exit]) -> Exit | None:
        """None when the runtime, not the command, is to blame for how that went."""
        try:
            ended = by(runtime)
        except (BuildgraphError, OSError):
            if self.probe(runtime).reason:
                return None
            raise
        if ended.ok:
            self._probed.setdefault(runtime.name, Probe(runtime))
        elif not ended.cancelled and self.probe(runtime).reason:
            return None
        return ended

    def can(self, command: Command) -> bool:
        """Whether any runtime of this machine does."""
        return any(not (r.refuses(command) or self.probe(r).reason) for r in self._candidates)

    def choose(self, command: Command) -> Runtime:
        """Raises MachineError ``no-runtime`` with each runtime's reason."""
        reasons = []
        for runtime in self._candidates:
            reason = runtime.refuses(command) or self.probe(runtime).reason
            if not reason:
                return runtime
            reasons.append(f"{runtime.name}: {reason}")
        raise MachineError(
            "no-runtime",
            "no sandbox on this machine can run this command",
            detail=reasons,
            hint="apt-get install bubblewrap crun",
        )

    def probe(self, runtime: Runtime) -> Probe:
        """The result of running ``true`` with it, remembered."""
        with self._lock:
            if runtime.name not in self._probed:
                self._probed[runtime.name] = Probe(runtime, self._try(runtime))
            return self._probed[runtime.name]

    def probe_all(self) -> tuple[Probe, ...]:
        return tuple(self.probe(runtime) for runtime in self._candidates)

    def _try(self, runtime: Runtime) -> str:
        said = bytearray()
        try:
            with machine_root(self._scratch) as root:
                command = Command(root, ("true",), timeout=20, readonly_root=True)
                ended = runtime.run(command, said.extend, threading.Event())
        except BuildgraphError as error:
            return "; ".join((error.message, *error.detail))
        except FileNotFoundError:
            return "not installed"
        except OSError as error:
            return str(error)
        if ended.ok:
            return ""
        text = said.decode("utf-8", "replace").strip()
        return f"`true` ended with {ended.code} {text}".strip()


@contextmanager
def machine_root(scratch: Path) -> Iterator[Path]:
    """The machine's own root directory, read-only: a root filesystem that is always there."""
    import tempfile

    with (
        tempfile.TemporaryDirectory(prefix="probe-", dir=scratch) as at,
        attached(Bind(Path("/"), recursive=True), Path(at)),
    ):
        yield Path(at)


__all__ = [
    "BindPoint",
    "Bubblewrap",
    "Command",
    "Exit",
    "MountPoint",
    "Network",
    "OciRuntime",
    "Probe",
    "Runtime",
    "Runtimes",
    "TmpfsPoint",
    "stubs",
]
