"""Any tree, packed: what others read in the tar, and what becomes of it on disk and back, is that tree."""

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.capability import require_root
from support.layers import file, folder, hard, link, listing, other, tar_of, whiteout

from buildgraph.fs import tree
from buildgraph.fs.changes import scan
from buildgraph.fs.compress import Codec, open_decompressor
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.unpack import index, unpack

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"a.b", b"A", b"a-"]),
    st.binary(min_size=1, max_size=255).map(lambda n: n.translate(None, b"/\0")),
).filter(lambda n: n not in (b"", b".", b"..") and not n.startswith(b".wh."))
MODES = st.integers(0, 0o7777)
OWNERS = st.one_of(st.integers(0, 70000), st.sampled_from([2**21 - 1, 2**21, 2**31]))
TIMES = st.one_of(st.none(), st.integers(0, 2**33 * 10**9), st.just(1_700_000_000 * 10**9))
XATTRS = st.dictionaries(
    st.sampled_from([b"user.a", b"user.b", b"user.\xc3\xa4"]), st.binary(max_size=40), max_size=2
).map(lambda d: tuple(sorted(d.items())))


@st.composite
def layers(draw, *, mountable: bool = False) -> list[Item]:
    """Sorted items; ``mountable``: only what any filesystem can hold."""
    folders = [b""]
    items: dict[bytes, Item] = {}
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(folders))
        path = parent + b"/" + draw(NAMES) if parent else draw(NAMES)
        if path in items or len(path) > 900:
            continue
        fields = {"uid": draw(OWNERS), "gid": draw(OWNERS), "mtime": draw(TIMES)}
        if mountable:
            fields = {"uid": draw(OWNERS), "gid": draw(OWNERS)}
        kind = draw(st.sampled_from("dddffffhlpw" + ("" if mountable else "co")))
        items[path] = item(draw, path, kind, items, fields)
        if items[path].entry.kind in "do":
            folders.append(path)
    return sorted(items.values(), key=lambda found: found.entry.path)


def item(draw, path: bytes, kind: str, items: dict[bytes, Item], fields: dict) -> Item:
    files = [p for p, found in items.items() if found.entry.kind == "f" and p < path]
    match kind:
        case tree.DIRECTORY:
            return folder(path, draw(MODES), xattrs=draw(XATTRS), **fields)
        case tree.HARDLINK if files:
            first = draw(st.sampled_from(files))
            same = items[first].entry
            names = ("uid", "gid", "xattrs", "mtime")
            return hard(path, first, same.mode, **{n: getattr(same, n) for n in names})
        case tree.SYMLINK:
            target = draw(st.binary(min_size=1, max_size=150).filter(lambda t: b"\0" not in t))
            return link(path, target, **fields)
        case tree.FIFO:
            return other(path, kind, draw(MODES), **fields)
        case tree.WHITEOUT:
            return whiteout(path) if len(path.rpartition(b"/")[2]) < 250 else folder(path)
        case tree.CHAR:
            return other(path, kind, draw(MODES), device=(draw(st.integers(1, 4095)), 7), **fields)
        case tree.OPAQUE:
            return other(path, kind, draw(MODES), **fields)
    content = draw(st.one_of(st.binary(max_size=40), st.sampled_from([bytes(512), bytes(1025)])))
    return file(path, content, draw(MODES), xattrs=draw(XATTRS), **fields)


def tar_bytes(items: list[Item]) -> tuple[bytes, object]:
    with tempfile.TemporaryDirectory() as place:
        return tar_of(items, Path(place))


@given(layers())
def test_python_reads_what_was_packed(items):
    content, packed = tar_bytes(items)
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as archive:
        found = iter(archive)
        for item_, entry in zip(items, packed.tree, strict=True):
            member = next(found)
            parent, slash, base = entry.path.rpartition(b"/")
            name = parent + slash + b".wh." + base if entry.kind == "w" else entry.path
            assert os.fsencode(member.name) == name
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert os.fsencode(member.linkname) == entry.link
            assert int(float(member.mtime)) == (entry.mtime or 315532800 * 10**9) // 10**9 or (
                entry.mtime is not None
            )
            if entry.kind == tree.FILE:
                assert archive.extractfile(member).read() == item_.data
            if entry.kind == tree.OPAQUE:
                assert os.fsencode(next(found).name) == entry.path + b"/.wh..wh..opq"
        assert next(found, None) is None


@given(layers())
def test_reading_a_layer_back_gives_its_tree(items):
    content, packed = tar_bytes(items)
    timed = any(entry.mtime is not None for entry in packed.tree)
    found = index(io.BytesIO(content), record_times=False)
    assert found.diff_id == packed.diff_id
    assert found.tree == tuple(entry._replace(mtime=None) for entry in packed.tree)
    assert timed or tree.digest(found.tree) == tree.digest(packed.tree)


@given(layers(), st.sampled_from(["gzip", "zstd", "none"]), st.integers(0, 3))
def test_blobs_hold_the_tar(items, name, workers):
    content, packed = tar_bytes(items)
    with tempfile.TemporaryDirectory() as place:
        blob = Path(place, "blob")
        again = pack(items, codec=Codec(name), blob=blob, workers=workers)
        with open_decompressor(io.BytesIO(blob.read_bytes())) as stream:
            assert stream.read() == content
    assert again.diff_id == packed.diff_id


@given(layers(mountable=True))
@settings(max_examples=60)
def test_a_snapshot_holds_the_tree_and_scans_back_to_it(items):
    require_root()
    with tempfile.TemporaryDirectory() as place:
        packed, snapshot, unpacked = Path(place, "tar"), Path(place, "one"), Path(place, "two")
        snapshot.mkdir()
        unpacked.mkdir()
        made = pack(items, blob=packed, snapshot=snapshot)
        with packed.open("rb") as stream:
            unpack(stream, unpacked)
        assert listing(snapshot) == listing(unpacked)
        again = pack(scan(snapshot, None))
        without = [entry for entry in made.tree if entry.kind != tree.WHITEOUT]
        assert list(again.tree) == without
        if len(without) == len(made.tree):
            assert again.diff_id == made.diff_id


@pytest.fixture(autouse=True)
def _open_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)
