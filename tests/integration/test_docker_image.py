"""What an image from a Dockerfile is: its config as given, its history line by line, its empty layers."""

import json

import pytest
from support.dockered import BOX, Dockered, copy, run
from support.workspace import digests

from buildgraph.oci.config import Config
from buildgraph.spec import model as m


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def line(text, at=None, stage="main"):
    return m.HistoryLine(text, m.Ref("step", f"{stage}-s{at}") if at is not None else None)


def config_of(docker, summary):
    [image] = summary.images
    name = image.config_digest.removeprefix("sha256:")
    return json.loads((docker.workspace.home / "blobs/sha256" / name).read_bytes())


def test_history_follows_the_instructions_and_empty_layers_stay(docker):
    docker.write("a")
    docker.docker = m.DockerImage(
        Config("amd64", "linux", env=(("PATH", "/bin"),), labels={"a": "b"}, author="me"),
        (
            line("ENV A=1"),
            line("RUN true", 0),
            line("COPY a /a", 1),
            line("LABEL a=b"),
            line("COPY none* /x/", 2),
            line('CMD ["x"]'),
        ),
    )
    summary = docker.build(run("true"), copy("a", to="/a"), copy("none*", to="/x/"))
    config = config_of(docker, summary)
    assert config["author"] == "me"
    assert config["config"] == {"Env": ["PATH=/bin"], "Labels": {"a": "b"}}
    base, *own = config["history"]
    assert base["created_by"] == "layer 0"
    assert [(entry["created_by"], entry.get("empty_layer", False)) for entry in own] == [
        ("ENV A=1", True),
        ("RUN true", False),
        ("COPY a /a", False),
        ("LABEL a=b", True),
        ("COPY none* /x/", False),
        ('CMD ["x"]', True),
    ]
    assert {entry["comment"] for entry in own} == {"buildkit.dockerfile.v0"}
    assert len(config["rootfs"]["diff_ids"]) == 4
    assert config["rootfs"]["diff_ids"][1] == config["rootfs"]["diff_ids"][3]


def test_lists_that_are_empty_are_left_out(docker):
    docker.docker = m.DockerImage(Config("amd64", "linux", entrypoint=(), cmd=()), ())
    assert config_of(docker, docker.build(run("true")))["config"] == {}


def test_a_stage_on_a_stage_and_a_base_without_layers(docker):
    docker.write("a")
    docker.stage("below", run("echo 1 > /one"))
    docker.docker = m.DockerImage(
        Config("amd64", "linux"), (line("RUN one", 0, "below"), line("RUN two", 0))
    )
    summary = docker.build(run("echo 2 > /two"), on=(BOX, m.Ref("step", "below-s0")))
    assert [e["created_by"] for e in config_of(docker, summary)["history"]][1:] == [
        "RUN one",
        "RUN two",
    ]


def test_layers_that_no_line_speaks_of_speak_for_themselves(docker):
    docker.write("a")
    docker.docker = m.DockerImage(Config("amd64", "linux"), (line("ENV A=1"), line("COPY a /b", 1)))
    summary = docker.build(copy("a", to="/a"), copy("a", to="/b"), copy("a", to="/c"))
    assert [e["created_by"] for e in config_of(docker, summary)["history"]][1:] == [
        "ENV A=1",
        "buildgraph copy main-s0",
        "COPY a /b",
        "buildgraph copy main-s2",
    ]


def test_a_second_build_runs_nothing_and_a_rename_does(docker):
    docker.write("a1")
    docker.write("other")
    kinds = (copy("a*", to="/d/"), run("ls /d > /seen"), m.Workdir("/w"))
    first = docker.build(*kinds)
    docker.write("other", "changed")
    (docker.folder / "a1").touch()
    assert digests(docker.build(*kinds)) == digests(first)
    assert docker.workspace.ran() == set()
    (docker.folder / "a1").rename(docker.folder / "a2")
    docker.build(*kinds)
    assert docker.workspace.ran() == {"main-s0", "main-s1"}


def test_a_copy_does_not_depend_on_what_is_below(docker):
    docker.write("a")
    docker.build(run("echo 1 > /one"), copy("a", to="/opt/"))
    docker.build(run("echo 2 > /two"), copy("a", to="/opt/"))
    assert docker.workspace.ran() == {"main-s0"}
    docker.build(run("echo 3 > /three"), copy("a", to="/opt/", owner=m.Owner("root", "")))
    assert docker.workspace.outcomes()["main-s1"] == "cutoff"


def test_a_linked_layer_is_the_same_over_other_bases(docker):
    docker.write("a")
    linked = copy("a", to="/n/w/", link=True)

    def last(*kinds):
        return config_of(docker, docker.build(*kinds))["rootfs"]["diff_ids"][-1]

    assert last(run("ln -s /opt /n"), linked) == last(run("touch /n"), linked) == last(linked)
    found = docker.tree(run("ln -s /opt /n"), linked)
    assert found["n/w/a"][0] == "file"
    assert docker.tree(run("mkdir -m 700 /n"), linked)["n"][1] == 0o700
    assert docker.tree(run("mkdir /n"), copy("a", to="/n", link=True))["n"][0] == "file"
