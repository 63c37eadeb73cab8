"""Bytes that change in the store: found, named, made again, never used."""

import gc
import os
import random
import shutil
import stat
from contextlib import suppress

import pytest
from support.program import Program
from support.workspace import Workspace, digests

from buildgraph.build.looking import validate
from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.errors import BuildgraphError

BUILDFILE = """
[workspace]
default = ["i"]
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.one]
on = ["box"]
mounts = [{ bind = "src", target = "/in" }]
run = "cat /in/a > /one; echo plain > /plain"
[step.two]
on = ["one", "src"]
run = "cat /one /plain /app/a | sha256sum > /two"
[image.i]
on = ["two"]
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/a", "some text\n" * 500)
    workspace.write("src/b", "b\n")
    return workspace


def flip(path):
    """One bit of the file, in place: size, mode and times stay as they are."""
    found = path.stat()
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(stat.S_IMODE(found.st_mode))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


@pytest.mark.parametrize("sort", ["sha256", "blake3"])
def test_every_damaged_blob_is_named_dropped_and_made_again(ws, sort):
    before = ws.digests()
    damaged = [p for p in files(ws.home / "blobs" / sort) if p.stat().st_size]
    for path in damaged:
        flip(path)
    said = "\n".join(cache_verify(ws.home).damaged)
    for path in damaged:
        assert path.name in said
    assert cache_verify(ws.home).damaged == ()
    assert ws.digests() == before
    assert validate(ws.home, "i:latest") == []
    assert cache_verify(ws.home).damaged == ()


def test_a_build_that_meets_a_damaged_blob_never_uses_it(ws, tmp_path):
    """Without a verify: it says what is damaged, makes it again, and what is written out is right."""
    before = ws.digests()
    for path in files(ws.home / "blobs"):
        if path.stat().st_size:
            flip(path)
    output = OutputSpec("oci", str(tmp_path / "out"))
    after = ws.build(outputs=(output,))
    assert "blob-damaged" in ws.warnings()
    assert digests(after) == before
    assert validate(ws.home, str(tmp_path / "out")) == []
    assert digests(ws.build(no_cache=True)) == before
    cache_verify(ws.home)
    assert cache_verify(ws.home).damaged == ()


def test_a_damaged_file_of_a_snapshot_is_named_and_made_again(ws):
    before = ws.digests()
    for path in files(ws.home / "snapshots"):
        if path.name in ("one", "two", "a") and path.stat().st_size:
            flip(path)
    said = "\n".join(cache_verify(ws.home).damaged)
    for name in ("/one", "/two", "/a"):
        assert f"{name} has other content" in said
    assert cache_verify(ws.home).damaged == ()
    assert digests(ws.build(no_cache=True)) == before
    assert cache_verify(ws.home).damaged == ()


@pytest.mark.parametrize("how", ["more", "gone", "mode", "folder"])
def test_any_change_of_a_snapshot_is_found(ws, how):
    before = ws.digests()
    [path] = [p for p in files(ws.home / "snapshots") if p.name == "plain"]
    match how:
        case "more":
            (path.parent / "extra").write_text("x")
        case "gone":
            path.unlink()
        case "mode":
            path.chmod(0o777)
        case "folder":
            path.unlink()
            path.mkdir()
    assert path.parent.name in "\n".join(cache_verify(ws.home).damaged)
    assert cache_verify(ws.home).damaged == ()
    assert digests(ws.build(rebuild=("two",))) == before
    assert cache_verify(ws.home).damaged == ()


@pytest.mark.parametrize("part", ["head", "middle", "tail", "empty", "text", "gone"])
def test_a_damaged_record_index_costs_time_only(ws, part):
    before = ws.digests()
    gc.collect()  # the last of this process's connections
    [path] = (ws.home / "records").glob("*.db")
    for more in ("-wal", "-shm"):
        path.with_name(path.name + more).unlink(missing_ok=True)
    size = path.stat().st_size
    match part:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("this is no database\n" * 1000)
        case "gone":
            path.unlink()
        case _:
            at = {"head": 0, "middle": size // 2, "tail": size - 4096}[part]
            with path.open("r+b") as file:
                file.seek(at)
                file.write(os.urandom(4096))
    assert ws.digests() == before
    cache_verify(ws.home)
    assert cache_verify(ws.home).damaged == ()
    assert digests(ws.build(no_cache=True)) == before
    assert cache_verify(ws.home).damaged == ()


@pytest.mark.parametrize("folder", ["plans", "stat"])
def test_damaged_caches_of_the_context_change_no_result(program, ws, folder):
    """Compiled plans and stat columns: whatever they hold, an edit is seen and the digest is right."""
    program.run("build")
    program.run("build")
    for path in files(program.home / folder):
        flip(path)
    program.run("build")
    ws.write("src/b", "c\n")
    for path in files(program.home / folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    after = program.digests()
    for path in files(program.home / folder):
        path.write_bytes(os.urandom(2000))
    assert program.digests() == after
    fresh = Program(ws.folder, program.home.with_name("fresh"))
    assert fresh.digests() == after


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "generation", "store.json"])
def test_damaged_small_files_are_said_or_mended(ws, name):
    before = ws.digests()
    (ws.home / name).write_bytes(b"\0\xff not what it was")
    with suppress(BuildgraphError):
        cache_verify(ws.home)
    assert digests(ws.build(no_cache=True)) == before
    assert cache_verify(ws.home).damaged == ()
    assert validate(ws.home, "i:latest") == []


def test_a_damaged_base_is_refused(ws):
    ws.build()
    for path in files(ws.folder / "box" / "blobs"):
        flip(path)
    for home in (ws.home, ws.home.with_name("fresh")):
        ws.home = home
        with pytest.raises(BuildgraphError, match="box"):
            ws.build()


def harm(path, how):
    match how:
        case "cut":
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-1])
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize("how", ["cut", "gone", "folder"])
@pytest.mark.parametrize("sort", ["sha256", "blake3"])
def test_a_blob_that_is_no_longer_whole_is_made_again(ws, tmp_path, sort, how):
    before = ws.digests()
    for path in files(ws.home / "blobs" / sort):
        if path.stat().st_size:
            harm(path, how)
    output = OutputSpec("oci", str(tmp_path / "out"))
    assert digests(ws.build(outputs=(output,))) == before
    assert validate(ws.home, str(tmp_path / "out")) == []
    cache_verify(ws.home)
    assert cache_verify(ws.home).damaged == ()
    assert digests(ws.build(rebuild=("two",))) == before
    ws.write("src/a", "other text\n")
    after = ws.digests()
    ws.home = ws.home.with_name("fresh")
    assert ws.digests() == after


@pytest.mark.parametrize("how", ["gone", "file", "empty"])
def test_a_snapshot_that_is_no_folder_of_its_files_is_never_used(ws, how):
    before = ws.digests()
    for path in list((ws.home / "snapshots").iterdir()):
        shutil.rmtree(path)
        if how == "file":
            path.write_text("no folder\n")
        elif how == "empty":
            path.mkdir()
    if how == "empty":
        assert cache_verify(ws.home).damaged
    assert digests(ws.build(rebuild=("two",))) == before
    cache_verify(ws.home)
    assert cache_verify(ws.home).damaged == ()
    assert digests(ws.build(no_cache=True)) == before
