"""Questions about a Dockerfile: when it is meant, and what docker's options say there."""

from types import SimpleNamespace

import pytest
from support.screen import Asked, run

from buildgraph.build.dockercall import Called
from buildgraph.build.request import DockerRequest

NAMED = (("why", "x"), ("query", "deps", "x"), ("query", "path", "x", "y"), ("ls",))
BARE = (("plan",), ("graph",))
OPTIONS = (
    "--target",
    "b",
    "--build-arg",
    "A=1",
    "--build-context",
    "c=../x",
    "--no-cache-filter",
    "b",
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    monkeypatch.setenv("BUILDGRAPH_HOME", str(tmp_path / "home"))
    return tmp_path / "inner"


@pytest.fixture
def asked(monkeypatch):
    view = SimpleNamespace(nodes=[], edges=[])
    return Asked().replace(
        monkeypatch,
        plan={"steps": []},
        why={"text": []},
        graph=view,
        query=("a",),
        list_targets=[],
    )


def docker(asked, *words):
    said = run(*words)
    assert said.code == 0, said.err
    return asked.request.docker


@pytest.mark.parametrize("words", [*NAMED, *BARE])
def test_a_dockerfile_is_asked_about_with_the_words_of_build(asked, place, words):
    assert docker(asked, *words) is None
    said = docker(asked, *words, "-f", "any/File", *OPTIONS)
    assert said == DockerRequest(
        file="any/File",
        target="b",
        args={"A": "1"},
        contexts={"c": "../x"},
        no_cache_filter=("b",),
    )
    assert asked.request.file is None
    (place / "Dockerfile").touch()
    assert docker(asked, *words) == DockerRequest()
    (place / "Buildfile.toml").touch()
    assert docker(asked, *words) is None


@pytest.mark.parametrize("words", BARE)
def test_its_context_is_a_word_where_build_takes_one(asked, place, words):
    assert docker(asked, *words, "sub", "-f", "any/File") == DockerRequest("sub", "any/File")
    assert asked.request.targets == ()
    assert docker(asked, *words, "sub") is None
    assert asked.request.targets == ("sub",)


@pytest.mark.parametrize("words", NAMED)
def test_its_context_is_an_option_where_words_are_names(asked, place, words):
    (place / "Buildfile.toml").touch()
    assert docker(asked, *words, "--context", "sub") == DockerRequest("sub")
    found = docker(asked, *words, "--context", "sub", "-f", "File")
    assert found == DockerRequest("sub", "File")


@pytest.mark.parametrize("words", NAMED)
def test_names_are_those_of_the_buildfile_above(asked, place, words):
    (place / "Dockerfile").touch()
    (place.parent / "Buildfile.toml").touch()
    assert docker(asked, *words) is None
    assert docker(asked, *words, "--context", ".") == DockerRequest()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "--target", "x"), "--target is for Dockerfiles"),
        (("ls", "--pull"), "--pull is for Dockerfiles"),
        (("why", "x", "--context", ".", "-f", "a.toml"), "--context is for Dockerfiles"),
        (("graph", "-f", "Dockerfile", "a", "b"), "one context"),
        (("plan", "-f", "Dockerfile", "--check"), "--check"),
    ],
)
def test_what_is_refused(asked, words, said):
    found = run(*words)
    assert found.code == 2
    assert said in found.err


def test_a_check_of_one_is_that_of_build(monkeypatch, place):
    called = Called("told\n", warnings=1)
    asked = Asked().replace(monkeypatch, call=called, check=())
    (place / "Dockerfile").touch()
    said = run("check", "--target", "b")
    assert (said.code, said.out) == (1, "told\n")
    assert asked.calls[-1][1][1:] == (DockerRequest(target="b"), "check")
    (place / "Buildfile.toml").touch()
    assert run("check").code == 0


def test_a_plan_tells_instructions(monkeypatch):
    step = {"id": "x/b/1-run", "kind": "run", "decision": "execute", "reason": "never built"}
    step |= {"key": "k", "title": "[b 1/1] RUN make"}
    Asked().replace(monkeypatch, plan={"schema": 1, "steps": [step], "targets": ["x"]})
    assert run("plan").out.startswith("execute  x/b/1-run  [b 1/1] RUN make: never built\n")
