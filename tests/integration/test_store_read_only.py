"""Commands that only ask make nothing and change nothing, and need no store that can be written."""

import json
import os
import sqlite3
import subprocess
import tempfile
from contextlib import closing

import pytest
from support.capability import require, require_root
from support.program import Program, ordinary_user

from buildgraph.errors import MachineError
from buildgraph.store.local import LocalStore
from buildgraph.store.reading import reading

BUILDFILE = """
[base.empty]
scratch = true
[step.files]
copy = [{ from = "src", to = "/src" }]
[image.app]
on = ["empty", "files"]
tags = ["app:1"]
"""
ASKING = (
    ("plan", "--json"),
    ("why", "app"),
    ("graph",),
    ("ls",),
    ("query", "deps", "app"),
    ("images",),
    ("cache", "info"),
    ("cache", "ls", "--json"),
    ("cache", "verify"),
)
OF_IMAGES = (("inspect", "app:1"), ("history", "app:1"), ("validate", "app:1"))


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / "ws"
    (folder / "src").mkdir(parents=True)
    (folder / "src/file").write_text("x")
    (folder / "Buildfile.toml").write_text(f"buildfile = 1\n{BUILDFILE}")
    return Program(folder, tmp_path / "home")


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """Where programs put what is theirs for a while."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def store(program, temp):
    """The store of a build; the program sees it on a file system that takes no writes."""
    require("mount", "umount")
    require_root()
    program.run("build")
    home, program.home = program.home, program.home.with_name("mounted")
    program.home.mkdir()
    subprocess.run(["mount", "--bind", home, program.home], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", program.home], check=True)
    yield home
    subprocess.run(["umount", program.home], check=True)


def listed(folder):
    """Every path, and how it looks."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            full = os.path.join(path, name)
            if name.startswith("cache.db-"):  # SQLite's, of a program that ended at once
                continue
            stat = os.lstat(full)
            found[os.path.relpath(full, folder)] = (stat.st_mode, stat.st_ino, stat.st_mtime_ns)
    return found


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_where_no_store_is_none_is_made(program, temp, words):
    program.run(*words)
    assert not program.home.exists()
    assert os.listdir(temp) == []


@pytest.mark.parametrize("words", OF_IMAGES, ids=" ".join)
def test_where_no_store_is_no_image_is(program, temp, words):
    assert "error[unknown-image]" in program.run(*words, code=2).stderr
    assert not program.home.exists()


def test_a_folder_that_is_no_store_is_refused(program):
    program.home.mkdir()
    (program.home / "mine").touch()
    assert "error[store-unusable]" in program.run("plan", code=3).stderr
    assert os.listdir(program.home) == ["mine"]


def test_what_asks_changes_nothing(program, temp):
    program.run("build")
    before = listed(program.home)
    for words in (*ASKING, *OF_IMAGES):
        program.run(*words)
        assert listed(program.home).keys() == before.keys()
    assert os.listdir(temp) == []


def test_a_read_only_store_answers_as_one_that_can_be_written(program, temp, store):
    before = listed(store)
    (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
    assert (plan["id"], plan["decision"]) == ("files", "reuse")
    entries = json.loads(program.run("cache", "ls", "--json").stdout)["records"]
    assert "files" in [entry["step"] for entry in entries]
    assert "app:1" in program.run("images").stdout
    assert str(program.home) in program.run("cache", "info").stdout
    for words in (*ASKING, *OF_IMAGES):
        program.run(*words)
    assert listed(store) == before
    assert os.listdir(temp) == []


def test_what_changed_is_told_too(program, temp, store):
    (program.folder / "src/file").write_text("changed")
    (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
    assert plan["decision"] == "execute"
    assert "src/file" in plan["reason"]
    assert "error[store-not-writable]" in program.run("build", code=3).stderr


def test_damage_is_told_and_stays(program, temp, store):
    config = json.loads(program.run("inspect", "app:1").stdout)["manifest"]["config"]["digest"]
    blob = store / "blobs" / config.replace(":", "/")
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    assert "error[blob-damaged]" in program.run("inspect", "app:1", code=1).stderr
    said = program.run("cache", "verify", code=5).stderr
    assert config in said
    assert "takes no writes" in said
    assert blob.read_bytes() == b"damaged"


def test_an_index_that_another_process_writes_is_read(program, store):
    """Then SQLite has a log beside it, which holds what is new."""
    with LocalStore.open(store) as other:
        other.index().set("document:x", b"new")
        with reading(program.home) as seen:
            assert seen.index().get("document:x") == b"new"
        (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
    assert plan["decision"] == "reuse"


def checkpoint(store):
    """Leave the index as the last of all processes does."""
    with closing(sqlite3.connect(store / "records/cache.db")) as last:
        last.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not (store / "records/cache.db-wal").exists()


def test_an_index_that_nobody_has_open_is_read(program, store):
    checkpoint(store)
    (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
    assert plan["decision"] == "reuse"


def test_an_index_whose_log_nobody_put_into_it_is_read(program, store):
    """What a killed process leaves."""
    with LocalStore.open(store) as other:
        other.index().set("document:x", b"new")
        log = store / "records/cache.db-wal"
        left = log.read_bytes()
    checkpoint(store)
    log.write_bytes(left)
    with reading(program.home) as seen:
        assert seen.index().get("document:x") == b"new"


def test_what_is_set_is_known_as_long_as_it_is_looked_at(program, store):
    before = listed(store)
    with reading(program.home) as seen:
        index = seen.index()
        there = index.keys()
        index.set("document:x", b"new")
        index.delete(there[0])
        assert index.get("document:x") == b"new"
        assert index.get(there[0]) is None
        assert index.keys() == (*there[1:], "document:x")
        with index.transaction():
            index.delete("document:x")
        assert index.keys() == there[1:]
    assert listed(store) == before


@pytest.mark.parametrize("damage", ["row", "file", "table"])
def test_a_damaged_index_is_told_and_stays(program, store, damage):
    checkpoint(store)
    file = store / "records/cache.db"
    with closing(sqlite3.connect(file)) as last:
        match damage:
            case "row":
                last.execute("UPDATE Cache SET value = X'00' WHERE key LIKE 'action:%'")
                last.commit()
            case "table":
                last.execute("DROP TABLE Cache")
    checkpoint(store)
    if damage == "file":
        file.write_bytes(os.urandom(10_000))
    content = file.read_bytes()
    (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
    assert plan["decision"] == "execute"
    assert "record" in program.run("cache", "verify", code=5).stderr
    assert file.read_bytes() == content


def test_images_leave_a_store_that_takes_no_writes(program, temp, store):
    before = listed(store)
    out = temp.parent
    program.run("save", "app:1", "-o", out / "app.tar")
    program.run("copy", "store:app:1", f"oci:{out / 'layout'}")
    for path in ("app.tar", "layout"):
        program.run("validate", out / path)
    assert "error[store-not-writable]" in program.run("load", "-i", out / "app.tar", code=3).stderr
    assert "error[store-not-writable]" in program.run("tag", "app:1", "b", code=3).stderr
    assert listed(store) == before
    assert os.listdir(temp) == []


def test_an_image_is_copied_where_no_store_is(program, temp):
    other = Program(program.folder, program.home.with_name("other"))
    other.run("build", "app", "-o", f"type=oci,dest={temp.parent}/a")
    program.run("copy", f"oci:{temp.parent}/a", f"oci:{temp.parent}/b")
    program.run("validate", f"{temp.parent}/b")
    assert not program.home.exists()


def test_versions_are_locked_beside_a_store_that_takes_no_writes(program, temp, store):
    before = listed(store)
    program.run("lock")
    assert listed(store) == before
    assert os.listdir(temp) == []


def test_doctor_says_that_a_store_takes_no_writes(program, store):
    found = json.loads(program.run("doctor", "--json", code=3).stdout)["findings"]
    assert found[0]["capability"] == "store"
    assert found[0]["ok"] is False
    assert str(program.home) in found[0]["detail"]
    assert found[0]["fix"]
    assert [each["capability"] for each in found[1:]]


def test_the_folder_of_who_was_killed_goes(program, temp):
    (temp / "buildgraph-reading-x/store").mkdir(parents=True)
    (temp / "buildgraph-other").mkdir()
    program.run("images")
    assert os.listdir(temp) == ["buildgraph-other"]


def test_a_store_without_rights_answers_its_owner():
    with ordinary_user(BUILDFILE) as program:
        program.run("build", "app")
        subprocess.run(["chmod", "-R", "a-w", program.home], check=True)
        for words in (*ASKING, *OF_IMAGES):
            program.run(*words)
        (plan,) = json.loads(program.run("plan", "--json").stdout)["steps"]
        assert plan["decision"] == "reuse"


def test_where_no_temporary_folder_can_be_it_is_said(program, temp, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temp / "none"))
    with pytest.raises(MachineError) as caught, reading(program.home):
        pass
    assert caught.value.code == "no-temporary-folder"
    assert caught.value.hint
