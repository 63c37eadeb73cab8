import errno
import hashlib
import io
import os
import pickle
import stat
import tarfile
import threading
import time
import zlib

import pytest
from backports import zstd
from blake3 import blake3
from support.layers import file, folder, hard, link, members, other, tar_of, whiteout

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.compress import Codec, open_decompressor
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.tree import Entry


def on_disk(path: bytes, place, **fields) -> Item:
    return Item(Entry(path, tree.FILE, 0o644, **fields), os.fsencode(place))


def noise(size: int, seed: int = 1) -> bytes:
    return blake3(seed.to_bytes(4, "big")).digest(length=size)


def everything() -> list[Item]:
    return [
        folder("a", 0o750, uid=3, gid=4),
        file("a/empty"),
        file("a/file", b"content", 0o4755, uid=5, xattrs=((b"user.x", b"\0y"),)),
        hard("a/hard", b"a/file", 0o4755, uid=5),
        link("a/link", b"../nowhere"),
        whiteout("a/old"),
        other("fifo", tree.FIFO),
        other("opaque", tree.OPAQUE, 0o711),
        file("opaque/x", b"x" * 513),
    ]


def test_a_layer_is_these_bytes_for_ever(tmp_path):
    """Golden: a change of this digest gives every image a new digest."""
    content, packed = tar_of(everything(), tmp_path)
    assert packed.diff_id == "sha256:" + hashlib.sha256(content).hexdigest()
    assert packed.diff_id == GOLDEN


GOLDEN = "sha256:f933e66b3074e5326de9da9e3ce86e0c9b2f2674ea355a9e9fcaad3f951ea335"


def test_members_come_as_given_with_fixed_times(tmp_path):
    content, packed = tar_of(everything(), tmp_path)
    found = members(content)
    assert [m.name for m in found] == [
        "a",
        "a/empty",
        "a/file",
        "a/hard",
        "a/link",
        "a/.wh.old",
        "fifo",
        "opaque",
        "opaque/.wh..wh..opq",
        "opaque/x",
    ]
    assert {m.mtime for m in found} == {315532800}
    assert {(m.uname, m.gname) for m in found} == {("", "")}
    assert packed.size == len(content)
    assert content[-1024:] == bytes(1024)


def test_the_tree_is_canonical_and_complete(tmp_path):
    _, packed = tar_of(everything(), tmp_path)
    assert [e.path for e in packed.tree] == [i.entry.path for i in everything()]
    by_path = {e.path: e for e in packed.tree}
    assert by_path[b"a/file"].content == blake3(b"content").hexdigest()
    assert by_path[b"a/file"].size == 7
    assert by_path[b"a/hard"] == by_path[b"a/file"]._replace(
        path=b"a/hard", kind=tree.HARDLINK, link=b"a/file"
    )
    assert tree.decode(tree.encode(packed.tree)) == packed.tree


def test_forms_that_mean_the_same_make_one_tree(tmp_path):
    one = pack([other("d", tree.FIXED_DIRECTORY, 0o755), other("l", tree.SYMLINK, 0, link=b"x")])
    two = pack([folder("d", size=4096), link("l", b"x", size=1)])
    assert one == two


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (1 << 20) - 512, (1 << 20) + 1, 3_500_000])
@pytest.mark.parametrize("before", [0, 1, 1023 * 1024, (1 << 20) - 1024, (1 << 20) - 1536])
def test_files_of_any_size_at_any_place(tmp_path, size, before):
    (tmp_path / "f").write_bytes(noise(size))
    items = [file("a", noise(before)), on_disk(b"b", tmp_path / "f")]
    content, packed = tar_of(items, tmp_path)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.extractfile("b").read() == noise(size)
    assert packed.tree[1].content == blake3(noise(size)).hexdigest()
    assert packed.tree[1].size == size


@pytest.mark.parametrize("codec", [Codec("gzip"), Codec("gzip", 3), Codec("zstd"), Codec("none")])
def test_blobs_hold_the_tar_whatever_the_workers(tmp_path, codec):
    items = [file(f"f{n}", noise(700_000, n) + bytes(600_000)) for n in range(9)]
    plain = pack(items)
    blobs = []
    for workers in (0, 1, 2, 5):
        packed = pack(items, codec=codec, blob=tmp_path / "blob", workers=workers)
        content = (tmp_path / "blob").read_bytes()
        assert (packed.diff_id, packed.size, packed.tree) == (
            plain.diff_id,
            plain.size,
            plain.tree,
        )
        assert packed.blob.digest == "sha256:" + hashlib.sha256(content).hexdigest()
        assert packed.blob.size == len(content)
        assert packed.blob.media_type == codec.media_type
        blobs.append(content)
    assert len(set(blobs)) == 1
    with open_decompressor(io.BytesIO(blobs[0])) as stream:
        tar = stream.read()
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == plain.diff_id


def test_gzip_is_one_member_with_a_fixed_head(tmp_path):
    pack([file("f", noise(3 << 20))], codec=Codec("gzip"), blob=tmp_path / "blob")
    content = (tmp_path / "blob").read_bytes()
    assert content[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    inflater = zlib.decompressobj(31)
    inflater.decompress(content)
    assert inflater.eof
    assert inflater.unused_data == b""


def test_zstd_is_read_by_others(tmp_path):
    packed = pack([file("f", noise(9 << 20))], codec=Codec("zstd"), blob=tmp_path / "blob")
    tar = zstd.decompress((tmp_path / "blob").read_bytes())
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == packed.diff_id


def test_an_empty_layer(tmp_path):
    content, packed = tar_of([], tmp_path)
    assert content == bytes(1024)
    assert packed.tree == ()


def test_known_contents_are_believed_only_when_true(tmp_path):
    place = tmp_path / "f"
    place.write_bytes(b"content")
    right = blake3(b"content").hexdigest()
    good = on_disk(b"f", place, size=7, content=right)
    assert pack([good]).tree == (good.entry,)
    for size, content in [(7, blake3(b"other").hexdigest()), (6, right), (8, right), (0, right)]:
        with pytest.raises(ContentError) as caught:
            pack([on_disk(b"f", place, size=size, content=content)])
        assert caught.value.code == "source-changed"
        assert str(place) in caught.value.message


def test_data_that_is_not_what_the_entry_says():
    wrong = Item(Entry(b"f", tree.FILE, size=1, content=blake3(b"b").hexdigest()), data=b"a")
    with pytest.raises(ContentError, match="its content is another"):
        pack([wrong])


def make_fifo(place):
    os.mkfifo(place)


def make_socket(place):
    os.mknod(place, stat.S_IFSOCK | 0o600)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda place: None, "No such file"),
        (lambda place: place.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda place: place.mkdir(), "no regular file"),
        (make_fifo, "no regular file"),
        (make_socket, "No such device"),
    ],
)
@pytest.mark.parametrize("known", [{}, {"size": 1, "content": "00" * 32}], ids=["new", "known"])
def test_a_source_that_is_no_file_never_blocks(tmp_path, make, why, known):
    place = tmp_path / "f"
    make(place)
    with pytest.raises(ContentError) as caught:
        pack([on_disk(b"f", place, **known)])
    assert caught.value.code == "source-changed"
    assert str(place) in caught.value.message
    assert known or why in caught.value.message


def test_an_endless_device_is_no_file():
    with pytest.raises(ContentError, match="no regular file"):
        pack([on_disk(b"f", "/dev/zero")])
    with pytest.raises(ContentError, match="changed"):
        pack([on_disk(b"f", "/dev/zero", size=9, content="00" * 32)])


def test_a_file_that_shrinks_or_grows_while_it_is_read(tmp_path, monkeypatch):
    place = tmp_path / "f"
    real = os.readv
    for size, why in [(100, "shrank"), (4 << 20, "grew")]:
        place.write_bytes(noise(2 << 20))

        def readv(fd, buffers, size=size):
            got = real(fd, buffers)
            os.truncate(place, size)
            return got

        monkeypatch.setattr(os, "readv", readv)
        with pytest.raises(ContentError, match=why):
            pack([on_disk(b"f", place)])


def test_a_failure_leaves_no_blob_and_no_thread(tmp_path):
    before = threading.active_count()
    items = [file("a", noise(8 << 20)), on_disk(b"b", tmp_path / "gone")]
    with pytest.raises(ContentError):
        pack(items, codec=Codec("gzip"), blob=tmp_path / "blob")
    assert not (tmp_path / "blob").exists()
    assert threading.active_count() == before


@pytest.mark.parametrize("name", ["gzip", "none"])
def test_a_full_disk_is_reported_from_the_writing_thread(tmp_path, monkeypatch, name):
    def write(fd, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = threading.active_count()
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        pack([file("a", noise(30 << 20))], codec=Codec(name), blob=tmp_path / "blob")
    assert threading.active_count() == before
    assert not (tmp_path / "blob").exists()


def test_a_failing_compressor_is_reported(tmp_path, monkeypatch):
    def broken(self):
        def compress(block):
            raise ZeroDivisionError

        return compress

    monkeypatch.setattr(Codec, "compressor", broken)
    with pytest.raises(ZeroDivisionError):
        pack([file("a", noise(30 << 20))], codec=Codec("gzip"), blob=tmp_path / "blob")
    assert not (tmp_path / "blob").exists()


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ([file("a/b")], "bad-tree"),
        ([file("a"), file("a/b")], "bad-tree"),
        ([link("a", b"/etc"), file("a/b")], "bad-tree"),
        ([file("..")], "bad-tree"),
        ([folder("a"), folder("a/.."), file("a/../b")], "bad-tree"),
        ([file("/etc")], "bad-tree"),
        ([folder("a"), file("a/")], "bad-tree"),
        ([file(b"a\0b")], "bad-tree"),
        ([hard("a", b"b"), file("b")], "bad-tree"),
        ([hard("a", b"a")], "bad-tree"),
        ([hard("a", b"../../etc/passwd")], "bad-tree"),
        ([folder("a"), hard("b", b"a")], "bad-tree"),
        ([file("a"), hard("b", b"a"), hard("c", b"b")], "bad-tree"),
        ([file(".wh.x")], "whiteout-name"),
        ([folder("a"), folder("a/.wh..wh..opq")], "whiteout-name"),
        ([other("a", tree.CHAR)], "whiteout-name"),
        ([file("a", xattrs=((b"user.a=b", b""),))], "bad-xattr"),
        ([file("a", xattrs=((b"trusted.overlay.opaque", b"y"),))], "bad-xattr"),
    ],
)
def test_trees_that_no_layer_can_hold(items, code):
    with pytest.raises(ContentError) as caught:
        pack(items)
    assert caught.value.code == code


@pytest.mark.parametrize("items", [[file("b"), file("a")], [file("a"), file("a")]])
def test_unsorted_items_are_a_mistake_of_the_caller(items):
    with pytest.raises(ValueError, match="not sorted"):
        pack(items)


def test_packs_run_in_threads_and_arguments_and_results_pickle(tmp_path):
    items = [file(f"f{n}", noise(600_000, n)) for n in range(8)]
    arguments, codec = pickle.loads(pickle.dumps((items, Codec("gzip"))))
    results = []

    def run(n):
        results.append(pack(arguments, codec=codec, blob=tmp_path / str(n)))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pickle.dumps(result) for result in results}) == 1
    assert pickle.loads(pickle.dumps(results[0])) == results[0]


def test_time_zone_and_umask_do_not_matter(tmp_path, monkeypatch):
    first = tar_of(everything(), tmp_path)[1]
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    before = os.umask(0o077)
    try:
        second = tar_of(everything(), tmp_path)[1]
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert first == second
    assert stat.S_IMODE((tmp_path / "tar").stat().st_mode) == 0o600
