"""Where the layers of bases can be fetched: remembered, kept with the images that name them, gone with these."""

import os

import pytest
from support.stores import CODEC, Descriptor, make

from buildgraph.digest import Digest
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST
from buildgraph.oci.manifest import Manifest
from buildgraph.store.base import Compressed
from buildgraph.store.gc import collect
from buildgraph.store.local import LocalStore
from buildgraph.store.origins import Origin
from buildgraph.store.remotes import LocalKnown
from buildgraph.store.verify import verify

BLOB = Compressed(Digest.sha256(b"layer"), 5, LAYER)


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def image(store, name="a:1"):
    """An image of the store whose one layer is elsewhere."""
    config = store.blobs.put(b"{}")
    manifest = Manifest(Descriptor(CONFIG, config, 2), (Descriptor(LAYER, BLOB.digest, 5),))
    digest = store.blobs.put(manifest.to_bytes())
    store.images.tag(name, Descriptor(MANIFEST, digest, len(manifest.to_bytes())))


def test_the_latest_place_comes_first_and_each_stands_once(store):
    assert store.origins.find(BLOB.digest) is None
    assert store.origins.places(BLOB.digest) == ()
    for place in ("r/a", "r/b", "r/a"):
        store.origins.add([BLOB], place)
    assert store.origins.find(BLOB.digest) == Origin(BLOB, ("r/b", "r/a"))
    for number in range(20):
        store.origins.add([BLOB], f"r/{number}")
    assert len(store.origins.places(BLOB.digest)) == 16
    assert store.origins.places(BLOB.digest)[0] == "r/19"


@pytest.mark.parametrize(
    "value", [None, "x", [], {"size": 1}, {"media_type": LAYER, "size": 5, "places": []}]
)
def test_anything_else_is_no_origin(store, value):
    store.index().set(f"origin:{BLOB.digest}", value)
    assert store.origins.find(BLOB.digest) is None


def test_an_image_without_a_layer_that_a_registry_has_is_whole(store):
    store.origins.add([BLOB], "r/base")
    image(store)
    assert verify(store).findings == ()
    collect(store)
    assert store.origins.places(BLOB.digest) == ("r/base",)
    assert [name for name, _ in store.images.list()] == ["a:1"]


def test_an_image_without_a_layer_that_nobody_has_is_damaged(store):
    image(store)
    (finding,) = verify(store).findings
    assert (finding.sort, finding.name) == ("image", "a:1")
    assert store.images.list() == ()


def test_an_origin_goes_with_the_last_image_that_names_it(store):
    store.origins.add([BLOB], "r/base")
    image(store)
    store.images.untag(["a:1"])
    collect(store)
    assert store.origins.find(BLOB.digest) is None


def test_what_was_seen_in_registries_is_no_litter(store):
    store.seen.add("r/app", BLOB.digest)
    store.seen.save()
    collect(store)
    assert LocalKnown(store.home / "seen", store.temp).has("r/app", BLOB.digest)


def test_the_registry_that_a_base_came_from_is_one_to_mount_from(store):
    store.origins.add([BLOB], "r/base")
    store.origins.add([BLOB], "file:///srv/cache", again=True)
    assert store.seen.places("r/app", [BLOB.digest]) == {BLOB.digest: ("base",)}
    assert not store.seen.has("r/base", BLOB.digest)
    store.seen.save()
    assert [*os.listdir(store.home / "seen")] == ["r"]


def test_documents_of_a_pinned_image_stay_until_space_is_needed(store):
    manifest, config = store.blobs.put(b"manifest"), store.blobs.put(b"config")
    store.origins.keep_image(manifest, config)
    collect(store)
    assert store.blobs.has_all([manifest, config]) == {manifest, config}
    assert verify(store).findings == ()
    store.lease.release()
    collect(store, max_size=0)
    assert not store.blobs.has_all([manifest, config])
    assert store.index().get(f"pinned:{manifest}") is None


def test_a_pin_that_lost_a_document_is_named_and_dropped(store):
    manifest, config = store.blobs.put(b"manifest"), store.blobs.put(b"config")
    store.origins.keep_image(manifest, config)
    store.blobs.delete(config)
    (finding,) = verify(store).findings
    assert (finding.sort, finding.name) == ("record", f"pinned:{manifest}")
    assert store.index().get(f"pinned:{manifest}") is None


def test_places_that_do_not_give_a_blob_are_not_relied_on(store):
    again, base, other = (Compressed(Digest.sha256(text), 1, "x/y") for text in (b"1", b"2", b"3"))
    store.origins.add([again], "bad/cache", again=True)
    store.origins.add([base], "bad/cache")
    store.origins.add([other], "bad/cache", again=True)
    store.origins.add([other], "good/cache", again=True)
    store.origins.distrust(again.digest)
    assert store.origins.places(again.digest) == ()
    assert store.origins.places(base.digest) == ("bad/cache",)
    assert store.origins.find(other.digest) == Origin(other, ("good/cache",), again=True)


def test_what_a_record_left_elsewhere_is_no_litter(store):
    made = make(store, "one")
    store.blobs.delete(made.form.digest)
    store.origins.add([made.form], "h/cache", again=True)
    collect(store)
    assert verify(store).findings == ()
    assert store.layers.compressed(made.layer, CODEC) == made.form
    store.lease.release()
    collect(store, max_size=0)
    assert store.index().get(f"origin:{made.form.digest}") is None
    assert store.index().get(f"compressed:{made.layer}") is None
