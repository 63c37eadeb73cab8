import os
import stat
import tarfile

import pytest
from support.capability import require_root

from buildgraph.errors import ContentError, UsageError
from buildgraph.fs import tree
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.tree import Entry
from buildgraph.image.rootfs import write_local, write_tar


@pytest.fixture
def stack(tmp_path):
    """Three layers: a tree, then deletions and links, then a folder made again."""
    require_root()
    layers = [
        [
            Item(Entry(b"bin", tree.SYMLINK, 0o777, link=b"usr/bin")),
            Item(Entry(b"etc", tree.DIRECTORY, 0o755)),
            Item(Entry(b"etc/a", tree.FILE, 0o640, 7, 8), data=b"one"),
            Item(Entry(b"etc/b", tree.FILE, 0o644), data=b"gone"),
            Item(Entry(b"etc/c", tree.HARDLINK, link=b"etc/b")),
            Item(Entry(b"etc/d", tree.HARDLINK, link=b"etc/b")),
            Item(Entry(b"opt", tree.DIRECTORY, 0o755)),
            Item(Entry(b"opt/x", tree.FILE, 0o644), data=b"x"),
            Item(Entry(b"usr", tree.DIRECTORY, 0o755)),
            Item(Entry(b"usr/bin", tree.DIRECTORY, 0o755)),
            Item(Entry(b"usr/bin/su", tree.FILE, 0o4755), data=b"#!"),
        ],
        [
            Item(Entry(b"etc", tree.DIRECTORY, 0o700)),
            Item(Entry(b"etc/b", tree.WHITEOUT)),
            Item(Entry(b"opt", tree.WHITEOUT)),
            Item(Entry(b"tmp", tree.DIRECTORY, 0o1777)),
        ],
        [
            Item(Entry(b"opt", tree.DIRECTORY, 0o755)),
            Item(Entry(b"opt/y", tree.FILE, 0o644), data=b"y"),
        ],
    ]
    out = []
    for number, items in enumerate(layers):
        snapshot = tmp_path / f"snapshot{number}"
        snapshot.mkdir()
        out.append((pack(items, snapshot=snapshot, tar=False).tree, snapshot))
    return out


def test_tar_is_the_merged_filesystem(tmp_path, stack):
    write_tar(tmp_path / "out" / "x.tar", stack)
    with tarfile.open(tmp_path / "out" / "x.tar") as tar:
        found = {m.name: m for m in tar}
        assert list(found) == [
            "bin",
            "etc",
            "etc/a",
            "etc/c",
            "etc/d",
            "opt",
            "opt/y",
            "tmp",
            "usr",
            "usr/bin",
            "usr/bin/su",
        ]
        assert tar.extractfile("etc/c").read() == b"gone"
        assert (found["etc/d"].type, found["etc/d"].linkname) == (tarfile.LNKTYPE, "etc/c")
    assert found["etc"].mode == 0o700
    assert found["tmp"].mode == 0o1777
    assert (found["etc/a"].uid, found["etc/a"].gid, found["etc/a"].mode) == (7, 8, 0o640)
    assert os.listdir(tmp_path / "out") == ["x.tar"]
    assert stat.S_IMODE((tmp_path / "out" / "x.tar").stat().st_mode) == 0o644


def test_tar_bytes_are_the_same_again(tmp_path, stack):
    for name in ("a", "b"):
        write_tar(tmp_path / name, stack)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_snapshot_gives_no_tar(tmp_path, stack):
    (stack[0][1] / "etc/a").write_bytes(b"two")
    with pytest.raises(ContentError):
        write_tar(tmp_path / "x.tar", stack)
    assert not [p for p in tmp_path.iterdir() if "x.tar" in p.name]


def test_local_is_the_merged_filesystem(tmp_path, stack):
    out = tmp_path / "out"
    write_local(out, stack)
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*"))
    assert names == [
        "bin",
        "etc",
        "etc/a",
        "etc/c",
        "etc/d",
        "opt",
        "opt/y",
        "tmp",
        "usr",
        "usr/bin",
        "usr/bin/su",
    ]
    assert os.readlink(out / "bin") == "usr/bin"
    assert (out / "etc/c").stat().st_ino == (out / "etc/d").stat().st_ino
    assert stat.S_IMODE((out / "usr/bin/su").stat().st_mode) == 0o4755
    assert stat.S_IMODE((out / "etc").stat().st_mode) == 0o700
    assert (out / "etc/a").stat().st_uid == 7
    assert {int((out / n).stat().st_mtime) for n in ("etc", "usr", "etc/a", ".")} == {315532800}


def test_local_again_replaces_files_and_keeps_what_is_not_its_own(tmp_path, stack):
    out = tmp_path / "out"
    write_local(out, stack)
    (out / "mine").write_text("mine")
    (out / "etc/a").write_text("changed")
    (out / "etc/mine").write_text("mine")
    write_local(out, stack)
    assert (out / "etc/a").read_bytes() == b"one"
    assert (out / "mine").read_text() == (out / "etc/mine").read_text() == "mine"


def test_local_never_follows_a_link_that_lies_in_the_folder(tmp_path, stack):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a").write_text("safe")
    (out / "etc").symlink_to(elsewhere)
    (out / "bin").symlink_to("/nothing")
    (out / "tmp").write_text("a file")
    write_local(out, stack)
    assert (elsewhere / "a").read_text() == "safe"
    assert os.listdir(elsewhere) == ["a"]
    assert (out / "etc").is_dir()
    assert not (out / "etc").is_symlink()
    assert (out / "tmp").is_dir()


def test_local_refuses_a_folder_where_the_image_has_a_file(tmp_path, stack):
    out = tmp_path / "out"
    (out / "etc/a").mkdir(parents=True)
    with pytest.raises(UsageError, match="etc/a is a folder") as caught:
        write_local(out, stack)
    assert caught.value.code == "output-conflict"
    assert sorted(p.name for p in out.rglob("*")) == ["a", "etc"]


def test_outputs_that_cannot_be_written_say_so(tmp_path, stack):
    (tmp_path / "file").write_text("")
    for write in (write_local, write_tar):
        with pytest.raises(UsageError) as caught:
            write(tmp_path / "file" / "out", stack)
        assert caught.value.code == "output-refused"
