import pytest

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.image.assemble import LayerBlob, assemble, base_layers, index_of, timestamp
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from buildgraph.oci.manifest import Index, Manifest
from buildgraph.store.base import Compressed

AMD = Platform("linux", "amd64")


def sha(text: str) -> Digest:
    return Digest.sha256(text.encode())


def layer(name: str, media_type: str = LAYER + "+gzip", *, empty: bool = False) -> LayerBlob:
    blob = None if empty else Compressed(sha(name + ".gz"), len(name), media_type)
    return LayerBlob(sha(name), blob, f"step {name}", empty)


def test_scratch_image():
    made = assemble(Config.empty(AMD), [layer("a"), layer("b")], annotations={"k": "v"})
    assert Manifest.parse(made.manifest_bytes, MANIFEST) == made.manifest
    assert Config.parse(made.config_bytes) == made.config
    assert made.manifest.config == Descriptor(
        CONFIG, Digest.sha256(made.config_bytes), len(made.config_bytes)
    )
    assert made.config.diff_ids == (sha("a"), sha("b"))
    assert made.config.created == "1980-01-01T00:00:00Z"
    assert [h.created_by for h in made.config.history] == ["step a", "step b"]
    assert {h.created for h in made.config.history} == {"1980-01-01T00:00:00Z"}
    assert made.descriptor.platform == AMD
    assert made.digest == Digest.sha256(made.manifest_bytes)
    assert made.size == len(made.manifest_bytes) + len(made.config_bytes) + 2


def test_base_history_is_kept_and_own_entries_follow():
    history = (
        History("2020-01-01T00:00:00Z", "ADD rootfs"),
        History(created_by="CMD", empty_layer=True),
    )
    base = Config("amd64", "linux", diff_ids=(sha("a"),), history=history)
    made = assemble(base, [layer("a"), layer("b")], base=base)
    assert made.config.history[:2] == history
    assert [h.created_by for h in made.config.history[2:]] == ["step b"]


@pytest.mark.parametrize(
    "base",
    [
        Config("amd64", "linux", diff_ids=(sha("other"),), history=(History(created_by="x"),)),
        Config("amd64", "linux", diff_ids=(sha("a"),)),
        Config("amd64", "linux", diff_ids=(sha("a"),), history=(History(), History())),
    ],
)
def test_history_that_does_not_fit_the_layers_is_replaced(base):
    made = assemble(base, [layer("a"), layer("b")], base=base)
    assert [h.created_by for h in made.config.history] == ["step a", "step b"]


def test_empty_layers_are_history_alone():
    made = assemble(Config.empty(AMD), [layer("a"), layer("b", empty=True)])
    assert len(made.manifest.layers) == len(made.config.diff_ids) == 1
    assert [h.empty_layer for h in made.config.history] == [False, True]


def test_dockers_layer_types_become_the_specs():
    made = assemble(
        Config.empty(AMD), [layer("a", "application/vnd.docker.image.rootfs.diff.tar.gzip")]
    )
    assert made.manifest.layers[0].media_type == LAYER + "+gzip"


def test_created_is_the_workspace_epoch():
    made = assemble(Config.empty(AMD), [layer("a")], created=1_700_000_000)
    assert made.config.created == made.config.history[0].created == "2023-11-14T22:13:20Z"


def test_same_input_same_bytes():
    one, two = (
        assemble(Config.empty(AMD), [layer("a")], annotations=a)
        for a in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    )
    assert one.manifest_bytes == two.manifest_bytes


def test_base_layers_keep_annotations_and_urls():
    described = Descriptor(LAYER, sha("blob"), 3, {"toc": "x"}, urls=("https://a.example/x",))
    manifest = Manifest(Descriptor(CONFIG, sha("c"), 1), (described,))
    (found,) = base_layers(manifest, Config("amd64", "linux", diff_ids=(sha("a"),)))
    assert found.descriptor() == described
    assert found.diff_id == sha("a")


def test_manifest_and_config_must_have_the_same_layers():
    with pytest.raises(ContentError, match="1 layers and the config 0"):
        base_layers(
            Manifest(Descriptor(CONFIG, sha("c"), 1), (Descriptor(LAYER, sha("x"), 1),)),
            Config.empty(AMD),
        )


def test_index_of_platforms():
    made = assemble(Config.empty(AMD), [])
    index = Index.parse(index_of([made.descriptor]))
    assert index.manifests == (made.descriptor,)


def test_timestamp_is_utc(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert timestamp(0) == "1970-01-01T00:00:00Z"
