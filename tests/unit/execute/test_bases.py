"""Layers of bases: read when something needs them, once, and kept only where somebody will want them again."""

import gzip
import io
import threading
from contextlib import contextmanager

import pytest
from support.capability import require_root
from support.images import tar_of

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.execute.bases import BaseLayer, BaseLayers
from buildgraph.fs import dirs, tree
from buildgraph.graph.step import StepId
from buildgraph.oci.descriptor import LAYER
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.base import Compressed
from buildgraph.store.local import LocalStore

STEP = StepId("base:os")
unpacking = pytest.mark.usefixtures("root")


class Source:
    """Serves layers from memory; ``opened`` are those that were asked for."""

    def __init__(self) -> None:
        self.contents: dict[Digest, bytes] = {}
        self.opened: list[Digest] = []
        self.together = threading.Barrier(1)

    @contextmanager
    def open_blob(self, digest: Digest):
        self.opened.append(digest)
        self.together.wait(timeout=30)
        yield io.BytesIO(self.contents[digest])


class Indexes:
    def __init__(self) -> None:
        self.kept: dict[Digest, tree.Tree] = {}

    def dirs(self, diff_id: Digest):
        return self.kept.get(diff_id)

    def keep_dirs(self, diff_id: Digest, layer: tree.Tree) -> None:
        self.kept[diff_id] = layer


@pytest.fixture
def root():
    """Layers belong to root, so only root can unpack them."""
    require_root()


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


@pytest.fixture
def source():
    return Source()


def layer(source: Source, files: dict[str, str], place: str = "r/os") -> BaseLayer:
    plain = tar_of(files)
    packed = gzip.compress(plain, mtime=0)
    blob = Compressed(Digest.sha256(packed), len(packed), f"{LAYER}+gzip")
    source.contents[blob.digest] = packed
    return BaseLayer(Digest.sha256(plain), blob, source, place)


def bases(store, *layers: BaseLayer, indexes=None) -> BaseLayers:
    snapshots = Snapshots(store.snapshots_dir, store.tmp)
    return BaseLayers({STEP: layers}, store, snapshots, indexes or Indexes())


def test_a_tree_is_learned_once_and_the_bytes_are_not_kept(store, source):
    one = layer(source, {"etc/": "", "etc/x": "x"})
    made = bases(store, one)
    assert not made.has_dirs(one.diff_id)
    assert [entry.path for entry in made.tree(one.diff_id)] == [b"etc", b"etc/x"]
    assert made.dirs(one.diff_id) == made.tree(one.diff_id)
    assert bases(store, one).has_dirs(one.diff_id)
    assert source.opened == [one.blob.digest]
    assert not store.blobs.has(one.blob.digest)


def test_what_was_learned_is_kept_beside_the_workspace_too(store, source):
    one, indexes = layer(source, {"etc/": "", "etc/x": "x"}), Indexes()
    content = bases(store, one, indexes=indexes).tree(one.diff_id)
    assert indexes.kept == {one.diff_id: dirs.of(content)}


def test_an_index_answers_without_the_layer(store, source):
    one, indexes = layer(source, {"etc/": ""}), Indexes()
    indexes.kept[one.diff_id] = (tree.Entry(b"kept", tree.DIRECTORY, 0o700),)
    made = bases(store, one, indexes=indexes)
    made.learn_dirs([one.diff_id])
    assert made.dirs(one.diff_id) == indexes.kept[one.diff_id]
    assert source.opened == []


@unpacking
def test_a_layer_that_will_be_mounted_is_unpacked_in_the_same_pass(store, source):
    one = layer(source, {"etc/": "", "etc/x": "x"})
    made = bases(store, one)
    made.expected.add(one.diff_id)
    made.learn_dirs([one.diff_id])
    assert (made.snapshot(one.diff_id) / "etc/x").read_text() == "x"
    assert source.opened == [one.blob.digest]
    assert store.blobs.has(one.blob.digest)


@unpacking
def test_a_snapshot_is_made_from_the_blob_that_is_here(store, source):
    one = layer(source, {"etc/": ""})
    store.blobs.put(source.contents[one.blob.digest])
    bases(store, one).snapshot(one.diff_id)
    assert source.opened == []


@unpacking
def test_layers_come_at_the_same_time(store, source):
    four = [layer(source, {f"{n}/": ""}) for n in range(4)]
    source.together = threading.Barrier(4)
    bases(store, *four).unpack_all(one.diff_id for one in four)
    assert len(source.opened) == 4


def test_an_image_may_name_what_a_registry_has(store, source):
    far, near = layer(source, {"a/": ""}), layer(source, {"b/": ""}, place="")
    made = bases(store, far, near)
    assert made.blob(STEP, far.diff_id) == far.blob
    assert source.opened == []
    assert store.origins.places(far.blob.digest) == ("r/os",)
    assert made.blob(STEP, near.diff_id) == near.blob
    assert store.blobs.has(near.blob.digest)


def test_each_base_names_its_own_form_of_a_layer(store, source):
    one = layer(source, {"a/": ""})
    other = BaseLayer(one.diff_id, Compressed(Digest.sha256(b"z"), 1, LAYER), source, "r/other")
    snapshots = Snapshots(store.snapshots_dir, store.tmp)
    made = BaseLayers({STEP: (one,), StepId("base:two"): (other,)}, store, snapshots)
    assert made.blob(STEP, one.diff_id) == one.blob
    assert made.blob(StepId("base:two"), one.diff_id) == other.blob


@unpacking
def test_bytes_that_are_not_the_layers_are_refused(store, source):
    one, other = layer(source, {"a/": ""}), layer(source, {"b/": ""})
    source.contents[one.blob.digest] = source.contents[other.blob.digest]
    made = bases(store, one)
    for ask in (made.tree, made.snapshot):
        with pytest.raises(ContentError) as caught:
            ask(one.diff_id)
        assert caught.value.code == "diff-id-mismatch"
    assert not store.blobs.has(one.blob.digest)
    assert store.layers.facts(one.diff_id) is None
    assert list(store.snapshots_dir.iterdir()) == []


@unpacking
def test_the_same_layer_compressed_otherwise_is_not_kept_as_the_blob(store, source):
    one = layer(source, {"a/": ""})
    source.contents[one.blob.digest] = gzip.compress(tar_of({"a/": ""}), 1, mtime=9)
    with pytest.raises(ContentError) as caught:
        bases(store, one).snapshot(one.diff_id)
    assert caught.value.code == "blob-damaged"
    assert not store.blobs.has(one.blob.digest)
