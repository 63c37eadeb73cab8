"""Can this machine's kernel execute programs of another architecture? Found out by executing one.

The program does nothing but end, and is made here: an ELF header, one segment, three instructions. The kernel runs it
by itself (i386 on x86-64), by an interpreter that binfmt_misc names (qemu), or not at all.
"""

import os
import struct
import subprocess
from functools import cache
from typing import NamedTuple

from buildgraph.names import Platform


class _Machine(NamedTuple):
    """``number`` and ``flags`` are ELF's, ``code`` calls exit(0)."""

    number: int
    bits: int
    order: str
    code: bytes
    flags: int = 0


def _words(order: str, *words: int) -> bytes:
    return struct.pack(f"{order}{len(words)}I", *words)


_MACHINES = {
    "amd64": _Machine(62, 64, "<", bytes.fromhex("31ffb83c0000000f05")),
    "386": _Machine(3, 32, "<", bytes.fromhex("31dbb801000000cd80")),
    "arm64": _Machine(183, 64, "<", _words("<", 0xD2800000, 0xD2800BA8, 0xD4000001)),
    "arm": _Machine(40, 32, "<", _words("<", 0xE3A00000, 0xE3A07001, 0xEF000000), 0x05000000),
    "riscv64": _Machine(243, 64, "<", _words("<", 0x00000513, 0x05D00893, 0x00000073)),
    "ppc64le": _Machine(21, 64, "<", _words("<", 0x38000001, 0x38600000, 0x44000002), 2),
    "s390x": _Machine(22, 64, ">", bytes.fromhex("a7290000a71900010a00")),
    "mips64le": _Machine(8, 64, "<", _words("<", 0x64040000, 0x640213C2, 0x0000000C), 0x80000007),
    "loong64": _Machine(258, 64, "<", _words("<", 0x03800004, 0x0381740B, 0x002B0000), 0x43),
}
_PLACE = 0x400000
_SECONDS = 20


def program(arch: str) -> bytes | None:
    """An executable that ends with 0; None for an architecture that nobody taught us."""
    machine = _MACHINES.get(arch)
    if machine is None:
        return None
    wide = machine.bits == 64
    head, segment = (64, 56) if wide else (52, 32)
    start, size = _PLACE + head + segment, head + segment + len(machine.code)
    word = "Q" if wide else "I"
    order = machine.order
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    header = ident + struct.pack(
        f"{order}HHI3{word}I6H",
        *(2, machine.number, 1),
        *(start, head, 0),
        machine.flags,
        *(head, segment, 1, 0, 0, 0),
    )
    if wide:
        described = struct.pack(f"{order}II6Q", 1, 5, 0, _PLACE, _PLACE, size, size, 0x10000)
    else:
        described = struct.pack(f"{order}8I", 1, 0, _PLACE, _PLACE, size, size, 5, 0x10000)
    return header + described + machine.code


def is_foreign(platform: Platform) -> bool:
    """Whether it is another than the machine's own."""
    here = Platform.of_machine(os.uname().machine)
    return (platform.os, platform.arch) != (here.os, here.arch)


@cache
def can_execute(arch: str) -> bool:
    content = program(arch)
    if content is None:
        return False
    fd = os.memfd_create("probe", 0)
    try:
        os.write(fd, content)
        os.fchmod(fd, 0o755)
        ended = subprocess.run(
            [f"/proc/self/fd/{fd}"],
            pass_fds=(fd,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        os.close(fd)
    return ended.returncode == 0
