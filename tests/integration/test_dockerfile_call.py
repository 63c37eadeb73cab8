"""``--check`` and ``--call``: what is told of a Dockerfile without building it, and what a build tells by itself."""

import json
from base64 import b64decode
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


def test_check_knows_the_variables_of_bases_that_are_here(tmp_path: Path) -> None:
    docker = Docker.make(tmp_path)
    docker.write("Dockerfile", "FROM box\nENV A=$PATH B=$zz\nFROM nowhere.example/x\nENV B=$zz\n")
    folder = docker.workspace.folder
    words = ["build", "-f", str(folder / "ctx/Dockerfile"), "--home", str(tmp_path / "none")]
    words += ["--build-context", f"box=oci-layout://{folder}/box:latest", "--check"]
    said = run(*words, str(folder / "ctx"))
    assert (said.code, said.out.count("WARNING: UndefinedVar")) == (1, 1)
    assert "Usage of undefined variable '$zz'" in said.out
    assert not (tmp_path / "none").exists()


def test_json_has_what_the_locations_point_into(place: Path) -> None:
    text = (place / "Dockerfile").read_bytes()
    for call in ("outline", "targets"):
        found = json.loads(run("build", "--call", f"{call},format=json").out)
        assert [b64decode(source) for source in found["sources"]] == [text]
    (source,) = json.loads(run("build", "--call", "check,format=json").out)["sources"]
    assert (source["filename"], b64decode(source["data"])) == ("Dockerfile", text)


def test_a_wrong_option_of_the_checks_is_told_with_its_line(place: Path) -> None:
    (place / "Dockerfile").write_text("# syntax=x\n# check=skp=all\nFROM scratch\nLABEL a=b\n")
    said = run("build", "--check")
    assert said.code == 2
    assert "Dockerfile:2" in said.err
    assert 'did you mean "skip"?' in said.err


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


@pytest.mark.parametrize(
    "call",
    ["nothing", "check,outline", "check,x=y", "check,format=xml", "check,ignorestatus=2", ""],
)
def test_an_unknown_call_is_refused(place: Path, call: str) -> None:
    said = run("build", "--call", call)
    assert (said.code, "--call" in said.err) == (2, True)


def test_words_of_a_call_come_in_any_order_and_may_leave_the_exit_code_alone(place: Path) -> None:
    plain = run("build", "--check")
    assert plain.code == 1
    assert run("build", "--call", "lint").out == plain.out
    passing = run("build", "--call", "ignorestatus=true,check")
    assert (passing.code, passing.out) == (0, plain.out)
    as_json = run("build", "--call", "check,ignorestatus=1,format=json")
    assert (as_json.code, "warnings" in json.loads(as_json.out)) == (0, True)


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
