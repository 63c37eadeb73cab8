"""Where mounts live: a private mount namespace, and without root a user namespace around it.

:func:`enter_private_mounts` is called once, early, in the main thread: threads and processes started later are in
the namespace too, and it ends with the last of them, so that even ``kill -9`` leaves no mount behind.

An ordinary user becomes root of a user namespace, with the own id as 0 and the ranges of ``/etc/subuid`` and
``/etc/subgid`` above it, written by ``newuidmap`` and ``newgidmap`` (package ``uidmap``)::

    inside   outside
    0        the user
    1 …      start of the range …      at least 65,536 ids, or a Debian root cannot be unpacked
"""

import os
import pwd
import subprocess
import threading
from contextlib import suppress
from typing import Literal

from buildgraph.errors import MachineError
from buildgraph.sandbox import mounts, syscalls
from buildgraph.values import dataclass

_LEAST_IDS = 65_536
_SETUP = 'read -r _ && newuidmap "$1" 0 "$2" 1 1 "$4" "$5" && newgidmap "$1" 0 "$3" 1 1 "$6" "$7"'


@dataclass(frozen=True, slots=True)
class Privilege:
    """What this process may do about mounts and owners.

    ``root``: everything. ``userns``: the same inside its user namespace. ``none``: neither; ``problem`` says why, and
    is raised by whatever needs more. ``mapping`` is ``inside:outside:count,…``; a store is used with one mapping only.
    """

    kind: Literal["root", "userns", "none"]
    mapping: str
    problem: MachineError | None = None

    def require(self) -> None:
        """Raises ``problem``, if there is one."""
        if self.problem:
            raise self.problem


@dataclass(frozen=True, slots=True)
class IdRange:
    start: int
    count: int


_entered: list[Privilege] = []


def enter_private_mounts() -> Privilege:
    """Enter the namespaces; idempotent, never raises for what the machine lacks.

    Without root no other thread may run yet.
    """
    if not _entered:
        _entered.append(_enter_as_root() if os.geteuid() == 0 else _enter_as_user())
    return _entered[0]


def part_mounts() -> None:
    """From now on the calling thread sees no mounts of other threads, and they none of its; idempotent.

    A sandbox begins with a copy of its thread's mounts and walks through them again and again: forty commands at once
    would each wade through the roots of all. ``/sys``, which often holds half of the machine's mounts, is set aside,
    until :func:`whole_mounts`. The main thread keeps the process's own namespace.
    """
    if threading.current_thread() is threading.main_thread() or hasattr(_parted, "aside"):
        return
    _parted.aside = None
    with suppress(OSError):  # none left: it works without, only slower
        syscalls.unshare(syscalls.CLONE_NEWNS)
        if mounts.in_initial_user_namespace():  # elsewhere the machine's mounts are locked
            aside = _Aside(syscalls.open_tree(_SYS, recursive=True))
            syscalls.umount(_SYS)
            _parted.aside = aside


def whole_mounts() -> None:
    """Have ``/sys`` again, for programs that look at the machine; idempotent."""
    aside: _Aside | None = getattr(_parted, "aside", None)
    if aside is not None:
        _parted.aside = None
        syscalls.move_mount(aside.fd, _SYS)


class _Aside:
    """A tree of mounts that is attached nowhere; what nobody attached again ends with the thread."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


_parted = threading.local()
_SYS = b"/sys"


def _enter_as_root() -> Privilege:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(b"none", b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE, b"")
    except OSError as error:
        problem = MachineError(
            "no-mount-namespace",
            f"root may not make a mount namespace here: {error.strerror}",
            hint="inside a container run it with --privileged, or with --cap-add SYS_ADMIN "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
        return Privilege("none", _current_mapping(), problem)
    kind: Literal["root", "userns"] = "root" if mounts.in_initial_user_namespace() else "userns"
    return Privilege(kind, _current_mapping())


def _enter_as_user() -> Privilege:
    try:
        name = _user_name()
        uids = subordinate_range("/etc/subuid", name, os.getuid())
        gids = subordinate_range("/etc/subgid", name, os.getuid())
        _become_root_inside(uids, gids)
    except MachineError as error:
        return Privilege("none", _current_mapping(), error)
    return Privilege("userns", _current_mapping())


def subordinate_range(file: str, user: str, uid: int) -> IdRange:
    """The largest range that ``file`` (subuid(5)) gives the user, by name or by number.

    Raises MachineError ``no-subuid`` when it has fewer than 65,536 ids.
    """
    found = IdRange(0, 0)
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                owner, _, rest = line.strip().partition(":")
                start, _, count = rest.partition(":")
                if owner in (user, str(uid)) and start.isdigit() and count.isdigit():
                    found = max(found, IdRange(int(start), int(count)), key=lambda r: r.count)
    except OSError:
        pass
    if found.count < _LEAST_IDS:
        had = f"{found.count} ids" if found.count else "no ids"
        flag = "--add-subgids" if file.endswith("gid") else "--add-subuids"
        raise MachineError(
            "no-subuid",
            f"{file} gives user {user} {had}; run steps without root need {_LEAST_IDS}",
            hint=f"as root: usermod {flag} 100000-165535 {user} (any range that nobody else has), or build as root",
        )
    return found


def _become_root_inside(uids: IdRange, gids: IdRange) -> None:
    uid, gid, pid = os.getuid(), os.getgid(), os.getpid()
    arguments = [pid, uid, gid, uids.start, uids.count, gids.start, gids.count]
    setup = subprocess.Popen(
        ["/bin/sh", "-c", _SETUP, "sh", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    except OSError as error:
        setup.communicate()
        raise _no_user_namespaces(error) from error
    _, said = setup.communicate(b"\n")
    if setup.returncode:
        raise MachineError(
            "no-uidmap",
            f"the id ranges could not be mapped: {said.decode(errors='replace').strip()}",
            hint="apt-get install uidmap",
        )
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        syscalls.mount(b"none", b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE, b"")
    except OSError as error:
        raise _no_user_namespaces(error) from error


def _no_user_namespaces(error: OSError) -> MachineError:
    return MachineError(
        "no-user-namespaces",
        f"this machine gives ordinary users no user namespaces: {error.strerror}",
        hint="as root: sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1 "
        "kernel.apparmor_restrict_unprivileged_userns=0 (those that exist), or build as root",
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _current_mapping() -> str:
    try:
        with open("/proc/self/uid_map", encoding="ascii") as lines:
            return ",".join(":".join(line.split()) for line in lines)
    except OSError:
        return ""
