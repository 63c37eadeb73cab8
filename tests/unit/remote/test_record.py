"""Records as bytes: written in one way, read back, and refused where they say something else."""

import json

import pytest

from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import LAYER, Descriptor
from buildgraph.remote.record import (
    DIRS,
    TEXT,
    TREE,
    Record,
    SharedLayer,
    dirs_name,
    layer_name,
    parse,
    step_name,
)
from buildgraph.store.base import ActionResult, Compressed

MADE = Digest.blake3(b"tree object")
DIFF = Digest.sha256(b"tar")
OBJECT = Descriptor(TREE, Digest.sha256(b"tree object"), 11)
FORM = Compressed(Digest.sha256(b"blob"), 4, f"{LAYER}+gzip")
RESULT = ActionResult(
    "run", ActionKey("a" * 64), (f"sha256:{'1' * 64}",), MADE, DIFF, 3, 1.5, 1_700_000_000
)
WHOLE = Record(RESULT, OBJECT, SharedLayer(MADE, DIFF, 10240, {"gzip-isal-1": FORM}))
BARE = Record(ActionResult("copy", ActionKey("b" * 64), (), MADE))
LAYER_ONLY = Record(layer=SharedLayer(MADE, DIFF, 10240, {"none": FORM, "gzip-isal-1": FORM}))


INDEX = Record(dirs=Descriptor(DIRS, Digest.sha256(b"index"), 5))


@pytest.mark.parametrize("record", [WHOLE, BARE, LAYER_ONLY, INDEX])
def test_a_record_comes_back(record):
    assert parse(record.to_bytes(), "step-x") == record


def test_the_bytes_of_a_record():
    assert json.loads(WHOLE.to_bytes()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.buildgraph.record.v1",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "layers": [
            {"mediaType": TREE, "digest": OBJECT.digest, "size": 11},
            {
                "mediaType": f"{LAYER}+gzip",
                "digest": FORM.digest,
                "size": 4,
                "annotations": {"buildgraph.codec": "gzip-isal-1"},
            },
        ],
        "annotations": {
            TEXT: f'{{"layer":{{"diff_id":"{DIFF}","size":10240,"tree":"{MADE}"}},'
            f'"result":{{"action":"{RESULT.action}","diff_id":"{DIFF}","identities":["sha256:{"1" * 64}"],'
            f'"kind":"run","made":1700000000,"seconds":1.5,"size":3,"tree":"{MADE}"}},"schema":1}}'
        },
    }
    assert Digest.sha256(BARE.to_bytes()).hex == (
        "bd26772c77ee0906c2a366fadff7a54f1573ec6a1e88fff4d996c9def2b48aa5"
    )


def test_a_record_without_blobs_names_the_empty_one():
    assert [blob.size for blob in BARE.blobs] == [2]


def test_names_say_what_they_are_of():
    assert step_name("k") == "step-k"
    assert layer_name(MADE, "none") != layer_name(MADE, "gzip-isal-1")
    assert len(layer_name(MADE, "none")) == len("layer-") + 64
    assert dirs_name(DIFF) != dirs_name(MADE)
    assert len(dirs_name(DIFF)) == len("dirs-") + 64


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('\\"schema\\":1', '\\"schema\\":2'),
        ("vnd.buildgraph.record.v1", "vnd.buildgraph.record.v2"),
        ('\\"kind\\":\\"run\\"', '\\"kind\\":7'),
        (f'\\"tree\\":\\"{MADE}\\"}},', f'\\"tree\\":\\"{Digest.blake3(b"other")}\\"}},'),
        ("buildgraph.codec", "example.codec"),
        ("buildgraph.record", "example.record"),
        (f'\\"diff_id\\":\\"{DIFF}\\",\\"size\\"', '\\"diff_id\\":\\"..\\",\\"size\\"'),
        ('"schemaVersion":2', '"schemaVersion":3'),
    ],
)
def test_what_is_no_record_is_refused(before, after):
    text = WHOLE.to_bytes().decode()
    assert before in text
    with pytest.raises(ContentError):
        parse(text.replace(before, after, 1).encode(), "step-x")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"{" * 100])
def test_garbage_is_refused(content):
    with pytest.raises(ContentError):
        parse(content, "step-x")
