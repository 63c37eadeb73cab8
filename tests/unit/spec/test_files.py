"""Finding the Buildfile; reading and writing the lock."""

from pathlib import Path

import pytest

from buildgraph.errors import UsageError
from buildgraph.spec import lock as locks
from buildgraph.spec.locate import candidates, find
from buildgraph.spec.lock import Lock
from buildgraph.spec.pins import PackagesPin

PIN = PackagesPin("bookworm", ("curl",), ("adduser:all=3.134", "curl:amd64=7.88.1-10+deb12u8"))
TEXT = """\
# Written by buildgraph; keep it under version control.
lock = 1

[packages.os.amd64]
suite = "bookworm"
requested = ["curl"]
packages = [
    "adduser:all=3.134",
    "curl:amd64=7.88.1-10+deb12u8",
]
"""


def test_the_nearest_buildfile_upwards(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    outer = tmp_path / "Buildfile.toml"
    outer.touch()
    assert find(below) == outer
    (tmp_path / "a" / "Buildfile.toml").touch()
    assert find(below) == tmp_path / "a" / "Buildfile.toml"
    assert candidates(below)[:2] == (below / "Buildfile.toml", tmp_path / "a" / "Buildfile.toml")


def test_a_file_by_name(tmp_path):
    (tmp_path / "x.toml").touch()
    (tmp_path / "Buildfile.toml").touch()
    assert find(tmp_path, Path("x.toml")) == tmp_path / "x.toml"
    assert find(tmp_path.parent, tmp_path) == tmp_path / "Buildfile.toml"


@pytest.mark.parametrize("file", [None, Path("nope.toml")])
def test_no_buildfile(tmp_path, file):
    with pytest.raises(UsageError) as raised:
        find(tmp_path, file)
    assert raised.value.code == "no-buildfile"


def test_a_lock_is_the_same_bytes_again(tmp_path):
    lock = Lock().pin("os", "amd64", PIN)
    assert lock.to_bytes().decode() == TEXT
    assert Lock.load(TEXT.encode(), tmp_path) == lock
    odd = Lock().pin('we"ird\\ é', "a.b", PackagesPin("s", (), ("b=1", "a=\x7f")))
    again = Lock.load(odd.to_bytes(), tmp_path)
    assert again.to_bytes() == odd.to_bytes()
    assert again.packages('we"ird\\ é') == ("a=\x7f", "b=1")


def test_what_a_lock_answers():
    lock = Lock().pin("os", "amd64", PIN).pin("os", "arm64", PIN).pin("x", "amd64", PIN)
    assert lock.packages("os", "arm64") == PIN.packages
    assert lock.packages("os") == (), "which of the two?"
    assert lock.packages("x") == PIN.packages
    assert lock.packages("nope") == ()
    assert set(lock.without(["os"]).pins) == {("x", "amd64")}
    assert set(lock.keep(["os"]).pins) == {("os", "amd64"), ("os", "arm64")}
    assert PIN.answers(["curl"], "")
    assert PIN.answers(["curl"], "bookworm")
    assert not PIN.answers(["curl", "git"], "bookworm")
    assert not PIN.answers(["curl"], "trixie")
    assert PIN.digest != PackagesPin("trixie", PIN.requested, PIN.packages).digest


def test_a_lock_is_written_when_it_says_something_new(tmp_path):
    file = tmp_path / "Buildfile.lock"
    assert not locks.write(file, Lock()), "no empty file is left behind"
    assert locks.write(file, Lock().pin("os", "amd64", PIN))
    assert not locks.write(file, Lock().pin("os", "amd64", PIN))
    assert file.read_text() == TEXT
    assert [path.name for path in tmp_path.iterdir()] == ["Buildfile.lock"]
    assert locks.write(file, Lock())
    assert Lock.load(None, file) == Lock()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lock = 2",
        "lock = 1\nx = 1",
        "lock = 1\n<<<<<<< HEAD",
        "lock = 1\npackages = 1",
        "lock = 1\n[packages]\nos = 1",
        'lock = 1\n[packages.os.amd64]\nsuite = "x"',
        'lock = 1\n[packages.os.amd64]\nsuite = "x"\nrequested = [1]\npackages = []',
    ],
)
def test_what_buildgraph_did_not_write(text):
    with pytest.raises(UsageError) as raised:
        Lock.load(text.encode(), Path("Buildfile.lock"))
    assert raised.value.code == "bad-lock"
    assert "lock --update" in raised.value.hint
