import sqlite3

import pytest
from support.stores import CODEC, check_by_file, image, make, overwrite

from buildgraph.digest import Digest
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import Finding, verify


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def check(store):
    done = verify(store, check_by_file)
    again = verify(store, check_by_file)
    assert again.findings == (), "what was found is dropped"
    return list(done.findings)


def test_a_whole_store_passes(store):
    one, two = make(store, "one"), make(store, "two")
    store.images.tag("a:1", image(store, one, two))
    before = store.generation()
    done = verify(store, check_by_file)
    assert done.findings == ()
    assert (done.blobs, done.snapshots, done.unchecked) == (6, 2, 0)
    assert done.records == len(store.index().keys())
    assert store.generation() == before


def test_an_empty_store_passes(store):
    assert check(store) == []


def test_things_without_records_are_no_damage(store):
    store.blobs.put(b"loose")
    (store.snapshots_dir / "sha256-00").mkdir()
    done = verify(store, check_by_file)
    assert done.findings == ()
    assert done.unchecked == 1


def test_a_damaged_layer_blob_costs_its_form_and_its_image(store):
    one = make(store, "one")
    manifest = image(store, one)
    store.images.tag("a:1", manifest)
    overwrite(store.blobs.path(one.form.digest), b"other bytes")
    before = store.generation()
    assert check(store) == [
        Finding("blob", one.form.digest, "its bytes are not what its name says"),
        Finding("record", f"compressed:{one.layer}", f"lacks {one.form.digest}"),
        Finding("image", "a:1", f"lacks {one.form.digest}"),
    ]
    assert store.generation() != before
    assert not store.blobs.has(one.form.digest)
    assert store.images.list() == ()
    assert store.records.by_action(one.result.action), "its snapshot still has the bytes"


def test_a_damaged_tree_costs_the_result(store):
    one = make(store, "one")
    overwrite(store.blobs.path(one.result.tree), b"tree of onf")
    found = check(store)
    assert found[0] == Finding("blob", one.result.tree, "its bytes are not what its name says")
    assert {f.name for f in found[1:]} == {"action:a-one", f"layer:{one.layer}"}


def test_a_damaged_snapshot_is_unpacked_again(store):
    one = make(store, "one")
    (one.snapshot / "file").write_bytes(b"other")
    assert check(store) == [Finding("snapshot", one.snapshot.name, "file has other bytes")]
    assert not one.snapshot.exists()
    assert store.layers.compressed(one.layer, CODEC) == one.form
    assert store.records.by_action(one.result.action)


def test_a_layer_that_lost_its_last_bytes_is_made_again(store):
    one, two = make(store, "one"), make(store, "two")
    overwrite(store.blobs.path(one.form.digest), b"")
    (one.snapshot / "file").write_bytes(b"other")
    found = check(store)
    assert [f.sort for f in found] == ["blob", "snapshot", "record", "record"]
    assert found[-1] == Finding("record", "action:a-one", f"lacks layer {one.layer}")
    assert store.records.by_action(one.result.action) is None
    assert store.records.by_action(two.result.action)


def test_a_missing_manifest_costs_the_tag_of_that_image_only(store):
    one, two = make(store, "one"), make(store, "two")
    gone, kept = image(store, one), image(store, two)
    store.images.tag_all({"gone:1": gone, "kept:1": kept})
    store.blobs.delete(gone.digest)
    assert check(store) == [Finding("image", "gone:1", f"lacks {gone.digest}")]
    assert store.images.list() == (("kept:1", kept),)


def test_every_name_of_a_damaged_image_is_told(store):
    one = make(store, "one")
    gone = image(store, one)
    store.images.tag_all({"gone:1": gone, "gone:2": gone})
    store.blobs.delete(gone.digest)
    assert [found.name for found in check(store)] == ["gone:1", "gone:2"]


def test_a_damaged_record_is_named(store):
    make(store, "one")
    store.index().close()
    with sqlite3.connect(store.home / "records" / "cache.db") as connection:
        connection.execute("UPDATE Cache SET value = x'00' WHERE key = 'document:a-one'")
    connection.close()
    assert check(store) == [Finding("record", "document:a-one", "its checksum does not match")]


def test_a_damaged_index_is_named_and_everything_else_stays(store):
    one = make(store, "one")
    store.index().close()
    overwrite(store.home / "records" / "cache.db", b"no database at all")
    (found,) = check(store)
    assert (found.sort, found.name) == ("record", "records")
    assert store.blobs.has(one.result.tree)


def test_strange_names_among_the_blobs_are_named(store):
    (store.home / "blobs" / "sha256" / "README").write_text("hello")
    (store.home / "blobs" / "blake3" / ("0" * 64)).mkdir()
    assert check(store) == [
        Finding("blob", "blake3:" + "0" * 64, "its bytes are not what its name says"),
        Finding("blob", "sha256/README", "its name is no digest"),
    ]


def test_a_record_of_something_that_never_was_is_named(store):
    nothing = Digest.blake3(b"nothing")
    store.layers.put_recipe(nothing, "r", Digest.sha256(b"tar"))
    assert check(store) == [
        Finding("record", f"recipe:{nothing}:r", f"lacks the tree object {nothing}")
    ]


def test_a_result_whose_only_bytes_were_a_damaged_snapshot_is_made_again(store):
    """Snapshots of built layers are named by their tree."""
    one = make(store, "one")
    store.blobs.delete(one.form.digest)
    store.index().delete(f"compressed:{one.layer}")
    one.snapshot.rename(store.snapshots_dir / f"tree-{one.result.tree.hex}")
    (store.snapshots_dir / f"tree-{one.result.tree.hex}" / "file").write_bytes(b"other")
    assert [(f.sort, f.name) for f in check(store)] == [
        ("snapshot", f"tree-{one.result.tree.hex}"),
        ("record", "action:a-one"),
    ]
