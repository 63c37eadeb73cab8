import gzip
import io
import json
import os
import tarfile

import pytest
from support.images import AMD, blobs_of, image, tar_of

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.fs.compress import Codec
from buildgraph.image.archive import ImageArchive, stream_archive, write_archive
from buildgraph.image.layout import Layout, write_layout


def members(path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() if m.isfile() else b"" for m in tar}


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_written_archive_reads_back(tmp_path, kind):
    source = image([{"a": "1"}, {"b": "2"}])
    write_archive(tmp_path / "x.tar", [(source, ["shop/api:1.0", "shop/api:latest"])], kind)
    with ImageArchive(tmp_path / "x.tar") as archive:
        for reference in ("", "shop/api:1.0", "latest", source.descriptor.digest):
            found = archive.image(reference, AMD)
            assert found.manifest_bytes == source.manifest_bytes
            assert found.config == source.config
        layer = found.manifest.layers[1]
        with found.open_layer(layer) as one, found.open_layer(layer) as two:
            assert one.read(5) + one.read() == two.read() == blobs_of(source)[layer.digest]


def test_docker_archive_has_what_docker_load_wants(tmp_path):
    source = image()
    write_archive(tmp_path / "x.tar", [(source, ["shop/api"])], "docker")
    found = members(tmp_path / "x.tar")
    (entry,) = json.loads(found["manifest.json"])
    assert entry["RepoTags"] == ["shop/api:latest"]
    assert found[entry["Config"]] == source.config_bytes
    assert [Digest.sha256(found[p]) for p in entry["Layers"]] == [source.manifest.layers[0].digest]


def test_oci_archive_is_an_oci_layout(tmp_path):
    source = image()
    write_archive(tmp_path / "x.tar", [(source, ["a:1"])], "oci")
    for name, content in members(tmp_path / "x.tar").items():
        place = tmp_path / "out" / name
        if name.rpartition("/")[2] in ("blobs", "sha256"):
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
    assert "manifest.json" not in members(tmp_path / "x.tar")
    assert Layout(tmp_path / "out").image("a:1", AMD).manifest_bytes == source.manifest_bytes


def test_bytes_depend_on_images_and_names_alone(tmp_path):
    contents = []
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            out = io.BytesIO()
            stream_archive(out, [(image(), ["a:1"]), (image([{"z": "1"}]), ["b:1"])], "docker")
            contents.append(out.getvalue())
        finally:
            os.umask(before)
    assert contents[0] == contents[1]
    with tarfile.open(fileobj=io.BytesIO(contents[0])) as tar:
        assert {m.mtime for m in tar} == {315532800}
        assert {(m.uid, m.gid, m.uname) for m in tar} == {(0, 0, "")}


def test_several_images_share_their_blobs(tmp_path):
    one, two = image([{"a": "1"}, {"b": "1"}]), image([{"a": "1"}, {"c": "1"}])
    write_archive(tmp_path / "x.tar", [(one, ["a:1"]), (two, ["b:1"])], "docker")
    assert len([n for n in members(tmp_path / "x.tar") if n.count("/") == 2]) == 7
    with ImageArchive(tmp_path / "x.tar") as archive:
        assert archive.image("b:1", AMD).config == two.config
        with pytest.raises(UsageError) as caught:
            archive.image("", AMD)
        assert caught.value.code == "image-ambiguous"


def test_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    source = image()
    (tmp_path / "x.tar").write_text("old")
    del blobs_of(source)[source.manifest.layers[0].digest]
    with pytest.raises(ContentError):
        write_archive(tmp_path / "x.tar", [(source, ["a:1"])], "oci")
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar"]
    assert (tmp_path / "x.tar").read_text() == "old"


def test_an_output_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        write_archive(tmp_path, [(image(), [])], "oci")
    assert caught.value.code == "output-refused"


def legacy(path, source, *, layers=None, config_name=None, links=False):
    """As docker before 25 wrote it: ``<hex>.json`` and ``<id>/layer.tar``, repeated layers as links."""
    tars = layers or [gzip.decompress(blobs_of(source)[d.digest]) for d in source.manifest.layers]
    config = config_name or f"{source.manifest.config.digest.hex}.json"
    names = [f"{n}/layer.tar" for n in range(len(tars))]
    entry = [{"Config": config, "RepoTags": ["old:1"], "Layers": names}]
    with tarfile.open(path, "w") as tar:

        def add(name, content, **keys):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in keys.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))

        for name, content in zip(names, tars, strict=True):
            if links and name != names[0]:
                add(name, b"", type=tarfile.SYMTYPE, linkname="../0/layer.tar")
            else:
                add(name, content)
        add(config, source.config_bytes)
        add("manifest.json", json.dumps(entry).encode())


@pytest.mark.parametrize("compress", [False, True])
def test_archives_of_older_dockers(tmp_path, compress):
    source = image([{"a": "1"}, {"b": "1"}])
    layers = [blobs_of(source)[d.digest] for d in source.manifest.layers] if compress else None
    legacy(tmp_path / "x.tar", source, layers=layers)
    with ImageArchive(tmp_path / "x.tar") as archive:
        found = archive.image("old:1", AMD)
        assert found.config_bytes == source.config_bytes
        digests = [layer.digest for layer in found.manifest.layers]
        expected = source.manifest.layers if compress else source.config.diff_ids
        assert digests == [getattr(item, "digest", item) for item in expected]
        for layer in found.manifest.layers:
            with found.open_layer(layer) as stream:
                stream.read()
        write_layout(tmp_path / "out", found, ["new:1"])
        with pytest.raises(UsageError, match="no such image"):
            archive.image("new:1", AMD)


def test_repeated_layers_as_links(tmp_path):
    source = image([{"a": "1"}, {"a": "1"}])
    legacy(tmp_path / "x.tar", source, links=True)
    with ImageArchive(tmp_path / "x.tar") as archive:
        assert len(archive.image("", AMD).manifest.layers) == 2


def test_legacy_layer_with_other_bytes_is_found_when_read(tmp_path):
    source = image()
    legacy(tmp_path / "x.tar", source, layers=[tar_of({"evil": "1"})])
    with ImageArchive(tmp_path / "x.tar") as archive:
        found = archive.image("", AMD)
        with (
            pytest.raises(ContentError) as caught,
            found.open_layer(found.manifest.layers[0]) as stream,
        ):
            stream.read()
    assert caught.value.code == "blob-damaged"


def test_legacy_config_must_be_what_its_name_says(tmp_path):
    legacy(tmp_path / "x.tar", image(), config_name="a" * 64 + ".json")
    with ImageArchive(tmp_path / "x.tar") as archive, pytest.raises(ContentError) as caught:
        archive.image("", AMD)
    assert caught.value.code == "blob-damaged"


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2", "zst"])
def test_compressed_archives(tmp_path, suffix):
    source = image()
    write_archive(tmp_path / "x.tar", [(source, ["a:1"])], "docker")
    content = (tmp_path / "x.tar").read_bytes()
    match suffix:
        case "gz":
            content = gzip.compress(content)
        case "xz":
            import lzma

            content = lzma.compress(content)
        case "bz2":
            import bz2

            content = bz2.compress(content)
        case "zst":
            content = Codec("zstd").compressor()(memoryview(content))
    (tmp_path / "y").write_bytes(content)
    with ImageArchive(tmp_path / "y", tmp_path) as archive:
        assert archive.image("a:1", AMD).manifest_bytes == source.manifest_bytes
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.tar", "y"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not-an-archive"),
        (b"\0" * 10240, "not-an-archive"),
        (b"<html>" * 1000, None),
        (b"\x1f\x8b\x08\0" + b"x" * 1000, "bad-compression"),
        (tar_of({"some": "file"}), "not-an-archive"),
        (tar_of({"manifest.json": "{}"}), "bad-document"),
        (tar_of({"manifest.json": "[]"}), "image-missing"),
        (tar_of({"manifest.json": "[{}]"}), "blob-missing"),
        (tar_of({"manifest.json": "[" * 10_000}), "bad-document"),
        (tar_of({"manifest.json@": "manifest.json"}), "blob-missing"),
        (tar_of({"manifest.json@": "../../../../etc/passwd"}), "blob-missing"),
        (tar_of({"index.json": "{}", "oci-layout": "{}"}), "not-a-layout"),
        (
            tar_of({"index.json": "{}", "oci-layout": '{"imageLayoutVersion":"1.0.0"}'}),
            "bad-document",
        ),
    ],
)
def test_hostile_archives_are_refused(tmp_path, content, code):
    (tmp_path / "x.tar").write_bytes(content)
    with (
        pytest.raises((ContentError, UsageError)) as caught,
        ImageArchive(tmp_path / "x.tar", tmp_path) as archive,
    ):
        archive.image("", AMD)
    assert code in (None, caught.value.code)
    assert "passwd" not in caught.value.message or code == "blob-missing"


def test_truncated_archives_are_refused(tmp_path):
    write_archive(tmp_path / "x.tar", [(image(), [])], "oci")
    content = (tmp_path / "x.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "x.tar").write_bytes(content[:-700])
    with pytest.raises(ContentError):
        read_all(tmp_path / "x.tar")


def read_all(path):
    with ImageArchive(path) as archive:
        found = archive.image("", AMD)
        with found.open_layer(found.manifest.layers[0]) as stream:
            stream.read()


def test_a_fifo_or_folder_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing"):
        with pytest.raises(ContentError) as caught:
            ImageArchive(path)
        assert caught.value.code == "not-an-archive"
