"""``--check`` and ``--call``: what is told of a Dockerfile without building it, and what a build tells by itself."""

import json
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.screen import run

from buildgraph.errors import UsageError

FILE = """\
# the one that is shipped
ARG VERSION=1
FROM nowhere.example/box:$VERSION AS Build
# WHO is greeted
ARG WHO=you
RUN --mount=type=secret,id=token,required true
FROM scratch
CMD echo
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BUILDGRAPH_CACHE", raising=False)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(tmp_path / "home"))
    (tmp_path / "Dockerfile").write_text(FILE)
    return tmp_path


def test_check_tells_all_warnings_and_fails(place: Path) -> None:
    said = run("build", "--check")
    assert said.code == 1
    assert said.out.startswith("Check complete, 2 warnings have been found!")
    assert "StageNameCasing" in said.out
    assert "JSONArgsRecommended" in said.out
    one = run("build", "--check", "--target", "1")
    assert "JSONArgsRecommended" in one.out
    assert not (place / "home").exists()


def test_check_of_a_good_file_is_content(place: Path) -> None:
    (place / "Dockerfile").write_text("FROM scratch\nCOPY a /\n")
    said = run("build", "--check", ".")
    assert (said.code, said.out) == (0, "Check complete, no warnings found.\n")


def test_check_tells_a_mistake_after_the_warnings(place: Path) -> None:
    (place / "Dockerfile").write_text("FROM scratch AS A\nCMDD x\n")
    said = run("build", "--call", "check")
    assert said.code == 2
    assert "StageNameCasing" in said.out
    assert "error[unknown-instruction]" in said.err


def test_outline_and_targets(place: Path) -> None:
    words = ["build", "--target", "build", "--build-arg", "WHO=me"]
    said = run(*words, "--call", "outline")
    assert (said.code, "me" in said.out, "is greeted" in said.out) == (0, True, True)
    found = json.loads(run(*words, "--call", "outline,format=json").out)
    assert {arg["name"]: arg["value"] for arg in found["args"]} == {"VERSION": "1", "WHO": "me"}
    assert [secret["name"] for secret in found["secrets"]] == ["token"]
    stages = json.loads(run("build", "--call", "targets,format=json").out)["targets"]
    assert [stage.get("name") for stage in stages] == ["build", None]
    assert "build" in run("build", "--call", "targets").out


def test_an_unknown_call_is_refused(place: Path) -> None:
    said = run("build", "--call", "nothing")
    assert (said.code, "--call" in said.err) == (2, True)


def test_a_build_tells_the_warnings_of_the_stages_that_it_builds(tmp_path: Path) -> None:
    docker = Docker.make(tmp_path)
    docker.build("FROM box AS Unused\nCMD x\nFROM scratch\nWORKDIR rel\n")
    told = docker.workspace.warnings()
    assert (
        told.count("dockerfile-check") == 2
    )  # the name's case, which all stages share, and WORKDIR


def test_warnings_can_be_fatal(tmp_path: Path) -> None:
    docker = Docker.make(tmp_path)
    with pytest.raises(UsageError) as caught:
        docker.build("# check=error=true\nFROM scratch\nWORKDIR rel\n")
    assert caught.value.code == "check-failed"
    assert "WorkdirRelativePath" in caught.value.message
