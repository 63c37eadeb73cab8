import struct

from buildgraph.sandbox import seccomp


def test_every_rule_refuses_and_none_kills() -> None:
    document = seccomp.oci()
    assert document["defaultAction"] == "SCMP_ACT_ALLOW"
    calls = document["syscalls"]
    assert isinstance(calls, list)
    assert {call["action"] for call in calls} == {"SCMP_ACT_ERRNO"}
    refused = {call["names"][0] for call in calls if "args" not in call}
    assert {"mount", "bpf", "unshare", "setns", "keyctl", "kexec_load", "io_uring_setup"} <= refused
    assert not refused & {"clone", "socket", "personality", "chroot", "mknod", "ptrace", "fork"}


def test_new_namespaces_are_refused_to_clone() -> None:
    flags = {rule.value for rule in seccomp.rules() if rule.call == "clone"}
    assert flags == {1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)}


def test_personality_may_be_asked_and_set_to_linux32() -> None:
    rules = [rule for rule in seccomp.rules() if rule.call == "personality"]
    allowed = (0, 0x0008, 0x0002_0000, 0x0002_0008, 0xFFFF_FFFF)
    assert not any(value & rule.mask == rule.value for rule in rules for value in allowed)
    assert any(0x0004_0000 & rule.mask == rule.value for rule in rules)


def test_the_program_is_bpf_and_the_same_each_time() -> None:
    program = seccomp.program()
    assert program == seccomp.program.__wrapped__()
    assert len(program) % 8 == 0
    code, _, _, offset = struct.unpack("HBBI", program[:8])
    assert (code, offset) == (0x20, 4)  # load the architecture
