"""Dockerfiles that begin with images of the store: those win over registries, as docker's own do."""

import os
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.program import Program
from support.registry import Registry, running
from support.remotebase import base, push

from buildgraph.errors import BuildgraphError
from buildgraph.names import Platform
from buildgraph.store.local import LocalStore

BASE = "FROM box\nENV KIND=local\nRUN echo {} > /made\n"


@pytest.fixture
def registry(tmp_path: Path):
    with running(tmp_path / "registry") as found:
        push(found, "base/os", "1", base(tmp_path / "one"))
        found.forget()
        yield found


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def test_an_image_stands_on_one_that_was_built_before(docker: Docker, tmp_path: Path) -> None:
    below = docker.build(BASE.format(1), tags=("team/below:1",)).images[0]
    text = "FROM team/below:1\nRUN cat /made > /seen\n"
    above = docker.config(docker.build(text))
    assert above["rootfs"]["diff_ids"][:2] == _diff_ids(docker, below)
    assert "KIND=local" in above["config"]["Env"]
    assert docker.files(text)["seen"] == "1\n"
    docker.build(BASE.format(2), tags=("team/below:1",))
    assert docker.files(text)["seen"] == "2\n"
    assert docker.files("FROM box\nCOPY --from=team/below:1 /made /\n") == {"made": "2\n"}


def _diff_ids(docker: Docker, image: object) -> list[str]:
    found = docker.config(type("Built", (), {"images": [image]})())
    return found["rootfs"]["diff_ids"]


def test_it_wins_over_a_registry_until_that_is_asked(docker: Docker, registry: Registry) -> None:
    name = f"{registry.host}/base/os:1"
    docker.build(BASE.format(1), tags=(name,))
    text = f"FROM {name}\nRUN true\n"
    assert docker.files(text) == {"made": "1\n"}
    assert list(registry.accesses()) == []
    assert "srv/file" in docker.files(text, pull=True)


def test_a_name_that_nobody_gave_is_none(docker: Docker) -> None:
    docker.build("FROM box\nRUN echo > /x\n")
    with LocalStore.open(docker.workspace.home) as store:
        assert store.images.resolve("ctx:latest")
        assert store.images.resolve("ctx:latest", given=True) is None
    docker.build(tags=("ctx",))
    with LocalStore.open(docker.workspace.home) as store:
        assert store.images.resolve("ctx:latest", given=True)


def test_what_nobody_has_is_told_with_ways_to_have_it(docker: Docker, registry: Registry) -> None:
    registry.stop()
    with pytest.raises(BuildgraphError) as caught:
        docker.build(f"FROM {registry.host}/base/os:1\nRUN echo > /x\n")
    assert "nor has the store an image of that name" in caught.value.hint


def test_an_answer_is_not_remembered_when_such_a_name_appears_or_moves(
    tmp_path: Path, registry: Registry
) -> None:
    made = Docker.make(tmp_path)
    name = f"{registry.host}/base/os:1"
    program = Program.of(made.workspace)
    made.write("Dockerfile", f"FROM {name}\nRUN cat /made > /seen || :\n")
    words = ("ctx", "-t", "above")
    assert len(program.build(*words).ran) == 1
    assert program.build(*words).ran == set()
    for number in (1, 2):
        text = BASE.format(number)
        made.write("Dockerfile.below", text)
        below = ("-f", "ctx/Dockerfile.below", "--build-context", "box=oci-layout://box:latest")
        program.build(*below, "-t", name, "ctx")
        assert len(program.build(*words).ran) == 1
        assert program.build(*words).ran == set()


def test_an_image_for_other_platforms_is_not_meant(docker: Docker) -> None:
    here = Platform.of_machine(os.uname().machine)
    other = "linux/s390x" if here.arch != "s390x" else "linux/arm64"
    docker.write("f", "f")
    docker.build(
        "FROM scratch\nCOPY f /\n", platform=f"{other},linux/386", tags=("127.0.0.1:1/app:1",)
    )
    with pytest.raises(BuildgraphError) as caught:
        docker.build("FROM 127.0.0.1:1/app:1\nCOPY f /g\n")
    assert caught.value.code == "registry-unreachable"
