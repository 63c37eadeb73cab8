"""Programs of other architectures, made to be tried: their headers, and what this machine's own does."""

import os
import struct

import pytest

from buildgraph.names import Platform
from buildgraph.sandbox.emulation import is_foreign, program

HERE = Platform.of_machine(os.uname().machine)


@pytest.mark.parametrize(
    ("arch", "number"), [("amd64", 62), ("386", 3), ("arm64", 183), ("arm", 40), ("s390x", 22)]
)
def test_a_program_is_of_its_architecture(arch, number):
    content = program(arch)
    assert content is not None
    assert content[:4] == b"\x7fELF"
    order = "<" if content[5] == 1 else ">"
    assert struct.unpack_from(f"{order}HH", content, 16) == (2, number)
    wide = content[4] == 2
    (entry,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", content, 24)
    assert entry - 0x400000 == (64 + 56 if wide else 52 + 32) < len(content)


def test_what_nobody_knows_is_no_program():
    assert program("vax") is None


def test_the_machine_s_own_is_not_foreign():
    assert not is_foreign(HERE)
    assert is_foreign(Platform("linux", "s390x" if HERE.arch != "s390x" else "arm64"))
