import os
import socket
import threading

import pytest

from buildgraph.errors import UsageError
from buildgraph.execute.agents import Agents
from buildgraph.execute.forwarding import forwarded

ME = (os.getuid(), os.getgid())


@pytest.fixture
def agent(tmp_path):
    """Answers one client: what it says, backwards, until it goes."""
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "real"))
        listener.listen()

        def serve():
            try:
                one, _ = listener.accept()
            except OSError:  # nobody came, and the block below ended
                return
            with one:
                while said := one.recv(100):
                    one.sendall(said[::-1])
            ended.set()

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(tmp_path / "real"), ended
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_is_said_goes_both_ways_and_ends_with_the_block(tmp_path, agent):
    path, ended = agent
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as client:
        with forwarded(path, folder, *ME, 0o600) as at:
            assert at.stat().st_mode & 0o777 == 0o600
            (tmp_path / "l").symlink_to(folder)
            client.connect(str(tmp_path / "l" / at.name))
            for said in (b"abc", b"again"):
                client.sendall(said)
                assert client.recv(100) == said[::-1]
        assert client.recv(100) == b""
    assert ended.wait(10)
    assert not at.exists()


def test_an_agent_that_is_gone_ends_the_connection(tmp_path):
    with (
        forwarded(str(tmp_path / "none"), tmp_path, *ME, 0o600) as at,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(at))
        assert client.recv(100) == b""


def test_nobody_is_let_near_an_agent_unasked():
    assert Agents({}, {"SSH_AUTH_SOCK": "/a"}).socket("default", required=False) == ""
    assert Agents({"default": ""}, {"SSH_AUTH_SOCK": "/a"}).socket("default", required=True) == "/a"
    assert Agents({"x": "/b"}, {}).socket("x", required=True) == "/b"
    with pytest.raises(UsageError, match="the ssh agent x is required"):
        Agents({}, {}).socket("x", required=True)
