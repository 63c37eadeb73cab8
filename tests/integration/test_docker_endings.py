"""How builds of Dockerfiles end: exit codes, whose fault it was, what a signal leaves."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.program import Program, end
from support.webserver import Exchange, Web

BOX = "box=oci-layout://box:latest"


class Refusing(Web):
    """A registry that lets nobody in and says so."""

    def respond(self, exchange: Exchange) -> None:
        if "Authorization" not in exchange.headers:
            exchange.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
            return
        told = {"errors": [{"code": "DENIED", "message": "pay first"}]}
        exchange.answer(403, json.dumps(told).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    docker = Docker.make(tmp_path)
    docker.write("a", "1")
    return docker


@pytest.fixture
def program(docker: Docker) -> Iterator[Program]:
    program = Program.of(docker.workspace)
    yield program
    program.end()


def build(program: Program, docker: Docker, text: str, *words: str, code: int) -> str:
    docker.write("Dockerfile", text)
    done = program.run(
        "build", "ctx", "--build-context", BOX, "--progress", "plain", *words, code=code
    )
    assert code == 0 or "error[" in done.stderr
    return done.stderr


def test_exit_codes_say_whose_fault_it_was(docker: Docker, program: Program) -> None:
    build(program, docker, "FROM box\nCOPY a /\nRUN cat /a\n", code=0)
    said = build(program, docker, "FROM box\nRUN \\\n  nocmd\n", code=1)
    assert "ctx/Dockerfile:2-3" in said
    assert "127" in said
    for wrong in ("FROM box\nRUM x\n", "FROM box\nCOPY none /\n", "FROM box AS 1\n", "FROM\n"):
        assert "ctx/Dockerfile:" in build(program, docker, wrong, code=2)
    build(program, docker, "FROM box\n", "--target", "none", code=2)
    build(program, docker, "FROM box\nRUN true\n", "--require-cached", code=5)


def test_what_a_registry_says_is_told_without_credentials(
    docker: Docker, program: Program, tmp_path: Path
) -> None:
    with Refusing() as web:
        (tmp_path / "config").mkdir()
        file = {"auths": {f"127.0.0.1:{web.port}": {"auth": "bWU6czNjcjN0"}}}  # me:s3cr3t
        (tmp_path / "config/config.json").write_text(json.dumps(file))
        program.environ["DOCKER_CONFIG"] = str(tmp_path / "config")
        said = build(program, docker, f"FROM box\nFROM 127.0.0.1:{web.port}/a/b:1\n", code=4)
        assert any("Basic bWU6czNjcjN0" in seen.everything for seen in web.seen)
    assert "403" in said
    assert "pay first" in said
    assert f"127.0.0.1:{web.port}" in said
    assert "ctx/Dockerfile:2" in said
    assert "s3cr3t" not in said
    assert "bWU6" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_stops_all_that_runs(
    docker: Docker, program: Program, number: signal.Signals, tmp_path: Path
) -> None:
    sleeping = "RUN --mount=type=bind,target=/c --mount=type=cache,target=/d trap '' TERM INT; echo up; sleep 1000\n"
    docker.write(
        "Dockerfile",
        f"FROM box AS x\n{sleeping}FROM box AS y\nENV OTHER=1\n{sleeping}FROM x\nCOPY --from=y / /\n",
    )
    out = tmp_path / "out.tar"
    words = ("build", "ctx", "--build-context", BOX, "--progress", "json", "-j", "2")
    process = program.start(*words, "-o", f"type=tar,dest={out}")
    assert process.stderr
    up = (line for line in process.stderr if '"line": "up"' in line or '"line":"up"' in line)
    assert [next(up), next(up)]
    code, said = end(process, number)
    assert code == 128 + number
    assert said.count('"cancelled"') == 2
    assert program.left_over() == []
    assert program.running() == []
    assert not out.exists()


def test_caches_are_shared_by_all_dockerfiles(docker: Docker) -> None:
    docker.build("FROM box\nRUN --mount=type=cache,target=/c echo 1 > /c/x\n")
    docker.workspace.write(
        "other/Dockerfile", "FROM box\nRUN --mount=type=cache,target=/c cp /c/x /y\n"
    )
    assert docker.files(context="other") == {"y": "1\n"}
