import gzip
import io
import tarfile
from dataclasses import replace

import pytest
from support.images import AMD, Blobs, blobs_of, image, layer, tar_of

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.image.archive import write_archive
from buildgraph.image.assemble import LayerBlob, assemble
from buildgraph.image.layout import write_layout
from buildgraph.image.validate import validate, validate_path
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST
from buildgraph.oci.manifest import Descriptor, Index, Manifest
from buildgraph.store.base import Compressed

SCRATCH = Config.empty(AMD)


def problems(source, root=None) -> list[str]:
    return [p.code for p in validate(source.open_blob, [root or source.descriptor], "x")]


def built(config: Config, layers, change=lambda made: made):
    blobs = Blobs()
    made = change(
        assemble(config, [layer(blobs, t) if isinstance(t, bytes) else t(blobs) for t in layers])
    )
    blobs.add(made.config_bytes)
    blobs.add(made.manifest_bytes)
    return [p.code for p in validate(blobs.open, [made.descriptor], "x")]


def rewritten(config: Config):
    """An image whose config says exactly what ``config`` says."""
    blobs = Blobs()
    made = assemble(SCRATCH, [layer(blobs, tar_of({"a": "1"}))])
    content = replace(config, diff_ids=config.diff_ids or made.config.diff_ids).to_bytes()
    described = replace(made.manifest.config, digest=blobs.add(content), size=len(content))
    manifest = replace(made.manifest, config=described).to_bytes()
    root = Descriptor(MANIFEST, blobs.add(manifest), len(manifest), platform=AMD)
    return validate(blobs.open, [root], "x")


def test_good_images_have_no_problems():
    assert problems(image([{"a": "1"}, {"b/": "", "b/c": "2"}])) == []
    assert problems(image(compress=False)) == []
    assert problems(image([])) == []


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
@pytest.mark.parametrize("how", ["missing", "flipped", "cut", "longer"])
def test_every_damaged_blob_is_found(which, how):
    source = image([{"a": "1"}, {"b": "2"}])
    digest = {
        "layer": source.manifest.layers[0].digest,
        "config": source.manifest.config.digest,
        "manifest": source.descriptor.digest,
    }[which]
    blobs = blobs_of(source)
    content = blobs.pop(digest)
    if how != "missing":
        blobs[digest] = {
            "flipped": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
            "cut": content[:-1],
            "longer": content + b"\n",
        }[how]
    found = validate(source.open_blob, [source.descriptor], "x")
    assert len(found) == 1
    assert found[0].subject == digest
    assert found[0].code in ("blob-missing", "blob-damaged", "bad-compression", "bad-document")


def test_all_problems_are_found_not_the_first_alone():
    source = image([{"a": "1"}, {"b": "2"}, {"c": "3"}])
    for bad in source.manifest.layers[:2]:
        del blobs_of(source)[bad.digest]
    assert problems(source) == ["blob-missing", "blob-missing"]


def test_layers_must_unpack_to_their_diff_ids():
    def lying(blobs):
        return replace(layer(blobs, tar_of({"a": "1"})), diff_id=Digest.sha256(b"other"))

    assert built(SCRATCH, [lying]) == ["diff-id"]


def test_compressed_layer_announced_as_plain_and_the_reverse():
    tar = tar_of({"a": "1"})

    def plain_as_gzip(blobs):
        return LayerBlob(Digest.sha256(tar), Compressed(blobs.add(tar), len(tar), LAYER + "+gzip"))

    assert built(SCRATCH, [plain_as_gzip]) == ["bad-compression"]


def test_hostile_entries_are_refused_by_name():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/evil"))
    source_codes = built(SCRATCH, [out.getvalue()])
    assert len(source_codes) == 1
    assert source_codes[0].startswith("archive-")


def test_unknown_layer_types_are_named():
    def odd(blobs):
        content = gzip.compress(tar_of({"a": "1"}))
        return LayerBlob(
            Digest.sha256(tar_of({"a": "1"})),
            Compressed(blobs.add(content), len(content), "application/x-odd"),
        )

    assert built(SCRATCH, [odd]) == ["media-type"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (replace(SCRATCH, created="yesterday"), "yesterday"),
        (replace(SCRATCH, env=(("A", "1"), ("A", "2"))), "variable 'A' 2 times"),
        (replace(SCRATCH, env=(("", "1"),)), "without a name"),
        (replace(SCRATCH, exposed=("http",)), "'http' is no port"),
        (replace(SCRATCH, exposed=("70000/tcp",)), "no port"),
        (replace(SCRATCH, workdir="w"), "not absolute"),
        (replace(SCRATCH, history=(History(), History())), "history tells of 2 layers"),
        (Config("arm64", "linux"), "announced for linux/amd64"),
        (replace(SCRATCH, diff_ids=(Digest.sha256(b"a"), Digest.sha256(b"b"))), "2 diff IDs"),
    ],
)
def test_incoherent_configs_are_found(config, said):
    assert said in " ".join(problem.message for problem in rewritten(config))


def test_history_may_be_left_out():
    assert rewritten(replace(SCRATCH, history=())) == ()


def test_all_images_of_an_index_are_checked_and_shared_layers_read_once():
    one, two = image([{"a": "1"}]), image([{"a": "1"}, {"b": "2"}])
    blobs = blobs_of(one)
    blobs.update(blobs_of(two))
    index = Index((one.descriptor, two.descriptor)).to_bytes()
    root = Descriptor(Index(()).media_type, blobs.add(index), len(index))
    assert validate(blobs.open, [root], "x") == ()
    assert blobs.opened.count(one.manifest.layers[0].digest) == 1
    del blobs[two.manifest.layers[1].digest]
    assert [p.code for p in validate(blobs.open, [root], "x")] == ["blob-missing"]


EMPTY = "application/vnd.oci.empty.v1+json"


@pytest.mark.parametrize("announced", [False, True])
def test_artifacts_and_attestations_are_only_bytes(announced):
    """BuildKit's statements have the config of an image, and are known by what the index says of them."""
    source = image([{"a": "1"}])
    blobs = blobs_of(source)
    config, content = b'{"architecture":"unknown","os":"unknown"}', b'{"_type":"statement"}'
    kind = CONFIG if announced else EMPTY
    manifest = Manifest(
        Descriptor(kind, blobs.add(config), len(config)),
        (Descriptor("application/vnd.in-toto+json", blobs.add(content), len(content)),),
    ).to_bytes()
    beside = Descriptor(
        MANIFEST,
        blobs.add(manifest),
        len(manifest),
        {"vnd.docker.reference.type": "attestation-manifest"} if announced else {},
    )
    index = Index((source.descriptor, beside)).to_bytes()
    root = Descriptor(Index(()).media_type, blobs.add(index), len(index))
    assert validate(blobs.open, [root], "x") == ()
    blobs[Digest.sha256(content)] = content.replace(b"_", b"-")
    assert [p.subject for p in validate(blobs.open, [root], "x")] == [Digest.sha256(content)]


def test_indexes_that_nest_for_ever_end():
    source = image()
    root = source.descriptor
    for _ in range(6):
        content = Index((root,)).to_bytes()
        root = Descriptor(Index(()).media_type, blobs_of(source).add(content), len(content))
    assert problems(source, root) == ["bad-image"]


def test_a_variant_named_by_one_side_is_no_contradiction():
    source = image(config=Config("arm64", "linux"))
    root = replace(source.descriptor, platform=Platform("linux", "arm64", "v8"))
    assert problems(source, root) == []


def test_places_are_validated_whole(tmp_path):
    one, two = image([{"a": "1"}]), image([{"b": "1"}])
    for source in (one, two):
        write_layout(tmp_path / "out", source, [f"x:{source.descriptor.digest.short}"])
    assert validate_path(tmp_path / "out") == ()
    for kind in ("oci", "docker"):
        write_archive(tmp_path / kind, [(one, ["x:1"]), (two, ["x:2"])], kind)
        assert validate_path(tmp_path / kind) == ()
    (tmp_path / "out/blobs/sha256" / two.manifest.layers[0].digest.hex).write_bytes(b"x")
    (problem,) = validate_path(tmp_path / "out")
    assert problem.subject == two.manifest.layers[0].digest


def test_damage_in_an_archive_is_found(tmp_path):
    source = image([{"a": "1"}], compress=False)
    write_archive(tmp_path / "x.tar", [(source, ["x:1"])], "docker")
    content = bytearray((tmp_path / "x.tar").read_bytes())
    content[content.rindex(b"ustar") - 200] ^= 1
    (tmp_path / "x.tar").write_bytes(content)
    (problem,) = validate_path(tmp_path / "x.tar")
    assert problem.subject == source.manifest.layers[0].digest


def test_archives_of_older_dockers_are_validated(tmp_path):
    tar = tar_of({"a": "1"})
    config = replace(SCRATCH, diff_ids=(Digest.sha256(tar),)).to_bytes()

    def written(layer):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            entry = b'[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]'
            for name, content in (("c.json", config), ("l.tar", layer), ("manifest.json", entry)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        (tmp_path / "x.tar").write_bytes(out.getvalue())
        return validate_path(tmp_path / "x.tar")

    assert written(tar) == ()
    assert [p.code for p in written(tar_of({"a": "2"}))] == ["blob-damaged"]


def test_what_holds_no_image_is_no_archive(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_of({"a": "1"}))
    with pytest.raises(ContentError, match="holds no image"):
        validate_path(tmp_path / "x.tar")
