import json
import os
import threading
from dataclasses import replace

import pytest
from support.images import AMD, blobs_of, image

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.image.content import Content
from buildgraph.image.layout import (
    FULL_NAME,
    REF_NAME,
    Layout,
    entries,
    is_called,
    named,
    write_layout,
)
from buildgraph.image.source import load_image
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import LAYER, Descriptor
from buildgraph.oci.manifest import Index

ARM = Platform("linux", "arm64")


def everything(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_written_layout_reads_back(tmp_path):
    source = image([{"a": "1"}, {"b": "2"}])
    write_layout(tmp_path / "out", source, ["shop/api:1.0"])
    for reference in ("", "1.0", "shop/api:1.0", source.descriptor.digest):
        found = Layout(tmp_path / "out").image(reference, AMD)
        assert found.manifest == source.manifest
        assert found.config == source.config
        with found.open_layer(found.manifest.layers[1]) as stream:
            assert stream.read() == blobs_of(source)[found.manifest.layers[1].digest]
    assert len(everything(tmp_path / "out")) == 6
    assert (tmp_path / "out/oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'


def test_writing_twice_changes_nothing(tmp_path):
    source = image()
    write_layout(tmp_path, source, ["x:1"])
    before = {p: (tmp_path / p).stat().st_ino for p in everything(tmp_path) if p != "index.json"}
    index = (tmp_path / "index.json").read_bytes()
    blobs_of(source).opened.clear()
    write_layout(tmp_path, source, ["x:1"])
    assert {
        p: (tmp_path / p).stat().st_ino for p in everything(tmp_path) if p != "index.json"
    } == before
    assert (tmp_path / "index.json").read_bytes() == index
    assert blobs_of(source).opened == []


def test_a_name_moves_and_other_names_stay(tmp_path):
    one, two = image([{"a": "1"}]), image([{"a": "2"}])
    write_layout(tmp_path, one, ["x:1", "x:2"])
    write_layout(tmp_path, two, ["x:1", "y:2"])
    layout = Layout(tmp_path)
    assert layout.image("x:1", AMD).config == two.config
    assert layout.image("x:2", AMD).config == one.config
    assert layout.image("y:2", AMD).config == two.config
    with pytest.raises(UsageError) as caught:
        layout.image("2", AMD)
    assert caught.value.code == "image-ambiguous"


def test_without_names_it_is_latest():
    content = Content.of(image())
    assert entries(content, ())[0].annotations == {REF_NAME: "latest"}
    assert [e.annotations for e in entries(content, ["a/b", "c:1"])] == [
        {FULL_NAME: "a/b:latest", REF_NAME: "latest"},
        {FULL_NAME: "c:1", REF_NAME: "1"},
    ]


def test_what_names_an_image_has_its_annotations(tmp_path):
    told = replace(Content.of(image()), annotations={"a": "b", REF_NAME: "not this"})
    for name in ("x:1", "x:1", "x:2"):
        write_layout(tmp_path, told, [name])
    assert [entry.annotations for entry in Layout(tmp_path).index().manifests] == [
        {"a": "b", FULL_NAME: name, REF_NAME: name[2:]} for name in ("x:1", "x:2")
    ]


def test_writers_at_once_lose_nothing(tmp_path):
    sources = [image([{"a": str(n)}, {"shared": "x"}]) for n in range(8)]
    threads = [
        threading.Thread(target=write_layout, args=(tmp_path / "out", source, [f"x:{n}"]))
        for n, source in enumerate(sources)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    layout = Layout(tmp_path / "out")
    for n, source in enumerate(sources):
        assert layout.image(f"x:{n}", AMD).config == source.config
    assert not [name for name in everything(tmp_path) if "/." in name]


def test_a_damaged_layer_is_never_written(tmp_path):
    source = image()
    digest = source.manifest.layers[0].digest
    blobs = blobs_of(source)
    blobs[digest] = blobs[digest][:-1] + b"x"
    with pytest.raises(ContentError) as caught:
        write_layout(tmp_path, source, ["x:1"])
    assert caught.value.code == "blob-damaged"
    assert everything(tmp_path) == ["oci-layout"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UsageError, match="holds files"):
        write_layout(tmp_path, image())
    assert everything(tmp_path) == ["mine"]


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError) as caught:
        write_layout(tmp_path / "file", image())
    assert caught.value.code == "output-refused"


def test_missing_image_lists_what_is_there(tmp_path):
    write_layout(tmp_path, image(), ["x:1"])
    with pytest.raises(UsageError, match="no such image") as caught:
        Layout(tmp_path).image("y:1", AMD)
    assert "x:1" in caught.value.hint


@pytest.mark.parametrize("damage", ["missing", "folder", "fifo", "html", "version", "huge"])
def test_what_is_no_layout_is_refused(tmp_path, damage):
    file = tmp_path / "oci-layout"
    match damage:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "html":
            file.write_text("<html>")
        case "version":
            file.write_text('{"imageLayoutVersion": "9"}')
        case "huge":
            with file.open("wb") as out:
                out.truncate(1 << 40)
    with pytest.raises(ContentError) as caught:
        Layout(tmp_path)
    assert caught.value.code in ("not-a-layout", "bad-document")


def test_a_fifo_as_blob_does_not_block(tmp_path):
    source = image()
    write_layout(tmp_path, source)
    blob = tmp_path / "blobs/sha256" / source.manifest.config.digest.hex
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(ContentError, match="not a regular file"):
        Layout(tmp_path).image("", AMD)


def test_missing_and_lying_blobs_are_named(tmp_path):
    source = image()
    write_layout(tmp_path, source)
    blob = tmp_path / "blobs/sha256" / source.manifest.config.digest.hex
    content = blob.read_bytes()
    for wrong, code in (
        (content + b" ", "longer"),
        (content[:-1], "ends 1 bytes"),
        (b" " * len(content), "other bytes"),
    ):
        blob.write_bytes(wrong)
        with pytest.raises(ContentError, match=code) as caught:
            Layout(tmp_path).image("", AMD)
        assert source.manifest.config.digest in caught.value.message
    blob.unlink()
    with pytest.raises(ContentError, match="lacks the blob"):
        Layout(tmp_path).image("", AMD)


def test_index_by_platform():
    blobs, roots = {}, []
    for platform in (AMD, ARM):
        made = image(config=Config.empty(platform))
        blobs |= blobs_of(made)
        roots.append(made.descriptor)
    attested = replace(
        roots[0], digest=Digest.sha256(b"x"), platform=Platform("unknown", "unknown")
    )
    store = blobs_of(image())
    store.update(blobs)
    index = Index((*roots, attested)).to_bytes()
    root = Descriptor(Index(()).media_type, store.add(index), len(index))
    assert load_image(store.open, [root], ARM, "x").config.platform == ARM
    assert load_image(store.open, [root], AMD, "x").config.platform == AMD
    with pytest.raises(UsageError, match="linux/amd64, linux/arm64") as caught:
        load_image(store.open, [root], Platform("linux", "s390x"), "x")
    assert caught.value.code == "no-platform"
    with pytest.raises(UsageError, match="several platforms"):
        load_image(store.open, [root], None, "x")


def test_a_variant_is_preferred_when_it_fits_exactly():
    blobs, roots = blobs_of(image()), []
    for variant in ("v5", "v7"):
        made = image(config=Config.empty(Platform("linux", "arm", variant)))
        blobs.update(blobs_of(made))
        roots.append(made.descriptor)
    for wanted, expected in (("v7", "v7"), ("v5", "v5"), ("", "v7")):
        found = load_image(blobs.open, roots, Platform("linux", "arm", wanted), "x")
        assert found.config.variant == expected


def test_an_image_for_another_platform_is_refused():
    source = image(config=Config.empty(ARM))
    bare = replace(source.descriptor, platform=None)
    with pytest.raises(UsageError, match="no image for linux/amd64, only for linux/arm64"):
        load_image(source.open_blob, [bare], AMD, "x")


def test_nested_indexes_end():
    source = image()
    blobs, root = blobs_of(source), source.descriptor
    for _ in range(4):
        content = Index((root,)).to_bytes()
        root = Descriptor(Index(()).media_type, blobs.add(content), len(content))
    with pytest.raises(ContentError, match="nested deeper"):
        load_image(source.open_blob, [root], AMD, "x")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": 10**12}, "bad-document"),
        ({"size": 3}, "blob-damaged"),
        ({"digest": Digest("blake3:" + "a" * 64)}, "bad-digest"),
        ({"media_type": Index(()).media_type}, "bad-document"),
    ],
)
def test_lying_descriptors(change, code):
    source = image()
    root = replace(source.descriptor, **change)
    blobs_of(source).setdefault(root.digest, b"")
    with pytest.raises(ContentError) as caught:
        load_image(source.open_blob, [root], AMD, "x")
    assert caught.value.code == code


def test_layer_counts_must_agree():
    source = image([{"a": "1"}])
    blobs = blobs_of(source)
    manifest = replace(
        source.manifest, layers=(*source.manifest.layers, Descriptor(LAYER, blobs.add(b""), 0))
    )
    content = manifest.to_bytes()
    root = replace(source.descriptor, digest=blobs.add(content), size=len(content))
    with pytest.raises(ContentError, match="2 layers, its config 1"):
        load_image(blobs.open, [root], AMD, "x")


def test_an_artifact_is_no_image():
    source = image()
    blobs = blobs_of(source)
    config = replace(source.manifest.config, media_type="application/vnd.example+json")
    content = replace(source.manifest, config=config).to_bytes()
    root = replace(source.descriptor, digest=blobs.add(content), size=len(content))
    with pytest.raises(ContentError) as caught:
        load_image(blobs.open, [root], AMD, "x")
    assert caught.value.code == "not-an-image"


def test_several_images_need_a_name():
    one, two = (image([{"a": n}]).descriptor for n in "12")
    with pytest.raises(UsageError, match="holds 2 images"):
        named([one, two], "", "x")
    assert named([one, one], "", "x") == (one, one)


@pytest.mark.parametrize(
    ("reference", "name", "expected"),
    [
        ("a/b:1", "a/b:1", True),
        ("a/b:1", "host.example/a/b:1", True),
        ("b:1", "host.example/library/b:1", True),
        ("b:1", "host.example/b:1", True),
        ("b:1", "host.example/a/b:1", False),
        ("b:1", "localhost/b:1", True),
        ("b:1", "a/b:1", False),
        ("a/b:1", "xa/b:1", False),
        ("1", "a/b:1", False),
        ("b", "b:1", False),
    ],
)
def test_names_with_a_host_that_other_tools_put_before_them(reference, name, expected):
    assert is_called(reference, [name]) is expected


def test_documents_are_pretty_plain_json(tmp_path):
    write_layout(tmp_path, image(), ["x:1"])
    index = json.loads((tmp_path / "index.json").read_text())
    assert list(index) == ["schemaVersion", "mediaType", "manifests"]
