"""A stop shuts the sockets that it watches, now and later; a grace lets requests through until it is over."""

import socket
import threading

import pytest

from buildgraph.registry.stopping import Stop, StoppedError


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_read_that_waits_ends(pair):
    stop, got = Stop(), []
    stop.watch(pair[0])
    reader = threading.Thread(target=lambda: got.append(pair[0].recv(1)))
    reader.start()
    stop.set()
    reader.join(10)
    assert got == [b""]


def test_what_is_watched_too_late_is_shut_at_once(pair):
    stop = Stop()
    stop.set()
    stop.watch(pair[0])
    assert pair[1].recv(1) == b""
    with pytest.raises(StoppedError):
        stop.check()


def test_closed_sockets_are_forgotten(pair):
    stop = Stop()
    stop.watch(pair[0])
    pair[0].close()
    stop.watch(pair[1])
    assert stop._sockets == {pair[1]}


def test_a_wait_between_tries_ends():
    stop = Stop()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        stop.sleep(600)


def test_nothing_is_shut_while_there_is_grace(pair):
    stop = Stop()
    stop.set()
    with stop.grace(600):
        stop.watch(pair[0])
        stop.check()
        pair[0].send(b"x")
        assert pair[1].recv(1) == b"x"
    with pytest.raises(StoppedError):
        stop.check()


def test_grace_has_an_end(pair):
    stop = Stop()
    with stop.grace(0.01):
        stop.watch(pair[0])
        stop.check()
        stop.set()
        assert pair[1].recv(1) == b""
        with pytest.raises(StoppedError):
            stop.check()


def test_grace_without_a_stop_leaves_nothing(pair):
    stop = Stop()
    with stop.grace(0.0):
        stop.watch(pair[0])
    stop.check()
    pair[0].send(b"x")
    assert pair[1].recv(1) == b"x"
