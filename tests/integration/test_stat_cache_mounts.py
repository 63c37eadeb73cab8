"""A file system that is mounted inside the context has a clock of its own."""

import os
import subprocess

import pytest
from support.capability import require, require_root

from buildgraph.fs import facts, recheck, rows
from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache

HOUR = 3600 * 10**9


@pytest.fixture
def root(tmp_path):
    """A context with a folder ``disk`` that is another file system."""
    require("mount", "umount")
    require_root()
    disk = tmp_path / "root/disk"
    disk.mkdir(parents=True)
    (disk.parent / "settled").touch()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    yield disk.parent
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def file(root):
    file = root / "disk/file"
    file.write_text("old")
    return file


def look(root, tmp_path):
    """What a build of the whole context leaves behind."""
    cache = StatCache.load(tmp_path / "stat", root)
    context = Context(root, cache)
    assert {one.path for one in context.select(".")} >= {b"disk/file", b"settled"}
    cache.save()
    facts.save(tmp_path / "plan", context.facts(), b"x")


def test_the_mounts_clock_counts_not_the_roots(root, file, tmp_path, monkeypatch):
    """By the root's, which is an hour ahead, all that has just been written there is settled."""
    monkeypatch.setattr(rows, "_touch", lambda *_, **__: os.stat(file).st_ctime_ns + HOUR)
    look(root, tmp_path)
    kept = StatCache.load(tmp_path / "stat", root)._known
    assert {row[0] for row in kept} == {os.stat(root).st_dev}
    proven = []
    monkeypatch.setattr(recheck, "prove", lambda path, _: proven.append(path) or "")
    assert facts.check(tmp_path / "plan") is None
    assert proven[0].startswith(b"disk")


def test_what_lies_there_for_long_is_known(root, file, tmp_path, monkeypatch):
    """Tmpfs is local: three seconds later its rows are as good as the root's."""
    now = os.stat(file).st_ctime_ns
    monkeypatch.setattr(rows.time, "clock_gettime_ns", lambda _: now + 3 * 10**9)
    look(root, tmp_path)
    assert rows.row_of(os.lstat(file)) in StatCache.load(tmp_path / "stat", root)._known
    monkeypatch.setattr(recheck, "prove", lambda path, _: pytest.fail(f"reads {path}"))
    monkeypatch.setattr(rows, "_touch", lambda *_, **__: now + HOUR)
    look(root, tmp_path)
    assert facts.check(tmp_path / "plan") == b"x"
