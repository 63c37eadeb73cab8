import pytest

from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.ports import exposed_ports
from buildgraph.errors import UsageError


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        (["80"], ("80/tcp",)),
        (["1234/UDP", "80"], ("1234/udp", "80/tcp")),
        (["8000-8002/sctp"], ("8000/sctp", "8001/sctp", "8002/sctp")),
        (["8-10"], ("8/tcp", "9/tcp", "10/tcp")),
        (["80", "80/tcp"], ("80/tcp", "80/tcp")),
        (["8080:80"], ("80/tcp",)),
        (["127.0.0.1:8080:80"], ("80/tcp",)),
        (["[::1]:8080:80"], ("80/tcp",)),
        (["9000-9010:80"], ("80/tcp",)),
        (["80/"], ("80/tcp",)),
        ([], ()),
    ],
)
def test_ports(words: list[str], ports: tuple[str, ...]) -> None:
    assert exposed_ports(words, Budget()) == ports


@pytest.mark.parametrize(
    "word",
    [
        "",
        "/tcp",
        "x",
        "80/http",
        "90-80",
        "65536",
        "1-2-3",
        "1.2.3:1:80",
        "1-3:80-81",
        "-1",
        "\uff18\uff10",
    ],
)
def test_what_is_no_port(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        exposed_ports([word], Budget())
    assert caught.value.code == "bad-port"
    assert word in caught.value.message
