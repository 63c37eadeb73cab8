import os
import stat

import pytest
from blake3 import blake3
from support.capability import require_root
from support.layers import file, folder, hard, link, listing, other, whiteout

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tree import Entry


@pytest.fixture
def root(tmp_path):
    require_root()
    path = tmp_path / "root"
    path.mkdir(mode=0o700)
    return path


def test_every_kind_arrives_with_its_attributes(root, tmp_path):
    (tmp_path / "source").write_bytes(b"s" * 3_000_000)
    items = [
        folder("d", 0o2750, uid=1, gid=2, xattrs=((b"user.d", b"1"),)),
        other("d/char", tree.CHAR, 0o666, device=(1, 3)),
        other("d/fifo", tree.FIFO, 0o600, uid=9),
        file("d/file", b"text", 0o6755, uid=3, gid=4, xattrs=((b"user.f", b"\0"),)),
        hard("d/hard", b"d/file", 0o6755, uid=3, gid=4),
        link("d/link", b"/etc/passwd", uid=5, gid=6),
        whiteout("d/old"),
        folder("shut", 0o000),
        file("shut/in", b"i", 0o000),
        Item(Entry(b"source", tree.FILE, 0o644), os.fsencode(tmp_path / "source")),
        file("timed", b"", mtime=1_700_000_000_000_000_001),
    ]
    packed = pack(items, snapshot=root)
    found = listing(root)
    t = EPOCH_NS
    assert found == {
        b"": ("0o40755", 0, 0, t, b"", b"", {}),
        b"d": ("0o42750", 1, 2, t, b"", b"", {"user.d": b"1"}),
        b"d/char": ("0o20666", 0, 0, t, b"d/char", os.makedev(1, 3), {}),
        b"d/fifo": ("0o10600", 9, 0, t, b"d/fifo", b"", {}),
        b"d/file": ("0o106755", 3, 4, t, b"d/file", b"text", {"user.f": b"\0"}),
        b"d/hard": ("0o106755", 3, 4, t, b"d/file", b"text", {"user.f": b"\0"}),
        b"d/link": ("0o120777", 5, 6, t, b"d/link", b"/etc/passwd", {}),
        b"d/old": ("0o20000", 0, 0, t, b"", 0, {}),
        b"shut": ("0o40000", 0, 0, t, b"", b"", {}),
        b"shut/in": ("0o100000", 0, 0, t, b"shut/in", b"i", {}),
        b"source": ("0o100644", 0, 0, t, b"source", b"s" * 3_000_000, {}),
        b"timed": ("0o100644", 0, 0, 1_700_000_000_000_000_001, b"timed", b"", {}),
    }
    assert packed.tree == pack(items).tree
    assert packed.diff_id == pack(items).diff_id


def test_without_a_tar_the_tree_and_the_snapshot_are_the_same(root, tmp_path):
    (tmp_path / "big").write_bytes(b"b" * 2_500_000)
    items = [
        Item(Entry(b"big", tree.FILE, 0o644), os.fsencode(tmp_path / "big")),
        folder("d"),
        file("d/f", b"text"),
    ]
    packed = pack(items, snapshot=root, tar=False)
    assert packed.tree == pack(items).tree
    assert (packed.diff_id, packed.size, packed.blob) == ("", 0, None)
    assert (root / "big").read_bytes() == b"b" * 2_500_000
    assert (root / "d/f").read_bytes() == b"text"


@pytest.mark.parametrize("userxattr", [False, True])
def test_opaque_directories_are_marked_as_overlayfs_wants_them(root, userxattr):
    pack([other("o", tree.OPAQUE, 0o711)], snapshot=root, userxattr=userxattr)
    name = "user.overlay.opaque" if userxattr else "trusted.overlay.opaque"
    assert listing(root)[b"o"][-1] == {name: b"y"}


def test_a_listed_root_gives_its_attributes(root):
    pack([folder("", 0o711, uid=7)], snapshot=root)
    assert listing(root)[b""][:3] == ("0o40711", 7, 0)


def test_the_umask_and_a_setgid_root_do_not_matter(root):
    os.chown(root, 0, 99)
    root.chmod(0o2777)
    before = os.umask(0o077)
    try:
        pack([folder("d"), file("d/f", b""), file("g", b"")], snapshot=root)
    finally:
        os.umask(before)
    found = listing(root)
    assert [found[p][:3] for p in (b"d", b"d/f", b"g")] == [
        ("0o40755", 0, 0),
        ("0o100644", 0, 0),
        ("0o100644", 0, 0),
    ]


def test_what_is_written_is_what_was_hashed(root, tmp_path):
    (tmp_path / "f").write_bytes(b"other")
    item = Item(
        Entry(b"f", tree.FILE, 0o644, size=5, content=blake3(b"right").hexdigest()),
        os.fsencode(tmp_path / "f"),
    )
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ContentError, match="changed"):
        pack([item], snapshot=root)
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_names_of_any_bytes(root):
    names = [b"\n", b"\xff\xfe", b" ", b"-rf", b"n" * 255]
    pack([file(name, name) for name in sorted(names)], snapshot=root)
    assert sorted(os.listdir(os.fsencode(root))) == sorted(names)


def test_a_setuid_file_keeps_its_bits_whoever_owns_it(root):
    pack([file("f", b"x", 0o4711, uid=1000, gid=1000)], snapshot=root)
    assert stat.S_IMODE((root / "f").stat().st_mode) == 0o4711
