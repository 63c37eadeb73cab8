"""network = "private": the outside can be reached, this machine's own services cannot."""

import socket
import threading
from pathlib import Path

import pytest
from support import capability, sandboxes

from buildgraph.errors import MachineError
from buildgraph.sandbox import network
from buildgraph.sandbox.runtime import Bubblewrap, Command, OciRuntime, Runtime, stubs

SCRIPT = """
ip -o addr show tap0
ip route
cat /etc/resolv.conf
nc -w 2 127.0.0.1 PORT </dev/null && echo reached own loopback
nc -w 2 10.0.2.2 PORT </dev/null && echo reached host loopback
echo done
"""


def run(tmp_path: Path, name: str) -> str:
    sandboxes.private_mounts()
    store = sandboxes.snapshots(tmp_path)
    runtime: Runtime = Bubblewrap(store.tmp) if name == "bwrap" else OciRuntime(name, store.tmp)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        store.prepare([sandboxes.busybox(store)], stubs()) as active,
    ):
        script = SCRIPT.replace("PORT", str(server.getsockname()[1]))
        command = Command(active.root, ("sh", "-c", script), network="private", timeout=30)
        ended, output = sandboxes.run(runtime, command, threading.Event())
    assert ended.ok, output
    return output


@pytest.mark.parametrize("name", ["bwrap", "crun", "runc"])
def test_a_network_of_its_own(tmp_path: Path, name: str) -> None:
    capability.require("slirp4netns", name)
    output = run(tmp_path, name)
    assert "10.0.2.100/24" in output
    assert "default via 10.0.2.2" in output
    assert "nameserver 10.0.2.3" in output
    assert "reached" not in output
    assert output.endswith("done\n")


def test_without_slirp4netns_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capability.require("bwrap")
    monkeypatch.setattr(network, "private_network_problem", lambda: "it is not installed")
    with pytest.raises(MachineError) as caught:
        run(tmp_path, "bwrap")
    assert caught.value.code == "no-private-network"
    assert "apt-get install slirp4netns" in caught.value.hint
