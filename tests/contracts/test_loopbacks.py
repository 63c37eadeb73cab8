"""Namespaces with nothing but loopback: each command's own, made ahead or not."""

import os
import socket

import pytest
from support import sandboxes

from buildgraph.sandbox.apart import apart
from buildgraph.sandbox.loopback import Loopbacks

HERE = "/proc/thread-self/ns/net"


@pytest.fixture
def loopbacks() -> Loopbacks:
    sandboxes.private_mounts()
    return Loopbacks()


def entered(loopbacks: Loopbacks, *, furnish: bool = False) -> tuple[str, list[str]]:
    """Where a thread that enters ends up, and the interfaces that it sees there."""

    def call() -> tuple[str, list[str]]:
        loopbacks.enter()
        seen = os.readlink(HERE), [name for _, name in socket.if_nameindex()]
        if furnish:
            loopbacks.furnish()
        return seen

    return apart(call)


@pytest.mark.parametrize("ahead", [True, False])
def test_there_is_loopback_alone(loopbacks: Loopbacks, ahead: bool) -> None:
    mine = os.readlink(HERE)
    if ahead:
        apart(loopbacks.furnish)
    place, interfaces = entered(loopbacks)
    assert place != mine
    assert "lo" in interfaces
    assert set(interfaces) <= {"lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0"}
    assert os.readlink(HERE) == mine


def test_loopback_is_up(loopbacks: Loopbacks) -> None:
    def call() -> None:
        loopbacks.enter()
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()

    apart(loopbacks.furnish)
    apart(call)


def test_no_two_have_the_same(loopbacks: Loopbacks) -> None:
    held = []
    for _ in range(3):
        place, _ = entered(loopbacks, furnish=True)
        held.append(place)
    spares = list(loopbacks._spare)
    assert len(spares) == 1
    assert os.readlink(f"/proc/self/fd/{spares[0]}") != held[-1]


def test_a_spare_one_costs_no_descriptor_in_the_end() -> None:
    sandboxes.private_mounts()
    before = len(os.listdir("/proc/self/fd"))
    loopbacks = Loopbacks()
    apart(loopbacks.furnish)
    apart(loopbacks.furnish)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    entered(loopbacks)
    assert len(os.listdir("/proc/self/fd")) == before
    apart(loopbacks.furnish)
    del loopbacks
    assert len(os.listdir("/proc/self/fd")) == before
