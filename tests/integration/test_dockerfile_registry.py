"""Dockerfiles that begin with images of registries: when those are asked, and what they answer."""

from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.registry import Registry, running
from support.remotebase import base, push

from buildgraph.build.survey import list_targets, plan
from buildgraph.errors import BuildgraphError


@pytest.fixture
def registry(tmp_path: Path):
    with running(tmp_path / "registry") as found:
        push(found, "base/os", "1", base(tmp_path / "one"))
        found.forget()
        yield found


@pytest.fixture
def docker(tmp_path: Path, registry: Registry) -> Docker:
    made = Docker.make(tmp_path)
    made.write("Dockerfile", f"FROM {registry.host}/base/os:1\nRUN cat /opt/app/version > /v\n")
    return made


def test_a_tag_means_what_it_meant_until_it_is_pulled(
    docker: Docker, registry: Registry, tmp_path: Path
) -> None:
    docker.build()
    registry.forget()
    docker.build()
    assert docker.counts() == {"reused": 1}
    assert list(registry.accesses()) == []
    docker.build(pull=True)
    assert docker.counts() == {"reused": 1}
    push(registry, "base/os", "1", base(tmp_path / "two", text="two\n"))
    docker.build()
    assert docker.counts() == {"reused": 1}
    docker.build(pull=True)
    assert docker.counts() == {"executed": 1}
    assert docker.files()["v"] == "two\n"
    assert not list((docker.workspace.folder / "ctx").glob("Buildfile*"))


def test_the_config_of_the_base_is_the_image_s(docker: Docker) -> None:
    config = docker.config(docker.build())
    assert "KIND=remote" in config["config"]["Env"]
    assert len(config["rootfs"]["diff_ids"]) == 4


def test_what_no_target_needs_is_not_asked_for(docker: Docker, registry: Registry) -> None:
    docker.build(f"FROM {registry.host}/base/os:1 AS unused\nFROM box\nRUN echo > /x\n")
    assert list(registry.accesses()) == []


def test_a_missing_image_is_told_with_its_line(docker: Docker, registry: Registry) -> None:
    with pytest.raises(BuildgraphError) as caught:
        docker.build(f"FROM box\nFROM {registry.host}/base/none:7\nRUN x\n")
    assert str(caught.value.where) == "ctx/Dockerfile:2"
    assert "base/none:7" in caught.value.message
    with pytest.raises(BuildgraphError) as caught:
        docker.build(f"FROM box\nCOPY --from={registry.host}/base/none:7 /a /\n")
    assert str(caught.value.where) == "ctx/Dockerfile:2"


def test_questions_keep_nothing_and_a_list_asks_nobody(
    docker: Docker, registry: Registry, tmp_path: Path
) -> None:
    request = docker.workspace.request(**docker.request())
    assert "ctx" in {each.name for each in list_targets(request)}
    assert list(registry.accesses()) == []
    assert [step["decision"] for step in plan(request)["steps"]] == ["execute"]
    push(registry, "base/os", "1", base(tmp_path / "two", text="two\n"))
    assert docker.files()["v"] == "two\n"
