"""The few Linux system calls that Python has no name for, through ctypes; every failure is an ``OSError``.

Numbers are those of the unified table (the same on every architecture since Linux 5.1). Nothing here decides
anything: :mod:`~buildgraph.sandbox.mounts` and :mod:`~buildgraph.sandbox.namespace` say what the calls are for.
"""

import ctypes
import os
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000
CLONE_NEWPID: Final = 0x2000_0000

MS_RDONLY: Final = 1
MS_NODEV: Final = 4
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4

_FSCONFIG_SET_FLAG: Final = 0
_FSCONFIG_SET_STRING: Final = 1
_FSCONFIG_CMD_CREATE: Final = 6
_FSOPEN_CLOEXEC: Final = 1
_FSMOUNT_CLOEXEC: Final = 1
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000

_CAPABILITY_VERSION: Final = 0x2008_0522
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24

_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_FSOPEN: Final = 430
_FSCONFIG: Final = 431
_FSMOUNT: Final = 432
_MOUNT_SETATTR: Final = 442

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _checked(result: int, what: bytes | str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(what))
    return result


def unshare(flags: int) -> None:
    """For the calling thread alone (CLONE_NEWUSER: refused with EINVAL when there are others)."""
    _checked(_libc.unshare(flags), "unshare")


def join_network(namespace: int) -> None:
    """For the calling thread alone."""
    _checked(_libc.setns(namespace, CLONE_NEWNET), "setns")


def bound_capabilities(kept: frozenset[int], every: range) -> None:
    """Let programs that the calling thread starts, and theirs, gain none of ``every`` but ``kept``, for good.

    The thread keeps what it has; it hands that on to a program that it starts (by its inheritable set), which can
    give it up in turn.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (
        ctypes.c_uint32 * 6
    )()  # effective, permitted, inheritable: the low halves, then the high ones
    _checked(_libc.capget(header, sets), "capget")
    sets[2], sets[5] = sets[1], sets[4]
    _checked(_libc.capset(header, sets), "capset")
    for number in every:
        if number not in kept and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes) -> None:
    _checked(
        _libc.mount(source, target, kind, ctypes.c_ulong(flags), ctypes.c_char_p(options)), target
    )


def umount(target: bytes) -> None:
    """Detach at once; what still uses the file system keeps it alive until it is done."""
    _checked(_libc.umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW), target)


def syncfs(fd: int) -> None:
    """Everything written so far to the file system of ``fd`` is on disk on return."""
    _checked(_libc.syncfs(fd), "syncfs")


def fsopen(kind: bytes) -> int:
    return _checked(
        _libc.syscall(
            ctypes.c_long(_FSOPEN), ctypes.c_char_p(kind), ctypes.c_uint(_FSOPEN_CLOEXEC)
        ),
        kind,
    )


def fsconfig_string(fd: int, key: bytes, value: bytes) -> None:
    """The kernel takes at most 255 bytes of value."""
    _fsconfig(fd, _FSCONFIG_SET_STRING, key, value)


def fsconfig_flag(fd: int, key: bytes) -> None:
    _fsconfig(fd, _FSCONFIG_SET_FLAG, key, None)


def _fsconfig(fd: int, command: int, key: bytes | None, value: bytes | None) -> None:
    result = _libc.syscall(
        ctypes.c_long(_FSCONFIG),
        ctypes.c_int(fd),
        ctypes.c_uint(command),
        ctypes.c_char_p(key),
        ctypes.c_char_p(value),
        ctypes.c_int(0),
    )
    _checked(result, (key or b"create") + b"=" + (value or b""))


def fsmount(fd: int, attributes: int = 0) -> int:
    """Create the configured file system; returns a descriptor of its detached mount."""
    _fsconfig(fd, _FSCONFIG_CMD_CREATE, None, None)
    result = _libc.syscall(
        ctypes.c_long(_FSMOUNT),
        ctypes.c_int(fd),
        ctypes.c_uint(_FSMOUNT_CLOEXEC),
        ctypes.c_uint(attributes),
    )
    return _checked(result, "fsmount")


def messages(fd: int) -> str:
    """What the kernel had to say about a failed configuration, joined; empty when nothing."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(fd, 4096)
        except OSError:
            return "; ".join(lines)
        lines.append(line.decode("utf-8", "replace").strip().removeprefix("e "))


def open_tree(path: bytes, *, recursive: bool) -> int:
    """A detached copy of the mount at ``path``, with or without what is mounted below it."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    result = _libc.syscall(
        ctypes.c_long(_OPEN_TREE),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(path),
        ctypes.c_uint(flags),
    )
    return _checked(result, path)


def mount_setattr(fd: int, attributes: int, *, recursive: bool) -> None:
    attr = _MountAttr(attr_set=attributes)
    result = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_int(fd),
        ctypes.c_char_p(b""),
        ctypes.c_uint(_AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
    _checked(result, "mount_setattr")


def move_mount(fd: int, target: bytes | int) -> None:
    """Attach the detached mount ``fd`` at a path, or at what an open descriptor stands for."""
    by_fd = isinstance(target, int)
    result = _libc.syscall(
        ctypes.c_long(_MOVE_MOUNT),
        ctypes.c_int(fd),
        ctypes.c_char_p(b""),
        ctypes.c_int(target if isinstance(target, int) else _AT_FDCWD),
        ctypes.c_char_p(b"" if isinstance(target, int) else target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH | (_MOVE_MOUNT_T_EMPTY_PATH if by_fd else 0)),
    )
    _checked(result, b"" if isinstance(target, int) else target)
