"""Which system calls are refused: what docker's default profile refuses, as a deny-list of our own.

A refused call fails with EPERM as it would for want of a capability; ``clone3`` fails with ENOSYS, because its flags
lie in memory where no filter sees them and every libc then falls back to ``clone``, whose flags are looked at. The
same rules are a BPF program for bubblewrap (compiled by libseccomp) and ``linux.seccomp`` for OCI runtimes.
"""

import ctypes
import errno
import os
import platform
from functools import cache
from typing import Final, NamedTuple

from buildgraph.errors import MachineError

_REFUSED: Final = """
_sysctl acct add_key bpf clock_adjtime clock_adjtime64 clock_settime clock_settime64 create_module
delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy
init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kexec_file_load kexec_load keyctl
lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at
open_tree perf_event_open pivot_root query_module quotactl quotactl_fd reboot request_key set_mempolicy
set_mempolicy_home_node setdomainname sethostname setns settimeofday stime swapoff swapon sysfs syslog umount
umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""

_NEW_NAMESPACES: Final = (
    0x7E02_0000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
)
_AF_VSOCK: Final = 40
_PERSONALITY_FLAGS: Final = (
    0x0FFC_0000  # from ADDR_NO_RANDOMIZE to ADDR_LIMIT_3GB; 0xffffffff only asks
)
_TOP_BIT: Final = 1 << 31


class Rule(NamedTuple):
    """Refuse ``call`` when ``argument & mask == value`` (``mask`` 0: always)."""

    call: str
    code: int = errno.EPERM
    argument: int = 0
    mask: int = 0
    value: int = 0


def rules() -> tuple[Rule, ...]:
    clone_flags = 1 if platform.machine() in ("s390", "s390x") else 0
    personality = _bits(_PERSONALITY_FLAGS)
    return (
        *(Rule(name) for name in _REFUSED.split()),
        Rule("clone3", errno.ENOSYS),
        *(Rule("clone", errno.EPERM, clone_flags, bit, bit) for bit in _bits(_NEW_NAMESPACES)),
        Rule("socket", errno.EPERM, 0, 0xFFFF_FFFF, _AF_VSOCK),
        *(Rule("personality", errno.EPERM, 0, _TOP_BIT | bit, bit) for bit in personality),
    )


def _bits(mask: int) -> list[int]:
    return [1 << n for n in range(32) if mask >> n & 1]


def oci() -> dict[str, object]:
    """``linux.seccomp`` of an OCI runtime's config.json (runtime-spec, config-linux.md "Seccomp")."""
    calls: list[dict[str, object]] = []
    for rule in rules():
        call: dict[str, object] = {
            "names": [rule.call],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": rule.code,
        }
        if rule.mask:
            call["args"] = [
                {
                    "index": rule.argument,
                    "value": rule.mask,
                    "valueTwo": rule.value,
                    "op": "SCMP_CMP_MASKED_EQ",
                }
            ]
        calls.append(call)
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": _ARCHES.get(platform.machine(), []),
        "syscalls": calls,
    }


_ARCHES: Final = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "s390x": ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
}

_ALLOW: Final = 0x7FFF_0000
_ERRNO: Final = 0x0005_0000
_ATTRIBUTE_BAD_ARCH: Final = 2
_ATTRIBUTE_OPTIMIZE: Final = 8
_MASKED_EQUAL: Final = 7
_NO_SUCH_CALL: Final = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


@cache
def program() -> bytes:
    """The rules as a BPF program for this machine. Raises MachineError ``no-seccomp``."""
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    if not context:
        raise _broken("seccomp_init", errno.ENOMEM)
    try:
        return _compile(library, context)
    finally:
        library.seccomp_release(context)


def _compile(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    unknown = ctypes.c_uint32(_ERRNO | errno.ENOSYS)
    _check("badarch", library.seccomp_attr_set(context, _ATTRIBUTE_BAD_ARCH, unknown))
    library.seccomp_attr_set(
        context, _ATTRIBUTE_OPTIMIZE, ctypes.c_uint32(2)
    )  # since 2.5; only faster
    for arch in _ARCHES.get(platform.machine(), ())[1:]:
        token = library.seccomp_arch_resolve_name(arch.removeprefix("SCMP_ARCH_").lower().encode())
        _check(arch, library.seccomp_arch_add(context, ctypes.c_uint32(token)))
    for rule in rules():
        number = library.seccomp_syscall_resolve_name(rule.call.encode())
        if number == _NO_SUCH_CALL:
            continue  # newer than this libseccomp
        action = ctypes.c_uint32(_ERRNO | rule.code)
        comparisons = (_Comparison * 1)(
            _Comparison(rule.argument, _MASKED_EQUAL, rule.mask, rule.value)
        )
        count = ctypes.c_uint(1 if rule.mask else 0)
        _check(
            rule.call,
            library.seccomp_rule_add_array(
                context, action, ctypes.c_int(number), count, comparisons
            ),
        )
    fd = os.memfd_create("seccomp")
    try:
        _check("export", library.seccomp_export_bpf(context, ctypes.c_int(fd)))
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise MachineError(
            "no-seccomp", "libseccomp.so.2 is not installed", hint="apt-get install libseccomp2"
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    return library


def _check(what: str, result: int) -> None:
    if result not in (0, -errno.EEXIST):
        raise _broken(what, -result)


def _broken(what: str, code: int) -> MachineError:
    return MachineError(
        "no-seccomp",
        f"libseccomp could not compile the sandbox profile ({what}: {os.strerror(code)})",
        hint="apt-get install --only-upgrade libseccomp2",
    )
