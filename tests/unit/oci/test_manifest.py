import json

import pytest

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.names import Platform
from buildgraph.oci.descriptor import CONFIG, INDEX, LAYER, MANIFEST, codec_of, oci_layer_type
from buildgraph.oci.manifest import Descriptor, Index, Manifest, parse

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64


def document(**changes):
    out = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": A, "size": 2},
        "layers": [{"mediaType": LAYER + "+gzip", "digest": B, "size": 3}],
    }
    out |= changes
    return json.dumps({k: v for k, v in out.items() if v is not None}).encode()


def layer(**changes):
    return document(layers=[{"mediaType": LAYER, "digest": B, "size": 3} | changes])


def test_manifest_reads_and_writes_the_same():
    content = (
        b'{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":2},'
        b'"layers":[{"mediaType":"%s","digest":"%s","size":3,"annotations":{"a":"1","b":"\xc3\xa9"},"x":[1]}],'
        b'"annotations":{"k":"v"},"y":{"z":null}}'
    ) % tuple(text.encode() for text in (MANIFEST, CONFIG, A, LAYER, B))
    manifest = Manifest.parse(content)
    assert manifest.layers[0].annotations == {"a": "1", "b": "é"}
    assert manifest.extra == {"y": {"z": None}}
    assert manifest.to_bytes() == content


def test_index_keeps_platforms_and_what_it_does_not_know():
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {
                    "mediaType": MANIFEST,
                    "digest": A,
                    "size": 7,
                    "platform": {
                        "architecture": "arm64",
                        "os": "linux",
                        "variant": "v8",
                        "os.version": "1",
                    },
                }
            ],
        },
        separators=(",", ":"),
    ).encode()
    index = Index.parse(content)
    assert index.manifests[0].platform == Platform("linux", "arm64", "v8")
    assert index.to_bytes() == content


def test_media_type_may_be_missing_inside():
    assert isinstance(parse(document(mediaType=None)), Manifest)
    assert isinstance(parse(document(mediaType=None), MANIFEST), Manifest)
    assert isinstance(parse(b'{"schemaVersion":2,"manifests":[]}'), Index)


@pytest.mark.parametrize(
    ("content", "announced", "code", "said"),
    [
        (document(), INDEX, "bad-document", "announced as"),
        (document(manifests=[]), "", "bad-document", "at once"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "", "old-manifest", "schema 1"),
        (document(schemaVersion=3), "", "bad-document", "version other than 2"),
        (document(schemaVersion="2"), "", "bad-document", "schemaVersion"),
        (document(config=None), "", "bad-document", "has no config"),
        (document(mediaType="text/html"), "", "bad-document", "'text/html'"),
        (document(layers=7), "", "bad-document", "layers"),
        (b'{"schemaVersion": 2}', "", "bad-document", "neither"),
        (layer(size=-3), "", "bad-document", "size"),
        (layer(size=2**63), "", "bad-document", "size"),
        (layer(digest="sha256:../../../x"), "", "bad-document", "digest"),
        (layer(digest="sha256:" + "A" * 64), "", "bad-document", "digest"),
        (layer(digest="md5:" + "a" * 32), "", "bad-document", "digest"),
        (layer(mediaType="a b"), "", "bad-document", "media type"),
        (layer(mediaType=""), "", "bad-document", "media type"),
        (layer(annotations={"a": 1}), "", "bad-document", "annotations"),
        (layer(data="eHl6"), "", "bad-document", "embedded data"),
        (layer(data="%%%"), "", "bad-document", "not base64"),
    ],
)
def test_hostile_manifests_are_refused(content, announced, code, said):
    with pytest.raises(ContentError, match=said) as caught:
        parse(content, announced, "the manifest of x")
    assert caught.value.code == code
    assert "the manifest of x" in caught.value.message


def test_embedded_data_is_kept_when_it_is_what_the_digest_names():
    content = layer(data="eHl6", digest=Digest.sha256(b"xyz"))
    assert b'"data":"eHl6"' in Manifest.parse(content).to_bytes()


def test_manifest_and_index_are_not_taken_for_each_other():
    with pytest.raises(ContentError, match="not an index"):
        Index.parse(document())
    with pytest.raises(ContentError, match="an index"):
        Manifest.parse(b'{"schemaVersion":2,"manifests":[]}')


@pytest.mark.parametrize(
    ("media_type", "oci", "codec"),
    [
        (LAYER, LAYER, "none"),
        (LAYER + "+zstd", LAYER + "+zstd", "zstd"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER + "+gzip", "gzip"),
        ("application/x-other", "application/x-other", None),
        (LAYER + "+brotli", LAYER + "+brotli", None),
    ],
)
def test_layer_types(media_type, oci, codec):
    assert oci_layer_type(media_type) == oci
    assert codec_of(media_type) == codec


def test_descriptor_writes_nothing_that_is_empty():
    assert Descriptor(LAYER, Digest(A), 3).document() == {
        "mediaType": LAYER,
        "digest": A,
        "size": 3,
    }
