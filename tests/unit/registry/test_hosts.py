"""Host names: the many of docker.io, ports, and which are this machine."""

import pytest

from buildgraph.registry.hosts import canonical, is_loopback, split_port


@pytest.mark.parametrize("host", ["", "docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_several_names(host):
    assert canonical(host) == "docker.io"


def test_names_are_lower_case():
    assert canonical("Registry.Example.com:5000") == "registry.example.com:5000"


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("a.example", ("a.example", None)),
        ("a.example:5000", ("a.example", 5000)),
        ("[::1]", ("::1", None)),
        ("[::1]:5000", ("::1", 5000)),
        ("::1", ("::1", None)),
        ("a.example:x", ("a.example", None)),
    ],
)
def test_ports(host, parts):
    assert split_port(host) == parts


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000", "localhost."]
)
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["localhost.example", "127.0.0.1.example", "10.0.0.1", "0.0.0.0", "[::2]", "1.localhost:80"],
)
def test_another_machine(host):
    assert not is_loopback(host)
