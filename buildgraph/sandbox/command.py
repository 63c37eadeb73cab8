"""What a sandbox is asked to run, and what came of it, as values.

A command sees the root it is given, the mounts it names, ``/proc``, ``/dev``, ``/sys`` (read-only), its own
``/etc/hosts``, ``/etc/hostname`` and ``/etc/resolv.conf``, and nothing else of the machine. It is process 1 of its
process namespace: when it ends, whatever it left running ends with it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from buildgraph.errors import UsageError
from buildgraph.sandbox.stubs import Stub
from buildgraph.spec.docker import Limits
from buildgraph.values import dataclass, field

Network = Literal["none", "host", "private"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOSTNAME = "buildgraph"
_RESERVED = ("/", "/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class BindPoint:
    """The host's file or directory ``source`` at the absolute path ``target`` of the root."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class TmpfsPoint:
    """Fresh memory at ``target``; ``size`` in bytes, None for the kernel's default."""

    target: str
    size: int | None = None
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


MountPoint = BindPoint | TmpfsPoint


@dataclass(frozen=True, slots=True)
class Command:
    """``env`` is everything but HOME, PATH and PWD, which have defaults. ``workdir`` is made if missing.

    ``hosts`` are names and addresses for ``/etc/hosts``; ``timeout`` is in seconds, ``memory`` in bytes.
    """

    root: Path
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    hostname: str = HOSTNAME
    network: Network = "none"
    mounts: tuple[MountPoint, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    cpus: float | None = None
    memory: int | None = None
    readonly_root: bool = False
    no_new_privs: bool = True
    shm_size: int = 0
    """Bytes of ``/dev/shm``; 0 leaves it to the runtime."""
    ulimits: tuple[tuple[str, int, int], ...] = ()
    """Name (``nofile``), soft and hard limit."""
    limits: Limits = Limits()
    """What a Dockerfile's build asks of control groups."""
    insecure: bool = False
    """Every capability, every system call, every device; nothing masked."""
    interactive: bool = False
    """Has the terminal of this process; nothing of what it says is captured."""

    @property
    def limited(self) -> bool:
        return self.cpus is not None or self.memory is not None or self.limits != Limits()


@dataclass(frozen=True, slots=True)
class Exit:
    """``code`` is 128 + N for a death by signal N, 127 and 126 for a program that is missing or cannot run."""

    code: int
    timed_out: bool = False
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out and not self.cancelled

    @property
    def signal(self) -> int | None:
        return self.code - 128 if 128 < self.code <= 192 else None


def stubs(mounts: Sequence[MountPoint] = ()) -> tuple[Stub, ...]:
    """The mount points that a stack must have before a command with ``mounts`` runs on it.

    Raises UsageError ``bad-mount-target``.
    """
    system = [Stub(path) for path in ("/proc", "/sys", "/dev")]
    system += [Stub(path, "file") for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")]
    return (*system, *(_stub(mount) for mount in mounts))


def _stub(mount: MountPoint) -> Stub:
    check_target(mount.target)
    match mount:
        case BindPoint(source=source) if not source.is_dir():
            return Stub(mount.target, "file")
        case _:
            return Stub(mount.target)


def check_target(target: str) -> None:
    """Raises UsageError ``bad-mount-target`` for what no command may mount over."""
    plain = os.path.normpath("/" + target.lstrip("/"))
    if not target.startswith("/") or plain in _RESERVED or plain.startswith(("/proc/", "/sys/")):
        raise UsageError(
            "bad-mount-target",
            f"nothing can be mounted at {target!r}",
            hint="a mount's target is an absolute path, not /, /dev, and not in /proc or /sys",
        )


def environment(command: Command) -> dict[str, str]:
    """The environment as the command gets it, in any runtime."""
    from buildgraph.sandbox.users import home_of

    env = dict(command.env)
    env.setdefault("PATH", DEFAULT_PATH)
    if "HOME" not in env:
        env["HOME"] = home_of(command.root, command.uid)
    env["PWD"] = command.workdir
    return env
