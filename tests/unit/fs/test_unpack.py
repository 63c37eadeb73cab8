import errno
import io
import os
from pathlib import Path

import pytest
from support import layers
from support.capability import require_root
from support.judge import same_on_disk
from support.tarwrite import END, file, folder, hardlink, header, pax, symlink

from buildgraph.errors import ContentError, MachineError
from buildgraph.fs import snapshotwrite, tree
from buildgraph.fs.pack import pack
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tree import Entry
from buildgraph.fs.unpack import Limits, Unpacked, index, unpack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    require_root()
    folder = tmp_path / "root"
    folder.mkdir(mode=0o700)
    return folder


def both(archive: bytes, root: Path, **options) -> Unpacked:
    done = unpack(io.BytesIO(archive), root, **options)
    assert index(io.BytesIO(archive), **options) == done
    times = {"record_times": True, **options}
    same_on_disk(index(io.BytesIO(archive), **times), root)
    return done


def kinds(done: Unpacked) -> dict[bytes, str]:
    return {entry.path: entry.kind for entry in done.tree}


def code(archive: bytes, **options) -> str:
    with pytest.raises(ContentError) as caught:
        index(io.BytesIO(archive + END), **options)
    return caught.value.code


def test_what_was_packed_comes_back(root: Path, tmp_path: Path) -> None:
    items = [
        layers.folder(b"", 0o711, mtime=7),
        layers.folder(b"d", 0o1777, uid=3),
        layers.file(b"d/" + b"l" * 250, b"content" * 1000, uid=3_000_000, mtime=-5),
        layers.hard(b"d/m", b"d/" + b"l" * 250),
        layers.link(b"d/s", b"t" * 300),
        layers.other(b"e", tree.FIFO),
        layers.other(b"o", tree.OPAQUE, 0o755),
        layers.whiteout(b"w"),
        layers.file(b"x", xattrs=((b"user.a", b"\0\n="), (b"user.b", b""))),
    ]
    content, packed = layers.tar_of(items, tmp_path)
    done = both(content, root, record_times=True)
    assert (done.diff_id, done.size) == (packed.diff_id, packed.size)
    plain = index(io.BytesIO(content))
    untimed = tuple(e._replace(mtime=None) for e in packed.tree)
    assert plain.tree == untimed
    repacked = pack(
        [layers.Item(e, source=os.fsencode(root / os.fsdecode(e.path))) for e in done.tree],
        tar=False,
    )
    assert repacked.tree == done.tree


def test_all_bytes_are_named(root: Path) -> None:
    archive = file(b"x") + END
    plain, longer = both(archive, root), index(io.BytesIO(archive + bytes(9000)))
    assert longer.size == len(archive) + 9000
    assert longer.diff_id != plain.diff_id
    assert longer.tree == plain.tree


def test_times(root: Path, tmp_path: Path) -> None:
    archive = folder(b"d", mtime=5) + file(b"d/x", mtime=6) + symlink(b"s", b"t", mtime=7) + END
    done = both(archive, root)
    assert all(entry.mtime is None for entry in done.tree)
    assert (root / "d").stat().st_mtime == 5
    assert (root / "s").lstat().st_mtime == 7
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    unpack(io.BytesIO(archive), fixed, keep_times=False)
    assert {p.lstat().st_mtime_ns for p in [fixed, *fixed.rglob("*")]} == {EPOCH_NS}


def test_the_root_is_as_a_root_is(root: Path) -> None:
    both(file(b"x") + END, root)
    status = root.stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o755, EPOCH_NS)


def test_the_root_as_the_archive_says(root: Path) -> None:
    done = both(folder(b"./", 0o1750, uid=5) + file(b"./x") + END, root)
    assert done.tree[0] == Entry(b"", tree.DIRECTORY, 0o1750, 5)
    assert root.stat().st_mode & 0o7777 == 0o1750


def test_missing_parents(root: Path) -> None:
    done = both(file(b"a/b/x", mode=0o600) + folder(b"a", 0o700) + END, root)
    assert done.implied == (b"a/b",)
    assert [(e.path, e.mode) for e in done.tree] == [
        (b"a", 0o700),
        (b"a/b", 0o755),
        (b"a/b/x", 0o600),
    ]


@pytest.mark.parametrize(
    "archive",
    [
        folder(b"d") + file(b"d/x") + file(b".wh.d", b""),
        file(b".wh.d", b"") + folder(b"d") + file(b"d/x"),
        file(b".wh.d", b"") + file(b"d/x"),
        file(b".wh.d", b"") + file(b"d") + folder(b"d") + file(b"d/x"),
        file(b"d/x") + file(b"d/.wh..wh..opq", b""),
        file(b"d/.wh..wh..opq", b"") + file(b"d/x"),
    ],
)
def test_hiding_what_is_below_but_not_what_comes_along(archive: bytes, root: Path) -> None:
    assert kinds(both(archive + END, root)) == {b"d": tree.OPAQUE, b"d/x": tree.FILE}


@pytest.mark.parametrize("archive", [(b"x", b".wh.x"), (b".wh.x", b"x")])
def test_a_file_covers_its_own_whiteout(archive: tuple[bytes, bytes], root: Path) -> None:
    assert kinds(both(b"".join(map(file, archive)) + END, root)) == {b"x": tree.FILE}


def test_opaque_for_a_user_namespace(root: Path) -> None:
    unpack(io.BytesIO(file(b"d/.wh..wh..opq", b"") + END), root, userxattr=True)
    assert os.listxattr(root / "d") == ["user.overlay.opaque"]


def test_plain_archives_delete_nothing() -> None:
    for name in (b".wh.x", b"d/.wh..wh..opq", b".wh.d/x", b".wh..wh.aufs"):
        assert code(file(name, b""), whiteouts=False) == "archive-whiteout"
    assert code(symlink(b"s", b".wh.x") + file(b"s/y"), whiteouts=False) == "archive-name"
    assert index(io.BytesIO(file(b"a.wh.b") + END), whiteouts=False).tree[0].path == b"a.wh.b"


def test_nothing_lies_below_a_whiteout() -> None:
    assert code(file(b".wh.d/x")) == "archive-name"
    assert code(symlink(b"s", b"/.wh.d") + file(b"s/x")) == "archive-name"


BELOW = {
    entry.path: entry
    for entry in (
        Entry(b"", tree.DIRECTORY, 0o711, 1, 2),
        Entry(b"bin", tree.SYMLINK, 0o777, link=b"usr/bin"),
        Entry(b"tmp", tree.DIRECTORY, 0o1777, xattrs=((b"user.a", b"b"),)),
        Entry(b"usr", tree.DIRECTORY, 0o750, 3, 4),
        Entry(b"usr/bin", tree.DIRECTORY, 0o700, 5, 6),
    )
}.get


def test_parents_as_the_stack_below_has_them(root: Path) -> None:
    done = both(file(b"bin/sh") + file(b"tmp/x") + END, root, below=BELOW)
    assert [e[:5] for e in done.tree if e.kind == tree.DIRECTORY] == [
        (b"tmp", "d", 0o1777, 0, 0),
        (b"usr", "d", 0o750, 3, 4),
        (b"usr/bin", "d", 0o700, 5, 6),
    ]
    assert b"usr/bin/sh" in kinds(done)
    assert done.implied == (b"tmp", b"usr", b"usr/bin")
    assert (root.stat().st_mode & 0o7777, root.stat().st_uid) == (0o711, 1)


def test_a_link_below_that_is_covered_later(root: Path) -> None:
    done = both(file(b"bin/sh") + folder(b"bin") + file(b"bin/sh") + END, root, below=BELOW)
    assert {b"usr/bin/sh", b"bin/sh"} <= kinds(done).keys()


def test_what_is_hidden_below_says_nothing(root: Path) -> None:
    archive = file(b".wh.bin", b"") + file(b"bin/sh") + file(b".wh..wh..opq", b"") + file(b"tmp/x")
    done = index(io.BytesIO(archive + END), below=BELOW)
    assert {e.path: (e.kind, e.mode) for e in done.tree if e.path in (b"bin", b"tmp")} == {
        b"bin": (tree.OPAQUE, 0o755),
        b"tmp": (tree.DIRECTORY, 0o755),
    }


def test_hard_links_follow_parents_inside_the_root(root: Path) -> None:
    archive = file(b"real/x") + symlink(b"s", b"/../real") + hardlink(b"h", b"/s/x")
    done = both(archive + END, root)
    assert {e.path: e.link for e in done.tree}[b"real/x"] == b"h"
    assert os.lstat(root / "h").st_ino == os.lstat(root / "real/x").st_ino


def test_the_first_path_of_hard_links_is_the_file(root: Path) -> None:
    archive = file(b"z", b"1") + hardlink(b"m", b"z") + hardlink(b"a", b"m") + file(b"z", b"2")
    done = both(archive + END, root)
    assert [(e.path, e.kind, e.link) for e in done.tree] == [
        (b"a", "f", b""),
        (b"m", "h", b"a"),
        (b"z", "f", b""),
    ]
    assert done.tree[0].content == done.tree[1].content != done.tree[2].content


def test_a_link_to_what_it_would_remove() -> None:
    assert code(file(b"d/e/x") + hardlink(b"d", b"d/e/x")) == "archive-link"


def test_replacing_a_whole_directory_again_and_again(root: Path) -> None:
    archive = b"".join(file(b"d/%d/x" % i) + file(b"d") + folder(b"d") for i in range(20))
    assert kinds(both(archive + END, root)) == {b"d": "d"}


def test_umask_and_setgid_do_not_matter(root: Path) -> None:
    before = os.umask(0o077)
    try:
        root.chmod(0o2777)
        os.chown(root, 0, 50)
        both(
            folder(b"d", 0o2775, gid=60)
            + file(b"d/x", mode=0o666)
            + header(b"p", b"6", mode=0o666)
            + END,
            root,
        )
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("limits", "archive"),
    [
        (Limits(entries=3), b"".join(file(b"%d" % i) for i in range(4))),
        (Limits(entries=3), file(b"a/b/c/d")),
        (Limits(names=1000), b"".join(file(b"n" * 90 + b"%d" % i) for i in range(12))),
        (Limits(names=1000), symlink(b"s", b"d/" * 400) + file(b"s/x")),
        (
            Limits(names=900),
            symlink(b"s", b"/" * 90) + b"".join(file(b"s/%d/x" % i) for i in range(12)),
        ),
        (Limits(names=1000), pax([(b"SCHILY.xattr.user.x", bytes(1001))]) + file(b"x")),
    ],
)
def test_limits(limits: Limits, archive: bytes) -> None:
    assert code(archive, limits=limits) == "archive-too-big"


def test_a_full_disk_leaves_nothing(root: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = file(b"a/b/x", b"1") + symlink(b"s", b"t") + END
    monkeypatch.setattr(snapshotwrite.os, "symlink", full)
    with pytest.raises(MachineError) as caught:
        unpack(io.BytesIO(archive), root)
    assert caught.value.code == "no-space"
    assert "/s" in caught.value.message
    assert os.listdir(root) == []


def test_what_the_kernel_refuses_is_named(root: Path) -> None:
    archive = pax([(b"SCHILY.xattr.user.x", b"1")]) + symlink(b"s", b"t") + END
    with pytest.raises(ContentError) as caught:
        unpack(io.BytesIO(archive), root)
    assert caught.value.code == "archive-xattr"
    assert "/s " in caught.value.message
    assert os.listdir(root) == []


def test_no_descriptor_is_left(root: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    unpack(io.BytesIO(file(b"a/x") + folder(b"b") + END), root)
    with pytest.raises(ContentError):
        unpack(io.BytesIO(file(b"c/x") + file(b"../x") + END), root)
    assert descriptors() == before
