"""From when on a row cannot be relied on, by the clock of each file system."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.grow import UNKNOWN

from buildgraph.fs import rows
from buildgraph.fs.rows import Moments, Row, is_racy, moment, pack_rows, racy_ones, racy_packed

SECOND = 1_000_000_000
HERE, LOCAL, SERVER = 1, 2, 3


def row(device: int, ctime: int) -> Row:
    return (device, 1, 0, 0o100644, 0, ctime)


@pytest.fixture
def device(tmp_path: Path) -> int:
    return tmp_path.stat().st_dev


@pytest.fixture
def no_tmpfile(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def opens(path: bytes, flags: int, *more: int, **named: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", opens)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices besides the root's, on a machine whose clock says 100 s."""
    monkeypatch.setattr(rows, "_is_local", lambda device: device == LOCAL)
    monkeypatch.setattr(rows.time, "clock_gettime_ns", lambda _: 100 * SECOND)


def test_the_moment_is_what_a_new_file_gets(tmp_path: Path, device: int) -> None:
    before = os.stat(tmp_path)
    first = moment(os.fsencode(tmp_path))[device]
    (tmp_path / "file").touch()
    ctime = (tmp_path / "file").stat().st_ctime_ns
    assert first <= ctime <= moment(os.fsencode(tmp_path))[device]
    (tmp_path / "file").unlink()
    assert before.st_ino == os.stat(tmp_path).st_ino
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("no_tmpfile")
def test_where_the_root_takes_no_file_the_store_tells(tmp_path: Path, device: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ctime = home.stat().st_ctime_ns
    assert moment(os.fsencode(tmp_path), os.fsencode(home))[device] >= ctime
    assert os.listdir(home) == []


@pytest.mark.usefixtures("no_tmpfile")
def test_where_neither_does_the_kernel_tells_of_what_is_local(
    tmp_path: Path, device: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctime = tmp_path.stat().st_ctime_ns
    monkeypatch.setattr(rows, "_is_local", lambda _: True)
    assert moment(os.fsencode(tmp_path))[device] >= ctime - 3 * SECOND
    monkeypatch.setattr(rows, "_is_local", lambda _: False)
    assert moment(os.fsencode(tmp_path))[device] == 0
    assert moment(os.fsencode(tmp_path / "missing"))[device] == 0


def test_a_ctime_that_can_be_set_tells_nothing(
    tmp_path: Path, device: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On FAT it is the mtime by another name."""
    fstat = os.fstat
    with monkeypatch.context() as fat:
        fat.setattr(os, "fstat", lambda fd: SimpleNamespace(st_ctime_ns=fstat(fd).st_mtime_ns))
        since = moment(os.fsencode(tmp_path))
    assert since[device] == 0


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("device", "ctime", "racy"),
    [
        (HERE, 20 * SECOND - 10_000_001, False),
        (HERE, 20 * SECOND - 10_000_000, True),
        (LOCAL, 97 * SECOND, False),
        (LOCAL, 98 * SECOND, True),
        (SERVER, 0, True),
    ],
)
def test_each_device_has_its_own_clock(device: int, ctime: int, racy: bool) -> None:
    """The root's runs late, a local one in steps of seconds, a server's as it likes."""
    since = Moments()
    since[HERE] = 20 * SECOND
    assert is_racy(row(device, ctime), since) == racy
    both = [row(HERE, 5), row(device, ctime)]
    assert any(racy_ones(both, since)) == racy
    assert racy_packed(pack_rows(both), since) == racy_ones(both, since)


def test_what_is_mounted_nowhere_or_no_disk_is_not_local() -> None:
    assert not rows._is_local(os.stat("/proc").st_dev)
    assert not rows._is_local(0)


def test_nothing_is_racy_among_nothing() -> None:
    assert racy_ones([], UNKNOWN) == racy_packed(b"", UNKNOWN) == []
