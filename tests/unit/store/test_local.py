import json
import os
import stat
import subprocess
import sys

import pytest

from buildgraph.errors import MachineError
from buildgraph.store.local import FORMAT, LocalStore


@pytest.fixture
def home(tmp_path):
    return tmp_path / "data" / "home"


def test_a_new_home_is_private_and_an_oci_layout(home):
    LocalStore.open(home).close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert json.loads((home / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((home / "store.json").read_text()) == {"format": FORMAT}
    assert (home / "blobs" / "sha256").is_dir()


def test_a_home_is_private_whatever_the_umask(home):
    before = os.umask(0o077)
    try:
        LocalStore.open(home).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    LocalStore.open(home).close()


def test_a_store_of_a_newer_format_is_refused(home):
    LocalStore.open(home).close()
    (home / "store.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(MachineError, match=f"has format {FORMAT + 1}") as caught:
        LocalStore.open(home)
    assert caught.value.code == "store-too-new"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_format_file_does_not_stop_anybody(home, content):
    LocalStore.open(home).close()
    (home / "store.json").write_bytes(content)
    LocalStore.open(home).close()


def test_a_file_in_the_place_of_the_home_is_named(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(MachineError, match="home") as caught:
        LocalStore.open(tmp_path / "home")
    assert caught.value.code == "store-unusable"


def test_ids_are_recorded_once_and_others_refused(home):
    with LocalStore.open(home) as store:
        store.bind_ids("root")
        store.bind_ids("root")
        with pytest.raises(MachineError, match="belongs to the ids root, not to 100000") as caught:
            store.bind_ids("100000+65536")
    assert caught.value.code == "store-ids-differ"


def test_every_raise_makes_a_generation_that_never_was(home):
    with LocalStore.open(home) as store:
        seen = [store.generation()]
        for _ in range(5):
            store.raise_generation()
            seen.append(store.generation())
    assert len(set(seen)) == 6


def test_the_session_leaves_no_temporary_file_and_no_lease(home):
    with LocalStore.open(home) as store:
        store.temp().write_bytes(b"left")
        (store.tmp / "deep" / "er").mkdir(parents=True)
        (store.tmp / "deep" / "er").chmod(0)
        assert list((home / "leases").glob("*.lease"))
    assert not list((home / "tmp").iterdir())
    assert not list((home / "trash").iterdir())
    assert not list((home / "leases").glob("*.lease"))


def test_closing_twice_is_fine(home):
    store = LocalStore.open(home)
    store.blobs.put(b"x")
    store.close()
    store.close()


def test_what_a_dead_session_left_goes_with_the_next(home):
    with LocalStore.open(home):
        pass
    (home / "tmp" / "1-dead").mkdir()
    (home / "tmp" / "1-dead" / "half").write_bytes(b"half a blob")
    (home / "leases" / "1-dead.lease").write_text("sha256:00\n")
    (home / "leases" / "abc.flight").touch()
    (home / "trash" / "1-dead.0123").mkdir()
    LocalStore.open(home).close()
    assert not list((home / "tmp").iterdir())
    assert not list((home / "trash").iterdir())
    assert {path.suffix for path in (home / "leases").iterdir()} == {".lock"}


def test_a_session_spares_the_files_of_another(home):
    with LocalStore.open(home) as one:
        mine = one.temp()
        mine.write_bytes(b"in use")
        LocalStore.open(home).close()
        assert mine.read_bytes() == b"in use"
        assert one.lease.path.exists()


def test_snapshots_are_found_by_name(home):
    with LocalStore.open(home) as store:
        assert store.snapshot("sha256-00") is None
        (store.snapshots_dir / "sha256-00").mkdir()
        assert store.snapshot("sha256-00") == store.snapshots_dir / "sha256-00"
        assert "sha256-00\n" in store.lease.path.read_text()


def test_opening_loads_nothing_heavy(home):
    script = (
        "import sys; from pathlib import Path; from buildgraph.store.local import LocalStore;"
        f"s = LocalStore.open(Path({str(home)!r})); s.blobs.put(b'x'); s.close();"
        "print([m for m in ('diskcache', 'sqlite3', 'asyncio', 'networkx', 'pickle') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
