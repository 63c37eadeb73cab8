import json

import pytest
from support.stores import image, make

from buildgraph.errors import MachineError
from buildgraph.oci.descriptor import MANIFEST, Descriptor
from buildgraph.store import images
from buildgraph.store.local import LocalStore


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


@pytest.fixture
def one(store):
    return image(store, make(store, "one"))


@pytest.fixture
def two(store):
    return image(store, make(store, "two"))


def test_a_tag_names_an_image_in_the_index(store, one):
    store.images.tag("shop/api:dev", one)
    assert store.images.resolve("shop/api:dev") == one
    written = json.loads((store.home / "index.json").read_text())
    assert written["schemaVersion"] == 2
    assert written["manifests"] == [
        {
            "mediaType": MANIFEST,
            "digest": one.digest,
            "size": one.size,
            "annotations": {"org.opencontainers.image.ref.name": "shop/api:dev"},
        }
    ]


def test_without_a_tag_there_is_nothing(store):
    assert store.images.resolve("shop/api:dev") is None
    assert store.images.list() == ()
    assert store.images.untag(["shop/api:dev"]) == ()


def test_a_name_moves(store, one, two):
    store.images.tag("shop/api:dev", one)
    store.images.tag("shop/api:dev", two)
    assert store.images.list() == (("shop/api:dev", two),)


def test_many_are_tagged_at_once_and_one_image_has_many_names(store, one, two):
    store.images.tag_all({"a:1": one, "b:1": two, "c:1": one})
    assert dict(store.images.list()) == {"a:1": one, "b:1": two, "c:1": one}


def test_tagging_the_same_again_writes_nothing(store, one):
    store.images.tag("a:1", one)
    before = (store.home / "index.json").stat()
    store.images.tag("a:1", one)
    assert (store.home / "index.json").stat().st_ino == before.st_ino


def test_untagging_raises_the_generation(store, one):
    store.images.tag("a:1", one)
    before = store.generation()
    assert store.images.untag(["a:1", "b:1"]) == ("a:1",)
    assert store.generation() != before
    assert store.images.list() == ()


def test_what_others_wrote_is_kept(store, one):
    foreign = {
        "schemaVersion": 2,
        "x-tool": {"b": 1},
        "manifests": [
            {"mediaType": MANIFEST, "digest": one.digest, "size": one.size, "x-own": [1]}
        ],
    }
    (store.home / "index.json").write_text(json.dumps(foreign))
    store.images.tag("a:1", one)
    written = json.loads((store.home / "index.json").read_text())
    assert written["x-tool"] == {"b": 1}
    assert written["manifests"][0] == foreign["manifests"][0]
    assert len(store.images.roots()) == 2
    assert len(store.images.list()) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"manifests": 7}', b"\xff", b"[" * 100_000])
def test_a_damaged_index_is_kept_aside_with_a_warning(store, one, content):
    told = []
    store.observer = told.append
    (store.home / "index.json").write_bytes(content)
    assert store.images.resolve("a:1") is None
    store.images.tag("a:1", one)
    assert store.images.resolve("a:1") == one
    assert [event.code for event in told] == ["images-damaged"]
    (aside,) = store.home.glob("index.json.damaged-*")
    assert aside.read_bytes() == content


def test_an_index_too_big_for_other_tools_is_refused(store, one, monkeypatch):
    monkeypatch.setattr(images, "LARGEST", 400)
    store.images.tag("a:1", one)
    with pytest.raises(MachineError) as caught:
        store.images.tag("b:1", one)
    assert caught.value.code == "too-many-images"
    assert store.images.resolve("a:1") == one


def test_the_descriptor_keeps_its_own_annotations(store, one):
    noted = Descriptor(one.media_type, one.digest, one.size, {"key": "value"})
    store.images.tag("a:1", noted)
    assert store.images.resolve("a:1") == noted


def test_a_name_that_nobody_gave_is_told_apart(store, one, two):
    store.images.tag_all({"a:1": one, "b:1": two}, implied={"b:1"})
    assert dict(store.images.list()) == {"a:1": one, "b:1": two}
    assert store.images.resolve("a:1", given=True) == one
    assert store.images.resolve("b:1") == two
    assert store.images.resolve("b:1", given=True) is None
    store.images.tag("b:1", two)
    assert store.images.resolve("b:1", given=True) == two


def test_a_new_name_that_somebody_gave_raises_the_generation(store, one, two):
    before = store.generation()
    store.images.tag_all({"a:1": one}, implied={"a:1"})
    assert store.generation() == before
    store.images.tag_all({"b:1": two, "c:1": two}, implied={"b:1"})
    assert store.generation() != before
