"""What other programs make of a layer: GNU tar, gzip, zstd and umoci."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.capability import require, require_root
from support.layers import file, folder, hard, link, listing, other, whiteout

from buildgraph.digest import Digest
from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, Packed, pack
from buildgraph.fs.tarball import EPOCH_NS


def items() -> list[Item]:
    long = "/".join(["n" * 90] * 3)
    found = [
        folder("d", 0o2750, uid=1, gid=2),
        other("d/char", tree.CHAR, 0o666, device=(1, 3)),
        other("d/fifo", tree.FIFO, 0o600, uid=9),
        file("d/file", b"text" * 1000, 0o4755, uid=3, gid=4, xattrs=((b"user.f", b"\0\n="),)),
        hard("d/hard", b"d/file"),
        link("d/link", b"/etc/" + b"x" * 120, uid=5, gid=6),
        folder("shut", 0o500),
        file("shut/in", b"i", 0o400, uid=2**21 + 5, gid=2**31),
        file("umläut\n\\x", b""),
        *[folder("/".join(["n" * 90] * depth)) for depth in (1, 2)],
        folder(long, 0o711),
        file(long + "/" + "f" * 120, b"deep"),
    ]
    return sorted(found, key=lambda item: item.entry.path)


@pytest.fixture
def packed(tmp_path) -> tuple[Packed, Path]:
    require_root()
    (tmp_path / "snapshot").mkdir()
    codec = Codec("gzip")
    return pack(
        items(), codec=codec, blob=tmp_path / "gz", snapshot=tmp_path / "snapshot"
    ), tmp_path


def test_gnu_tar_extracts_the_snapshot(packed):
    require("tar", "gzip")
    _, place = packed
    (place / "out").mkdir(mode=0o755)
    argv = ["tar", "-xpz", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-f", "../gz"]
    result = subprocess.run(argv, cwd=place / "out", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    os.utime(place / "out", ns=(EPOCH_NS, EPOCH_NS))
    assert listing(place / "out") == listing(place / "snapshot")


def test_gzip_and_zstd_find_no_fault(packed):
    require("gzip", "zstd")
    made, place = packed
    pack(items(), codec=Codec("zstd"), blob=place / "zst")
    for argv in (["gzip", "-dc", "gz"], ["zstd", "-dcq", "zst"]):
        with (place / argv[-1]).open("rb") as stream:
            result = subprocess.run(argv[:-1], stdin=stream, capture_output=True, check=True)
        assert Digest.sha256(result.stdout) == made.diff_id


def put(layout: Path, content: bytes) -> str:
    digest = Digest.sha256(content)
    (layout / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (layout / "blobs/sha256" / digest.hex).write_bytes(content)
    return digest


def layout(place: Path, *layers: list[Item]) -> Path:
    """A minimal OCI layout with one image, tagged ``x``."""
    root = place / "layout"
    made = [(pack(i, codec=Codec(), blob=place / f"l{n}"), n) for n, i in enumerate(layers)]
    blobs = [(p, put(root, (place / f"l{n}").read_bytes())) for p, n in made]
    diff_ids = [p.diff_id for p, _ in blobs]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()
    types = "application/vnd.oci.image."
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": types + "manifest.v1+json",
            "config": {
                "mediaType": types + "config.v1+json",
                "digest": put(root, config),
                "size": len(config),
            },
            "layers": [
                {"mediaType": p.blob.media_type, "digest": d, "size": p.blob.size} for p, d in blobs
            ],
        }
    ).encode()
    entry = {
        "mediaType": types + "manifest.v1+json",
        "digest": put(root, manifest),
        "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": "x"},
    }
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return root


def test_umoci_unpacks_the_snapshot_and_applies_whiteouts(packed):
    require("umoci")
    _, place = packed
    upper = [
        folder("d", 0o2750, uid=1, gid=2),
        whiteout("d/fifo"),
        other("shut", tree.OPAQUE, 0o500),
    ]
    image = layout(place, items(), upper)
    argv = ["umoci", "unpack", "--image", f"{image}:x", str(place / "bundle")]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    expected = listing(place / "snapshot")
    del expected[b"d/fifo"], expected[b"shut/in"]
    found = listing(place / "bundle/rootfs")
    for each in (expected, found):
        del each[b""]
    assert found == expected
