import pytest
from support.stores import CODEC, make

from buildgraph.digest import Digest
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.local import LocalStore

LAYER = Digest.sha256(b"tar")


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def test_facts_come_back_while_the_tree_is_here(store):
    tree = store.blobs.put(b"tree", "blake3")
    assert store.layers.facts(LAYER) is None
    store.layers.put_facts(LAYER, LayerFacts(tree, 10))
    store.layers.put_facts(LAYER, LayerFacts(tree, 10))
    assert store.layers.facts(LAYER) == LayerFacts(tree, 10)
    store.blobs.delete(tree)
    assert store.layers.facts(LAYER) is None


def test_a_recipe_becomes_one_layer_per_resolution(store):
    recipe = Digest.blake3(b"recipe")
    other = Digest.sha256(b"other tar")
    store.layers.put_recipe(recipe, "r1", LAYER)
    store.layers.put_recipe(recipe, "r2", other)
    assert store.layers.of_recipe(recipe, "r1") == LAYER
    assert store.layers.of_recipe(recipe, "r2") == other
    assert store.layers.of_recipe(recipe, "r3") is None


def test_the_first_compressed_form_stays(store):
    first = Compressed(store.blobs.put(b"gzip 1"), 6, "x/y")
    second = Compressed(store.blobs.put(b"gzip 2"), 6, "x/y")
    assert store.layers.put_compressed(LAYER, "gzip", first) == first
    assert store.layers.put_compressed(LAYER, "gzip", second) == first
    assert store.layers.put_compressed(LAYER, "zstd", second) == second
    assert store.layers.forms(LAYER) == {"gzip": first, "zstd": second}


def test_a_form_whose_blob_is_gone_is_a_miss_and_does_not_win(store):
    made = make(store, "one")
    store.blobs.delete(made.form.digest)
    assert store.layers.compressed(made.layer, CODEC) is None
    again = Compressed(store.blobs.put(b"again"), 5, "x/y")
    assert store.layers.put_compressed(made.layer, CODEC, again) == again


def test_an_index_that_another_made_comes_back(store):
    assert store.layers.dirs(LAYER) is None
    store.layers.put_dirs(LAYER, b"index")
    assert store.layers.dirs(LAYER) == b"index"
    store.index().set(f"dirs:{LAYER}", {"no": "bytes"})
    assert store.layers.dirs(LAYER) is None


@pytest.mark.parametrize("value", [None, "x", [], {"gzip": None}, {"gzip": {"digest": "../x"}}])
def test_nonsense_is_a_miss(store, value):
    store.index().set(f"compressed:{LAYER}", value)
    store.index().set(f"layer:{LAYER}", value)
    assert store.layers.forms(LAYER) == {}
    assert store.layers.facts(LAYER) is None


def test_a_form_that_is_elsewhere_is_known_as_long_as_somebody_has_it(store):
    away = Compressed(Digest.sha256(b"away"), 4, "x/y")
    store.layers.put_away(LAYER, "gzip", away)
    assert store.layers.compressed(LAYER, "gzip") is None
    store.origins.add([away], "h/p", again=True)
    store.layers.put_away(LAYER, "gzip", away)
    assert store.layers.compressed(LAYER, "gzip") == away
    assert store.layers.forms(LAYER) == {}
    here = Compressed(store.blobs.put(b"here"), 4, "x/y")
    assert store.layers.put_compressed(LAYER, "gzip", here) == here
    store.layers.put_away(LAYER, "gzip", away)
    assert store.layers.compressed(LAYER, "gzip") == here
    store.layers.put_away(LAYER, "zstd", away)
    assert list(store.layers.known(LAYER)) == ["gzip", "zstd"]
    store.origins.distrust(away.digest)
    assert list(store.layers.known(LAYER)) == ["gzip"]
    store.layers.forget_lost()
    store.origins.add([away], "h/p")
    assert list(store.layers.known(LAYER)) == ["gzip"]
    store.blobs.delete(here.digest)
    store.layers.forget_lost()
    assert store.index().get(f"compressed:{LAYER}") is None
