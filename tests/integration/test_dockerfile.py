"""Dockerfiles built as they are: from a folder, from standard input, with docker's options."""

import io
import tarfile
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.workspace import Workspace

from buildgraph.errors import StepFailedError, UsageError
from buildgraph.events import StepStarted


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


FIRST = """\
# syntax=docker/dockerfile:1
ARG V=1
FROM box AS build
ARG V
WORKDIR /w
COPY a*.txt sub/ ./
RUN <<EOT
set -e
echo "v=$V" > out
EOT
FROM box
COPY --from=build /w/out /w/a1.txt /r/
ENV A=1 B="x y"
ENTRYPOINT ["/bin/cat"]
CMD ["/r/out"]
"""


def test_a_dockerfile_is_built_and_then_left_alone(docker: Docker) -> None:
    docker.write("a1.txt", "1")
    docker.write("sub/x", "2")
    assert docker.files(FIRST, args={"V": "7"}) == {"r/out": "v=7\n", "r/a1.txt": "1"}
    docker.build(args={"V": "7"})
    assert docker.counts() == {"reused": 4}
    docker.build("# a comment\n\n" + FIRST.replace("&& echo", "&&  echo"), args={"V": "7"})
    assert docker.counts() == {"reused": 4}
    docker.write("unrelated", "x")
    docker.build(args={"V": "7"})
    assert docker.counts() == {"reused": 4}
    docker.build(args={"V": "8"})
    assert docker.counts() == {"reused": 2, "executed": 2}


def test_config_and_history_are_buildkit_s(docker: Docker) -> None:
    docker.write("a1.txt", "1")
    docker.write("sub/x", "2")
    summary = docker.build(FIRST, labels={"l": "1"}, args={"SOURCE_DATE_EPOCH": "86400"})
    config = docker.config(summary)
    assert config["created"] == "1970-01-02T00:00:00Z"
    assert config["config"] == {
        "Env": ["PATH=/usr/bin:/bin", "A=1", "B=x y"],
        "Entrypoint": ["/bin/cat"],
        "Cmd": ["/r/out"],
        "Labels": {"l": "1"},
        "ArgsEscaped": True,
    }
    own = [h for h in config["history"] if h.get("comment") == "buildkit.dockerfile.v0"]
    assert [(h["created_by"], h.get("empty_layer", False)) for h in own] == [
        ("COPY /w/out /w/a1.txt /r/ # buildkit", False),
        ("ENV A=1 B=x y", True),
        ('ENTRYPOINT ["/bin/cat"]', True),
        ('CMD ["/r/out"]', True),
    ]


def test_a_run_is_shared_by_dockerfiles_stages_and_contexts(docker: Docker) -> None:
    docker.build("FROM box\nRUN echo 1 > /x\n")
    docker.workspace.write("other/File", "FROM box AS b\nLABEL a=b\nrun echo 1 > /x\nRUN pwd\n")
    docker.build(context="other", file="other/File")
    assert docker.counts() == {"reused": 1, "executed": 1}


def test_what_the_target_does_not_need_is_not_looked_up(docker: Docker) -> None:
    text = "FROM nowhere.example/x AS broken\nRUN x\nFROM box AS a\nRUN echo a > /a\n"
    text += "FROM a AS b\nRUN echo b > /b\n"
    assert docker.files(text, target="A") == {"a": "a\n"}
    assert docker.files(target="2") == {"a": "a\n", "b": "b\n"}
    with pytest.raises(UsageError) as caught:
        docker.build(target="bb")
    assert caught.value.code == "unknown-stage"


def test_ignore_files(docker: Docker) -> None:
    docker.write(".dockerignore", "*\n!keep\n!other\n")
    docker.write("keep", "k")
    docker.write("other", "o")
    assert docker.files("FROM scratch\nCOPY . /\n") == {"keep": "k", "other": "o"}
    docker.write("Dockerfile.dockerignore", "# own\nother\nDockerfile*\n.docker*\n")
    assert docker.files() == {"keep": "k"}


def test_a_dockerfile_outside_of_its_context(docker: Docker) -> None:
    docker.write("f", "1")
    docker.workspace.write("d/my.file", "FROM scratch\nCOPY . /\n")
    docker.workspace.write("d/my.file.dockerignore", "nothing")
    assert docker.files(file="d/my.file") == {"f": "1"}
    with pytest.raises(UsageError) as caught:
        docker.build(file="d/missing")
    assert caught.value.code == "no-dockerfile"
    with pytest.raises(UsageError) as caught:
        docker.build(context="missing")
    assert caught.value.code == "no-context"


def test_a_dockerfile_on_standard_input(docker: Docker) -> None:
    docker.write("f", "1")
    stdin = io.BytesIO(b"FROM scratch\nCOPY f /g\n")
    assert docker.files(file="-", stdin=stdin) == {"g": "1"}
    alone = io.BytesIO(b"FROM box\nRUN echo 1 > /x\n")
    assert docker.files(context="-", stdin=alone) == {"x": "1\n"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_context_on_standard_input(docker: Docker, mode: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, text in (("d/File", "FROM scratch\nCOPY f* /\n"), ("f1", "1"), ("f2", "2")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    stream.seek(0)
    assert docker.files(context="-", file="d/File", stdin=stream) == {"f1": "1", "f2": "2"}


def test_no_archive_and_no_dockerfile(docker: Docker) -> None:
    with pytest.raises(UsageError) as caught:
        docker.build(context="-", file="x", stdin=io.BytesIO(b"FROM scratch\n"))
    assert caught.value.code == "no-context"
    with pytest.raises(UsageError) as caught:
        docker.build(context="-", stdin=io.BytesIO(b""))
    assert caught.value.code == "empty-dockerfile"


def test_named_contexts(docker: Docker) -> None:
    docker.workspace.write("named/a", "A")
    docker.workspace.write("named/skip", "S")
    docker.workspace.write("named/.dockerignore", "skip\n.dockerignore\n")
    contexts = {"files": "named", "unused": "docker-image://nowhere.example/x"}
    text = "FROM box\nCOPY --from=files . /c/\nRUN --mount=from=files,target=/m cat /m/a > /r\n"
    assert docker.files(text, contexts=contexts) == {"c/a": "A", "r": "A"}


def test_no_cache_filter_runs_one_stage_again(docker: Docker) -> None:
    text = "FROM box AS a\nRUN echo a > /a\nFROM box AS b\nRUN echo b > /b\n"
    text += "COPY --from=a /a /\n"
    docker.build(text)
    docker.build(no_cache_filter=("a",))
    assert docker.workspace.ran() == {"ctx/a/2-run"}


def test_a_failing_run_shows_all_its_lines(docker: Docker) -> None:
    with pytest.raises(StepFailedError) as caught:
        docker.build("FROM box\nRUN echo one && \\\n    exit 3\nRUN true\n")
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line, where.last) == ("ctx/Dockerfile", 2, 3)
    assert where.excerpt.count(">>>") == 2
    assert caught.value.message.startswith("'/bin/sh -c echo one && exit 3'")
    assert caught.value.message.endswith("exit code: 3")
    with pytest.raises(StepFailedError, match="exit code: 127"):
        docker.build("FROM box\nRUN invalidcmd\n")


def test_progress_tells_instructions(docker: Docker) -> None:
    docker.write("f", "1")
    docker.build("FROM box AS one\nENV A=1\nRUN  echo $A \\\n  > /x\nFROM one\nCOPY f /\n")
    told = [e.title for e in docker.workspace.events if isinstance(e, StepStarted)]
    assert sorted(told) == ["[one 2/2] RUN echo $A > /x", "[stage-1 1/1] COPY f /"]


def test_mistakes_name_file_and_line(docker: Docker) -> None:
    with pytest.raises(UsageError) as caught:
        docker.build("FROM box\nCOPY --from=missing.example/x:1@bad /a /\n")
    assert str(caught.value.where) == "ctx/Dockerfile:2"
    with pytest.raises(UsageError) as caught:
        docker.build("FROM box\nENTRPOINT x\n")
    assert caught.value.code == "unknown-instruction"


def test_an_unused_argument_is_told(docker: Docker) -> None:
    docker.build("FROM box\nARG USED\n", args={"USED": "", "TYPO": ""})
    assert docker.workspace.warnings() == ["unused-build-arg"]


def test_variables_of_the_environment(docker: Docker) -> None:
    docker.workspace.environ |= {"GIVEN": "env", "SOURCE_DATE_EPOCH": "60"}
    text = "FROM box\nARG GIVEN=default OTHER=default\nRUN echo $GIVEN $OTHER > /x\n"
    assert docker.files(text, inherited=("GIVEN", "OTHER")) == {"x": "env default\n"}
    assert docker.config(docker.build())["created"] == "1970-01-01T00:01:00Z"


def test_hosts_and_names(docker: Docker) -> None:
    text = "FROM box\nRUN --network=none cat /etc/hosts > /x\n"
    files = docker.files(text, hosts={"far": "10.1.2.3"}, network="none")
    assert "10.1.2.3\tfar" in files["x"]


def test_the_same_image_from_any_folder(docker: Docker, tmp_path: Path) -> None:
    text = "FROM box\nWORKDIR /w\nCOPY f .\nRUN echo $PWD > g\nENV A=1\n"
    docker.write("f", "1")
    first = docker.build(text).images[0].digest
    other = Docker(Workspace.make(tmp_path, "elsewhere").base())
    other.workspace.home = tmp_path / "home2"
    other.write("f", "1")
    assert other.build(text).images[0].digest == first
