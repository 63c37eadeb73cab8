import errno
import os
import stat

import pytest
from support.stores import overwrite

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, MachineError
from buildgraph.store import atomic
from buildgraph.store.local import LocalStore


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def test_a_blob_lies_where_an_oci_layout_has_it(store):
    digest = store.blobs.put(b"hello")
    path = store.home / "blobs" / "sha256" / digest.hex
    assert path.read_bytes() == b"hello"
    assert store.blobs.path(digest) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_finished_file_is_adopted_and_gone(store):
    temp = store.blobs.temp()
    temp.write_bytes(b"layer")
    digest = Digest.sha256(b"layer")
    store.blobs.adopt(temp, digest)
    assert not temp.exists()
    assert store.blobs.read(digest) == b"layer"


def test_adopting_twice_is_fine_and_heals(store):
    digest = store.blobs.put(b"layer")
    overwrite(store.blobs.path(digest), b"lxyer")
    temp = store.blobs.temp()
    temp.write_bytes(b"layer")
    store.blobs.adopt(temp, digest)
    assert store.blobs.read(digest) == b"layer"


def test_many_blobs_come_back_in_order(store):
    contents = [bytes([n]) * n for n in range(50)]
    assert store.blobs.put_many(contents) == tuple(Digest.sha256(c) for c in contents)


def test_a_digest_that_is_a_path_is_refused(store):
    for text in ("sha256:../../index.json", "sha256:", "md5:00", "../x:y"):
        with pytest.raises(ContentError):
            store.blobs.has(Digest(text))


def test_a_link_or_folder_in_the_place_of_a_blob_is_no_blob(store, tmp_path):
    digest = Digest.sha256(b"x")
    (tmp_path / "x").write_bytes(b"x")
    (store.home / "blobs" / "sha256" / digest.hex).symlink_to(tmp_path / "x")
    assert not store.blobs.has(digest)


def test_what_is_looked_for_is_in_the_lease_before(store, monkeypatch):
    digest = Digest.sha256(b"x")
    seen = []
    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda *a, **k: (seen.append(store.lease.path.read_text()), real(*a, **k))[1]
    )
    store.blobs.has(digest)
    assert digest in seen[0]


def test_damage_raises_the_generation_and_warns(store):
    told = []
    store.observer = told.append
    digest = store.blobs.put(b"hello")
    overwrite(store.blobs.path(digest), b"jello")
    before = store.generation()
    with pytest.raises(ContentError):
        store.blobs.read(digest)
    assert store.generation() != before
    assert [event.code for event in told] == ["blob-damaged"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "no-space"),
        (errno.EDQUOT, "no-space"),
        (errno.EROFS, "store-not-writable"),
        (errno.EIO, "store-unusable"),
    ],
)
def test_what_the_disk_refuses_is_said_and_leaves_nothing(store, monkeypatch, number, code):
    def refuse(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic.os, "fsync", refuse)
    with pytest.raises(MachineError) as caught:
        store.blobs.put(b"hello")
    assert caught.value.code == code
    assert str(store.home) in caught.value.message
    monkeypatch.undo()
    assert not list(store.tmp.iterdir())
    assert not store.blobs.has(Digest.sha256(b"hello"))


def test_a_missing_blob_folder_is_made_again(store):
    (store.home / "blobs" / "sha256").rmdir()
    assert store.blobs.read(store.blobs.put(b"x")) == b"x"


def test_a_blob_of_another_size_is_damaged_unread(tmp_path):
    seen = []
    with LocalStore.open(tmp_path / "home", seen.append) as store:
        whole, cut, gone = (store.blobs.put(content) for content in (b"one", b"two", b"three"))
        overwrite(store.blobs.path(cut), b"tw")
        store.blobs.delete(gone)
        assert store.blobs.whole({whole: 3, cut: 3, gone: 5}) == {whole}
        assert not store.blobs.has(cut)
        assert [event.code for event in seen] == ["blob-damaged"]
        store.miss(gone)
        assert cut in seen[0].message
        assert seen[1].code == "blob-missing"
        assert gone in seen[1].message
