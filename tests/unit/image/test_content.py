"""An index with two platforms and an artifact, moved as it is: every document and blob, no byte changed."""

import pytest
from support.images import AMD, Blobs, blobs_of, image

from buildgraph.errors import ContentError, UsageError
from buildgraph.image.archive import ImageArchive, write_archive, write_oci_archive
from buildgraph.image.content import Content, narrowed
from buildgraph.image.layout import Layout, names_of, write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import INDEX, LAYER, MANIFEST, Descriptor
from buildgraph.oci.document import encode
from buildgraph.oci.manifest import Index, Manifest

ARM = Platform("linux", "arm64")


def made(blobs, *layers, platform=AMD):
    """An image whose blobs are all among ``blobs``."""
    source = image(layers, Config.empty(platform))
    blobs.update(blobs_of(source))
    return source


@pytest.fixture
def blobs():
    return Blobs()


@pytest.fixture
def root(blobs):
    """An index of two images that share a layer, and of an artifact with a config of its own kind."""
    sources = [made(blobs, {"a": "shared"}, {"b": str(p)}, platform=p) for p in (AMD, ARM)]
    config = Descriptor("application/vnd.example.config", blobs.add(b"any bytes"), 9)
    sbom = Descriptor("application/vnd.example.sbom", blobs.add(b"sbom"), 4)
    manifest = Manifest(config, (sbom,), artifact_type="application/vnd.example").to_bytes()
    artifact = Descriptor(Manifest(config, ()).media_type, blobs.add(manifest), len(manifest))
    index = Index((*(s.descriptor for s in sources), artifact), extra={"x-unknown": [1]}).to_bytes()
    return Descriptor(INDEX, blobs.add(index), len(index))


@pytest.fixture
def content(blobs, root):
    blobs.opened.clear()
    return Content.load(blobs.open, root, "shop")


def test_all_of_it_is_found_and_no_layer_is_opened(content, blobs, root):
    assert [d.media_type for d, _ in content.manifests][-1] == INDEX
    assert len(list(content.manifests)) == 4
    assert len(list(content.configs)) == 3
    assert len(content.layers) == 4
    assert not {layer.digest for layer in content.layers} & set(blobs.opened)
    assert content.root == root


def test_nothing_stands_before_what_it_names(content, blobs):
    seen = set()
    for descriptor, document in content.documents:
        assert blobs[descriptor.digest] == document
        if descriptor.media_type == INDEX:
            assert {m.digest for m in Index.parse(document).manifests} <= seen
        elif descriptor.media_type == MANIFEST:
            assert Manifest.parse(document).config.digest in seen
        seen.add(descriptor.digest)


def _texts(content):
    return [(descriptor.digest, document) for descriptor, document in content.documents]


def test_a_layout_and_an_archive_hold_every_byte(content, tmp_path, blobs):
    write_layout(tmp_path / "out", content, ["shop/api:1"])
    layout = Layout(tmp_path / "out")
    (entry,) = layout.index().manifests
    again = narrowed(layout.open_blob, (entry,), None, "out")
    assert _texts(again) == _texts(content)
    write_oci_archive(tmp_path / "a.tar", [(again, ("shop/api:1",))])
    with ImageArchive(tmp_path / "a.tar") as archive:
        ((third, names),) = archive.all_images()
        assert names == ("shop/api:1",)
        assert _texts(third) == _texts(content)
        for layer in third.layers:
            with third.open_layer(layer) as stream:
                assert stream.read() == blobs[layer.digest]


def test_a_tag_alone_names_an_image_of_a_layout(content, tmp_path):
    write_layout(tmp_path / "out", content, [":12"])
    assert names_of(Layout(tmp_path / "out").index().manifests[0]) == ("12",)


def test_a_docker_archive_brings_its_names(content, tmp_path, blobs, root):
    one = narrowed(blobs.open, (root,), AMD, "shop")
    assert len(one.layers) == 2
    source = made(blobs, {"a": "x"})
    write_archive(tmp_path / "d.tar", [(source, ("shop/api:1", "shop/api:2"))], "docker")
    with ImageArchive(tmp_path / "d.tar") as archive:
        ((found, names),) = archive.all_images()
    assert set(names) == {"shop/api:1", "shop/api:2"}
    assert found.root.digest == source.descriptor.digest


def test_two_images_without_an_index_are_not_one(blobs):
    roots = [made(blobs, {"a": text}) for text in "xy"]
    with pytest.raises(UsageError) as raised:
        narrowed(blobs.open, [s.descriptor for s in roots], None, "shop")
    assert raised.value.code == "image-ambiguous"


def test_indexes_of_indexes_end(blobs):
    entry = Descriptor(INDEX, blobs.add(content := Index(()).to_bytes()), len(content))
    for _ in range(7):
        content = Index((entry,)).to_bytes()
        entry = Descriptor(INDEX, blobs.add(content), len(content))
    with pytest.raises(ContentError) as raised:
        Content.load(blobs.open, entry, "shop")
    assert raised.value.code == "bad-image"


def test_a_document_that_lies_about_its_size_is_refused(blobs):
    content = encode({"schemaVersion": 2})
    with pytest.raises(ContentError) as raised:
        Content.load(blobs.open, Descriptor(LAYER, blobs.add(content), 3), "shop")
    assert raised.value.code == "blob-damaged"
