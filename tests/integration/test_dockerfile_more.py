"""More of what Dockerfiles do, from the text to the image: bases made of Dockerfiles, triggers, volumes, annotations."""

import json
from pathlib import Path

import pytest
from support.dockerbuilds import Docker

from buildgraph.build.request import OutputSpec


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


def layout(docker: Docker, name: str, text: str, **asked: object) -> str:
    """Build ``text`` into a layout, and say how a build context names it."""
    folder = docker.workspace.folder / name
    docker.build(text, outputs=(OutputSpec("oci", str(folder)),), **asked)
    return f"oci-layout://{folder}:latest"


def test_an_image_of_nothing_but_config_is_a_base(docker: Docker) -> None:
    bare = layout(docker, "bare", "FROM scratch\nENV A=1\nLABEL l=1\n")
    docker.write("f", "1")
    text = "FROM bare\nCOPY f /$A\nENV B=${A}2\n"
    assert docker.files(text, contexts={"bare": bare}) == {"1": "1"}
    config = docker.config(docker.build(contexts={"bare": bare}))
    assert config["config"]["Labels"] == {"l": "1"}
    assert "B=12" in config["config"]["Env"]
    assert [line["created_by"] for line in config["history"]] == [
        "ENV A=1",
        "LABEL l=1",
        "COPY f /1 # buildkit",
        "ENV B=12",
    ]


def test_triggers_of_an_image_fire_in_its_child_once(docker: Docker) -> None:
    text = "FROM box\nENV N=base\nONBUILD COPY f /from-$N\nONBUILD RUN echo $N > /ran\n"
    parent = layout(docker, "parent", text)
    assert docker.config(docker.build())["config"]["OnBuild"] == [
        "COPY f /from-$N",
        "RUN echo $N > /ran",
    ]
    docker.write("f", "1")
    contexts = {"parent": parent}
    files = docker.files("FROM parent AS child\nENV N=child\n", contexts=contexts)
    assert files == {"from-base": "1", "ran": "base\n"}
    child = layout(docker, "child", "FROM parent\n", contexts=contexts)
    summary = docker.build("FROM child\nRUN echo > /x\n", contexts={"child": child})
    assert docker.counts() == {"executed": 1}
    assert "OnBuild" not in docker.config(summary)["config"]


def test_arguments_and_their_values_carry_over_to_child_stages_only(docker: Docker) -> None:
    text = "FROM box AS a\nARG V=1\nFROM a AS b\nRUN echo v=$V > /b\nFROM box\nRUN echo v=$V > /c\n"
    assert docker.files(text + "COPY --from=b /b /\n") == {"b": "v=1\n", "c": "v=\n"}


def test_an_argument_enters_the_key_of_what_follows_it_alone(docker: Docker) -> None:
    text = "FROM box\nRUN echo 1 > /a\nARG V\nRUN echo $V > /b\nCOPY f /f\n"
    docker.write("f", "1")
    docker.build(text, args={"V": "1"})
    docker.build(args={"V": "2"})
    assert docker.workspace.ran() == {"ctx/stage-0/3-run"}


def test_the_exec_form_has_no_shell_and_looks_for_its_program(docker: Docker) -> None:
    text = 'FROM box\nENTRYPOINT ["/missing"]\nRUN ["touch", "/$A b"]\nRUN ["sh", "-c", "echo 1 > /x"]\n'
    assert docker.files(text) == {"$A b": "", "x": "1\n"}


def test_a_shell_of_its_own(docker: Docker) -> None:
    text = 'FROM box\nSHELL ["/bin/sh", "-c", "echo $0 $@ > /said", "zero", "one"]\nRUN two words\n'
    assert docker.files(text) == {"said": "zero one two words\n"}


def test_what_lies_below_a_volume_is_kept(docker: Docker) -> None:
    text = "FROM box\nVOLUME /data\nRUN mkdir -p /data && echo 1 > /data/x\nRUN chown 7 /data/x\n"
    assert docker.files(text) == {"data/x": "1\n"}
    assert docker.tree()["data/x"].uid == 7
    assert docker.config(docker.build())["config"]["Volumes"] == {"/data": {}}


def test_annotations_and_tags(docker: Docker) -> None:
    summary = docker.build(
        "FROM scratch\nLABEL a=b\n",
        annotations={"x": "y"},
        tags=("one:1", "two"),
        labels={"c": "d"},
    )
    assert summary.images[0].tags == ("one:1", "two")
    out = docker.workspace.folder / "out"
    docker.build(annotations={"x": "y"}, outputs=(OutputSpec("oci", str(out)),))
    [entry] = json.loads((out / "index.json").read_text())["manifests"]
    manifest = json.loads((out / "blobs/sha256" / entry["digest"][7:]).read_text())
    assert manifest["annotations"] == {"x": "y"}
    assert docker.config(summary)["config"]["Labels"] == {"a": "b", "c": "d"}


def test_no_cache_runs_everything_again(docker: Docker) -> None:
    docker.build("FROM box\nRUN echo 1 > /x\nCOPY f* /\n")
    docker.build(no_cache=True)
    assert docker.counts() == {"executed": 2}


def test_only_what_is_named_is_read(docker: Docker) -> None:
    docker.write("f", "1")
    docker.write("big/file", "2")
    docker.build("FROM scratch\nCOPY f /\n")
    facts = docker.build().facts
    assert facts is not None
    assert any(path.endswith(b"/ctx/f") for path in facts.seen)
    assert not any(b"big" in path for path in facts.seen)
