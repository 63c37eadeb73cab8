"""The small notations, good and bad."""

import pytest

from buildgraph.errors import UsageError
from buildgraph.spec import values as v
from buildgraph.spec.model import Mode, Owner


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("90s", 90e9), ("1h30m", 5400e9), ("1.5h", 5400e9), ("500ms", 5e8), (7, 7e9), ("1d", 86400e9)],
)
def test_durations(text, nanoseconds):
    assert v.duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "5x", "-5s", "s", "1h 5m", -1, 10**12])
def test_no_durations(text):
    with pytest.raises(UsageError) as raised:
        v.duration(text)
    assert raised.value.code == "bad-duration"


def test_seconds_are_whole_and_not_none():
    assert (v.seconds("1ms"), v.seconds("1001ms"), v.seconds(5)) == (1, 2, 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [("512", 512), ("512M", 2**29), ("1.5g", 3 * 2**29), ("2GiB", 2**31), ("1 kb", 1024), (5, 5)],
)
def test_sizes(text, found):
    assert v.size(text) == found


@pytest.mark.parametrize("text", ["", "M", "-5", "5X", 0, -1, 2**63, "9" * 15 + "t"])
def test_no_sizes(text):
    with pytest.raises(UsageError) as raised:
        v.size(text)
    assert raised.value.code == "bad-size"


@pytest.mark.parametrize(
    ("value", "raw", "found"),
    [
        ("0755", "", Mode(0o755)),
        ("644", "", Mode(0o644)),
        ("0o1777", "", Mode(0o1777)),
        (0o755, "0o755", Mode(0o755)),
        ("u=rwX,go=rX", "", Mode(symbolic="u=rwX,go=rX")),
        ("+x", "", Mode(symbolic="+x")),
        ("a+r,u-w", "", Mode(symbolic="a+r,u-w")),
        ("g=u", "", Mode(symbolic="g=u")),
    ],
)
def test_modes(value, raw, found):
    assert v.mode(value, raw) == found


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (755, "755"),
        (0o755, "493"),
        (0x1FF, "0x1ff"),
        ("", ""),
        ("10000", ""),
        ("u=q", ""),
        ("888", ""),
    ],
)
def test_no_modes(value, raw):
    with pytest.raises(UsageError) as raised:
        v.mode(value, raw)
    assert raised.value.code == "bad-mode"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1000", Owner(1000, 1000)),
        ("1000:5", Owner(1000, 5)),
        ("root", Owner(0, 0)),
        ("root:www-data", Owner(0, "www-data")),
        ("www-data", Owner("www-data", "")),
        ("0:root", Owner(0, 0)),
    ],
)
def test_owners(text, found):
    assert v.owner(text) == found


@pytest.mark.parametrize("text", ["", ":", "1:", ":1", "1:2:3", "a b", "-1", "4294967295"])
def test_no_owners(text):
    with pytest.raises(UsageError) as raised:
        v.owner(text)
    assert raised.value.code == "bad-owner"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (8080, ("8080/tcp",)),
        ("53/udp", ("53/udp",)),
        ("1-3/sctp", ("1/sctp", "2/sctp", "3/sctp")),
    ],
)
def test_ports(value, found):
    assert v.ports(value) == found


@pytest.mark.parametrize("value", [0, 65536, -1, "a", "5-4", "80/", "80/icmp"])
def test_no_ports(value):
    with pytest.raises(UsageError) as raised:
        v.ports(value)
    assert raised.value.code == "bad-port"


@pytest.mark.parametrize(
    ("text", "found"),
    [("a/./b//c/", "a/b/c"), (".", "."), ("", "."), ("a/../b", "b"), ("./x", "x"), ("...", "...")],
)
def test_source_paths(text, found):
    assert v.source_path(text) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [("/x", "absolute-source"), ("..", "escaping-source"), ("a/../../b", "escaping-source")],
)
def test_no_source_paths(text, code):
    with pytest.raises(UsageError) as raised:
        v.source_path(text)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("text", "found"),
    [("/", "/"), ("//a/./b", "/a/b"), ("/a/", "/a/"), ("/a/../b/", "/b/"), ("/a/..", "/")],
)
def test_image_paths(text, found):
    assert v.image_path(text) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [("a", "relative-destination"), ("", "relative-destination"), ("/..", "escaping-destination")],
)
def test_no_image_paths(text, code):
    with pytest.raises(UsageError) as raised:
        v.image_path(text)
    assert raised.value.code == code
