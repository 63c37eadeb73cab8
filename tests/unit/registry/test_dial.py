"""Reaching a host: names whose look-up takes for ever, and what a SOCKS proxy says."""

import socket
import threading

import pytest

from buildgraph.registry import dial, socks
from buildgraph.registry.failure import CutError
from buildgraph.registry.location import Origin
from buildgraph.registry.stopping import Stop, StoppedError


@pytest.fixture
def silent(monkeypatch):
    """A resolver that answers for addresses only. Setting the event ends its silence."""
    known, ended, asked = socket.getaddrinfo, threading.Event(), threading.Event()

    def answer(host, port, *args, flags=0, **kwargs):
        if not flags:
            asked.set()
            ended.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return known(host, port, *args, flags=flags, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    yield asked
    ended.set()


def test_a_name_is_waited_for_as_long_as_a_connection(silent):
    route = dial.Route(Origin("https", "a.example", 443), 0.1)
    with pytest.raises(CutError, match="its name was not found within") as raised:
        dial.dial(route, Stop())
    assert raised.value.slow
    assert not raised.value.reached


def test_a_name_is_not_waited_for_after_a_stop(silent):
    stop = Stop()
    threading.Thread(target=lambda: (silent.wait(30), stop.set())).start()
    with pytest.raises(StoppedError):
        dial.dial(dial.Route(Origin("https", "a.example", 443), 60.0), stop)


def test_an_address_needs_no_resolver(silent):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        dial.dial(dial.Route(Origin("http", "127.0.0.1", port), 5.0), Stop()).close()
    assert not silent.is_set()


def test_an_unknown_name(monkeypatch):
    def answer(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(CutError, match="its name is not known"):
        dial.dial(dial.Route(Origin("https", "a.example", 443), 5.0), Stop())


# --- SOCKS


class Script:
    """A wire on which ``answers`` come, byte by byte."""

    def __init__(self, answers: bytes) -> None:
        self._answers = answers
        self.sent = b""

    def sendall(self, data):
        self.sent += data

    def recv_into(self, buffer):
        count = min(1, len(self._answers))
        buffer[:count] = self._answers[:count]
        self._answers = self._answers[count:]
        return count


CONNECTED = b"\x05\x00\x00\x01" + bytes(6)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("a.example", b"\x03\x09a.example"),
        ("1.2.3.4", b"\x01\x01\x02\x03\x04"),
        ("::1", b"\x04" + bytes(15) + b"\x01"),
    ],
)
@pytest.mark.parametrize(
    "bound", [b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x02ab"], ids=["v4", "v6", "name"]
)
def test_a_connection_by_socks(host, address, bound):
    wire = Script(b"\x05\x00" + b"\x05\x00\x00" + bound + b"\x00\x00")
    socks.connect(wire, host, 443, "", "")
    assert wire.sent == b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x01\xbb"
    assert wire.recv_into(bytearray(1)) == 0


def test_a_password_for_socks():
    wire = Script(b"\x05\x02" + b"\x01\x00" + CONNECTED)
    socks.connect(wire, "a", 80, "me", "word")
    assert b"\x01\x02me\x04word" in wire.sent


@pytest.mark.parametrize(
    ("answers", "told", "permanent"),
    [
        (b"HT", "does not speak SOCKS", True),
        (b"\x05\xff", "user and password", True),
        (b"\x05\x02\x01\x01", "does not take the user", True),
        (b"\x05\x00\x05\x05\x00\x01", "refused", False),
        (b"\x05\x00\x05\x02\x00\x01", "not allowed", True),
        (b"\x05\x00\x05\x63\x00\x01", "answers 99", False),
        (b"\x05", "closed the connection", False),
    ],
)
def test_refusals_of_socks(answers, told, permanent):
    with pytest.raises(CutError, match=told) as raised:
        socks.connect(Script(answers), "a", 80, "me", "hidden")
    assert raised.value.permanent is permanent
    assert "hidden" not in str(raised.value)


def test_names_that_are_too_long_for_socks():
    with pytest.raises(CutError, match="255 bytes"):
        socks.connect(Script(b"\x05\x00"), ".".join(["a" * 60] * 5), 80, "", "")
