"""Images of a Buildfile that come from Dockerfiles, mixed with its other steps and images."""

from pathlib import Path

import pytest
from support.dockerbuilds import files_of
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.errors import ErrorGroup, UsageError


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    made = Workspace.make(tmp_path).base()
    made.write("box/Dockerfile", "FROM box\n")
    return made


def contents(ws: Workspace, target: str) -> dict[str, str]:
    out = ws.folder.parent / "out.tar"
    ws.build(target, outputs=(OutputSpec("tar", str(out)),))
    return files_of(out)


MIXED = """
[step.files]
on = ["box"]
run = "echo lib > /lib.txt"

[image.lib]
on = ["box", "files"]
env = { LIB = "1" }
tags = ["lib:dev"]

[image.app]
dockerfile = "Dockerfile"
context = "app"
args = { WHO = "me" }
contexts = { data = "data", tools = "image:lib" }
tags = ["app:dev"]

[step.top]
on = ["app"]
user = "0"
run = "cat /hello /lib.txt > /both"

[image.web]
on = ["app", "top"]
cmd = ["web"]

[image.last]
dockerfile = "last.Dockerfile"
"""


def write(ws: Workspace) -> None:
    ws.buildfile(MIXED)
    text = "ARG WHO\nFROM lib:dev\nARG WHO\nRUN echo $WHO $LIB > /hello\nCOPY --from=data . /d/\n"
    ws.write("app/Dockerfile", text + "COPY --from=tools /lib.txt /again\nUSER 7\n")
    ws.write("data/x", "X")
    ws.write("last.Dockerfile", "FROM docker.io/library/app:dev\nLABEL a=b\n")
    ws.write("last.Dockerfile.dockerignore", "*\n")


def test_they_stand_on_each_other(ws: Workspace) -> None:
    write(ws)
    assert contents(ws, "web") == {
        "lib.txt": "lib\n",
        "hello": "me 1\n",
        "d/x": "X",
        "again": "lib\n",
        "both": "me 1\nlib\n",
    }
    ws.build()
    assert ws.ran() == set()


def test_a_second_build_does_nothing(ws: Workspace) -> None:
    write(ws)
    ws.build("app")
    ws.build("app")
    assert ws.ran() == set()
    ws.write("data/x", "Y")
    ws.build("app")
    assert ws.ran() == {"app/stage-0/3-copy"}


def test_a_dockerfile_that_nothing_needs_is_not_built(ws: Workspace) -> None:
    write(ws)
    ws.write("last.Dockerfile", "FROM nowhere.example/never:1\nRUN x\n")
    ws.build("app")


def test_dockerfiles_cannot_begin_with_each_other(ws: Workspace) -> None:
    ws.buildfile(
        '[image.a]\ndockerfile = "a"\ntags = ["a:1"]\n[image.b]\ndockerfile = "b"\ntags = ["b:1"]\n'
    )
    ws.write("a", "FROM b:1\n")
    ws.write("b", "FROM a:1\n")
    with pytest.raises(UsageError) as caught:
        ws.build()
    assert caught.value.code == "cycle"
    assert "a → b → a" in caught.value.message


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ('dockerfile = "missing"', "no-dockerfile"),
        ('dockerfile = "box"', "no-dockerfile"),
        ('dockerfile = "d"\ncmd = ["x"]', "dockerfile-and-stack"),
        ('dockerfile = "d"\non = ["box"]', "dockerfile-and-stack"),
        ('on = ["box"]\ntarget = "x"', "dockerfile-missing"),
        ('dockerfile = "../d"', "escaping-source"),
        ('dockerfile = "d"\ncontexts = { x = "image:none" }', "unknown-name"),
        ('dockerfile = "d"\ncontexts = { x = "git://h.example/r" }', "bad-context"),
        ('dockerfile = "d"\ntarget = "none"', "unknown-stage"),
    ],
)
def test_mistakes(ws: Workspace, table: str, code: str) -> None:
    ws.buildfile(f"[image.x]\n{table}\n")
    ws.write("d", "FROM scratch\n")
    with pytest.raises((UsageError, ErrorGroup)) as caught:
        ws.build()
    error = caught.value
    found = error.errors[0] if isinstance(error, ErrorGroup) else error
    assert found.code == code
