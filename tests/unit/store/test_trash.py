import os
import stat

import pytest

from buildgraph.store.local import LocalStore


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def test_what_is_thrown_can_be_restored(store):
    snapshot = store.snapshots_dir / "sha256-00"
    (snapshot / "etc").mkdir(parents=True)
    thrown = store.trash.throw(snapshot)
    assert not snapshot.exists()
    store.trash.restore(thrown, snapshot)
    assert (snapshot / "etc").is_dir()


def test_throwing_what_is_gone_is_none(store):
    assert store.trash.throw(store.snapshots_dir / "nothing") is None


def test_what_was_made_again_meanwhile_stays(store):
    snapshot = store.snapshots_dir / "sha256-00"
    (snapshot / "old").mkdir(parents=True)
    thrown = store.trash.throw(snapshot)
    (snapshot / "new").mkdir(parents=True)
    store.trash.restore(thrown, snapshot)
    assert [path.name for path in snapshot.iterdir()] == ["new"]


def test_a_directory_that_its_owner_may_not_write_to_keeps_its_mode(store, monkeypatch):
    snapshot = store.snapshots_dir / "sha256-00"
    snapshot.mkdir()
    snapshot.chmod(0o555)
    rename = os.rename

    def as_owner(source, target):
        """For root, too, what others meet: `..` of a moved directory is written."""
        if not stat.S_IMODE(os.lstat(source).st_mode) & stat.S_IWUSR:
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", as_owner)
    thrown = store.trash.throw(snapshot)
    assert not snapshot.exists()
    store.trash.restore(thrown, snapshot)
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o555
    assert store.trash.remove(snapshot)


def died(store):
    """Its session ends without a word, and another cleans up; the names that are left in the trash."""
    os.close(store.lease._fd)
    store.lease._fd = -1
    LocalStore.open(store.home).close()
    return os.listdir(store.home / "trash")


def test_what_was_on_trial_when_its_session_died_comes_back(store):
    snapshot = store.snapshots_dir / "sha256-00"
    (snapshot / "etc").mkdir(parents=True)
    store.trash.throw(snapshot, on_trial=True)
    assert died(store) == []
    assert (snapshot / "etc").is_dir()


def test_what_was_made_again_while_it_was_on_trial_stays(store):
    snapshot = store.snapshots_dir / "sha256-00"
    (snapshot / "old").mkdir(parents=True)
    store.trash.throw(snapshot, on_trial=True)
    (snapshot / "new").mkdir(parents=True)
    assert died(store) == []
    assert [path.name for path in snapshot.iterdir()] == ["new"]


def test_what_was_being_deleted_when_its_session_died_goes(store, monkeypatch):
    snapshot = store.snapshots_dir / "sha256-00"
    (snapshot / "etc").mkdir(parents=True)
    thrown = store.trash.throw(snapshot, on_trial=True)
    monkeypatch.setattr("buildgraph.store.trash._delete_one", lambda *_: ([], False))
    assert not store.trash.delete(thrown)
    monkeypatch.undo()
    assert died(store) == []
    assert not snapshot.exists()


def test_folders_a_thousand_deep_and_closed_go(store):
    top = store.snapshots_dir / "deep"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for depth in range(1200):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        if depth:
            os.fchmod(fd, 0)
        os.close(fd)
        fd = below
    os.close(fd)
    assert store.trash.remove(top)
    assert not os.listdir(store.home / "trash")


def test_links_are_deleted_and_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    top = store.snapshots_dir / "links"
    top.mkdir()
    (top / "up").symlink_to(outside)
    os.mkfifo(top / "fifo")
    assert store.trash.remove(top)
    assert (outside / "kept").is_dir()


def test_what_may_not_be_deleted_is_told_and_stays_for_later(store, monkeypatch):
    top = store.snapshots_dir / "foreign"
    top.mkdir()
    (top / "file").touch()
    monkeypatch.setattr(
        os, "unlink", lambda *a, **k: (_ for _ in ()).throw(PermissionError(1, "no"))
    )
    assert not store.trash.remove(top)
    monkeypatch.undo()
    assert len(os.listdir(store.home / "trash")) == 1
