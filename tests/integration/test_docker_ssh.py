"""``--mount=type=ssh``: a command may ask the agent that the build was given, and no other."""

import socket

import pytest
from support.dockered import Dockered, run

from buildgraph.spec import model as m


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


@pytest.fixture
def agent(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield str(tmp_path / "s")


def mount(**more):
    return m.SshMount("default", m.Text(("/run/a.sock",)), **more)


SEE = "stat -c '%a %u' $SSH_AUTH_SOCK"


def test_a_command_may_ask_the_agent_that_was_given(docker, agent):
    kind = run(SEE, mounts=(mount(owner=m.Owner(7, 7), mode=m.Mode(octal=0o640)),))
    docker.build(kind, ssh={"default": agent})
    assert docker.workspace.output("main-s0") == ["640 7"]
    docker.build(run(f"{SEE} # again", mounts=(mount(),)), ssh={"default": agent})
    assert docker.workspace.output("main-s0") == ["600 0"]
    assert "run" not in docker.tree(kind, ssh={"default": agent})


def test_without_one_it_is_absent_or_required(docker):
    docker.workspace.environ["SSH_AUTH_SOCK"] = "/not/asked/for"
    docker.build(run("test ! -e /run/a.sock; echo ${SSH_AUTH_SOCK-none}", mounts=(mount(),)))
    assert docker.workspace.output("main-s0") == ["none"]
    [failure] = docker.attempt(run("true", mounts=(mount(required=True),))).failures
    assert failure.code == "ssh-missing"
