"""What is put on a connection: files, streams and pieces of them, and what happens when the other side interrupts."""

import io
import socket
import threading
from collections.abc import Iterator

import pytest

from buildgraph.errors import ContentError
from buildgraph.registry.body import Slice, send, size_of

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(10.0)
        yield near, far


class Reader(threading.Thread):
    def __init__(self, far: socket.socket) -> None:
        super().__init__()
        self.far = far
        self.content = bytearray()
        self.start()

    def run(self) -> None:
        while block := self.far.recv(1 << 16):
            self.content += block

    def all(self, near: socket.socket) -> bytes:
        near.shutdown(socket.SHUT_WR)
        self.join()
        return bytes(self.content)


class OneWay(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("offset", [0, 100_000])
@pytest.mark.parametrize("kind", ["file", "unbuffered", "bytes", "one-way"])
def test_every_kind_of_source(pair, file, kind, offset):
    near, far = pair
    sources = {
        "file": lambda: file.open("rb"),
        "unbuffered": lambda: file.open("rb", buffering=0),
        "bytes": lambda: io.BytesIO(CONTENT),
        "one-way": lambda: OneWay(CONTENT),
    }
    reader = Reader(far)
    assert send(near, Slice(sources[kind], offset, 500_000, "the blob"))
    assert reader.all(near) == CONTENT[offset : offset + 500_000]


def test_bytes_themselves(pair):
    near, far = pair
    reader = Reader(far)
    assert send(near, CONTENT)
    assert reader.all(near) == CONTENT
    assert size_of(CONTENT) == len(CONTENT)


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_a_source_that_is_too_short(pair, file, kind):
    near, far = pair
    source = (lambda: file.open("rb")) if kind == "file" else (lambda: io.BytesIO(CONTENT))
    reader = Reader(far)
    with pytest.raises(ContentError, match="the blob ends 1 bytes before") as caught:
        send(near, Slice(source, 0, len(CONTENT) + 1, "the blob"))
    assert caught.value.code == "blob-damaged"
    reader.all(near)


def test_a_blob_without_bytes(pair):
    near, _ = pair
    assert send(near, Slice(lambda: io.BytesIO(b""), 0, 0, "nothing"))


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_sending_stops_at_an_early_answer(pair, file, kind):
    near, far = pair
    far.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    source = (lambda: file.open("rb")) if kind == "file" else (lambda: io.BytesIO(CONTENT))
    assert not send(near, Slice(source, 0, len(CONTENT), "the blob"))


def test_the_other_side_goes_away(pair):
    near, far = pair
    far.close()
    assert not send(near, CONTENT)


def test_the_other_side_takes_nothing(pair):
    near, _ = pair
    near.settimeout(0.05)
    with pytest.raises(TimeoutError):
        send(near, CONTENT)
