"""What ``--memory``, ``--cpuset-cpus`` and their like do to a RUN, and that no key knows of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import capability
from support.dockerbuilds import Docker

from buildgraph.errors import StepFailedError
from buildgraph.spec.docker import Limits

GROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20
HUNGRY = "FROM box\nRUN dd if=/dev/zero of=/dev/null bs=300M count=1 && echo fed\n"
"""dd has a buffer of that size, and fills it."""


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    capability.require_root()
    capability.require("runc")
    if not os.access(_memory_root(), os.W_OK):
        capability.lack("needs a memory controller that may be written to")
    return Docker.make(tmp_path)


def _memory_root() -> Path:
    return GROUPS / "memory" if (GROUPS / "memory").is_dir() else GROUPS


@contextmanager
def parent(name: str, limit: int) -> Iterator[None]:
    group = _memory_root() / name
    group.mkdir()
    try:
        for file in ("memory.limit_in_bytes", "memory.max"):
            if (group / file).exists():
                (group / file).write_text(str(limit))
        yield
    finally:
        group.rmdir()


def test_memory_is_what_was_given(docker: Docker) -> None:
    with pytest.raises(StepFailedError):
        docker.build(HUNGRY, limits=Limits(memory=64 * MIB, memory_swap=64 * MIB))
    assert docker.said(HUNGRY, limits=Limits(memory=900 * MIB))[-1:] == ["fed"]


def test_processors_are_those_that_were_given(docker: Docker) -> None:
    text = "FROM box\nRUN grep Cpus_allowed_list /proc/self/status\n"
    cpu = str(min(os.sched_getaffinity(0)))
    limits = Limits(cpuset_cpus=cpu, cpu_quota=50_000, cpu_period=100_000, cpu_shares=512)
    assert docker.said(text, limits=limits)[-1].split() == ["Cpus_allowed_list:", cpu]


def test_a_group_above_limits_what_is_below(docker: Docker) -> None:
    name = f"buildgraph-test-{os.getpid()}"
    with parent(name, 64 * MIB):
        with pytest.raises(StepFailedError):
            docker.build(HUNGRY, limits=Limits(cgroup_parent=f"/{name}"))
        assert [p for p in (_memory_root() / name).iterdir() if p.is_dir()] == []
    assert list(GROUPS.glob(f"**/{name}")) == []


def test_no_key_knows_of_limits(docker: Docker) -> None:
    text = "FROM box\nRUN echo 1 > /x\n"
    docker.build(text, limits=Limits(memory=900 * MIB, cpu_shares=100))
    assert docker.workspace.ran() == {"ctx/stage-0/2-run"}
    docker.build(text)
    assert docker.workspace.ran() == set()
