import os
import stat

import pytest
from support.capability import require_root
from support.layers import listing
from support.upper import Stack

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.changes import normalize_times, scan, select
from buildgraph.fs.pack import pack
from buildgraph.fs.settle import settle
from buildgraph.fs.tarball import EPOCH_NS


@pytest.fixture
def stack(tmp_path):
    require_root()
    return Stack(tmp_path)


def test_nothing_changed(stack):
    stack.write(stack.below, "a/b")
    assert stack.scan() == ()


def test_what_is_equal_goes_with_its_folders(stack):
    stack.both("a/b/same")
    stack.both("a/c/same")
    stack.write(stack.upper, "a/c/new")
    assert stack.found() == [("a", "d"), ("a/c", "d"), ("a/c/new", "f")]
    assert [i.implied for i in stack.scan()] == [True, True, False]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.write_bytes(b"diff"),
        lambda p: p.write_bytes(b"longer content"),
        lambda p: p.chmod(0o600),
        lambda p: os.chown(p, 1, 0),
        lambda p: os.chown(p, 0, 1),
        lambda p: os.setxattr(p, "user.x", b""),
        lambda p: (p.unlink(), p.symlink_to("x")),
        lambda p: (p.unlink(), os.mkfifo(p)),
        lambda p: (p.unlink(), p.mkdir()),
        lambda p: (p.unlink(), os.mknod(p, 0o644 | stat.S_IFCHR, os.makedev(1, 3))),
    ],
)
def test_any_change_of_a_file_is_kept(stack, change):
    stack.both("d/f")
    change(stack.upper / "d/f")
    assert [path for path, _ in stack.found()] == ["d", "d/f"]


def test_times_do_not_count_unless_kept(stack):
    stack.both("f")
    os.utime(stack.below / "f", ns=(5, 5))
    assert stack.scan() == ()
    kept = stack.scan(keep_times=True)
    assert [i.entry.mtime for i in kept if i.entry.path] == [(stack.upper / "f").stat().st_mtime_ns]


def test_a_changed_folder_is_kept_without_what_is_equal_in_it(stack):
    stack.both("d/f")
    (stack.upper / "d").chmod(0o700)
    (item,) = stack.scan()
    assert (item.entry.path, item.entry.mode, item.implied) == (b"d", 0o700, False)


def test_links_devices_and_pipes_equal_to_those_below_go(stack):
    for root in (stack.upper, stack.below):
        (root / "l").symlink_to("to")
        os.mkfifo(root / "p", 0o600)
        os.mknod(root / "n", stat.S_IFBLK | 0o600, os.makedev(7, 1))
    assert stack.scan() == ()
    (stack.upper / "l").unlink()
    (stack.upper / "l").symlink_to("ot")
    (stack.upper / "n").unlink()
    os.mknod(stack.upper / "n", stat.S_IFBLK | 0o600, os.makedev(7, 2))
    assert stack.found() == [("l", "l"), ("n", "b")]


def test_the_root_is_listed_only_when_it_changed(stack):
    (stack.upper / "").chmod(0o711)
    (item,) = stack.scan()
    assert (item.entry.path, item.entry.kind, item.entry.mode) == (b"", "d", 0o711)


def test_without_anything_below_everything_is_new(stack):
    stack.write(stack.upper, "a/f")
    stack.whiteout("a/w")
    stack.opaque("o")
    found = [(i.entry.path, i.entry.kind) for i in scan(stack.upper, None)]
    assert found == [(b"a", "d"), (b"a/f", "f"), (b"o", "d")]


def test_whiteouts_only_of_what_is_there(stack):
    stack.write(stack.below, "d/there")
    stack.whiteout("d/there")
    stack.whiteout("d/absent")
    stack.whiteout("e/absent")
    assert stack.found() == [("d", "d"), ("d/there", "w"), ("e", "d")]


def test_a_folder_that_only_had_absent_whiteouts_goes(stack):
    stack.folders(stack.below, "d")
    stack.whiteout("d/absent")
    assert stack.scan() == ()


@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "user.overlay.opaque"])
def test_an_opaque_folder_becomes_plain_with_whiteouts(stack, name):
    stack.write(stack.below, "d/old")
    stack.write(stack.below, "d/deep/older")
    stack.both("d/same")
    stack.write(stack.upper, "d/new")
    stack.opaque("d", name)
    assert stack.found() == [("d", "d"), ("d/deep", "w"), ("d/new", "f"), ("d/old", "w")]
    assert all(not i.entry.xattrs for i in stack.scan())


def test_a_folder_made_again_as_it_was_is_no_change(stack):
    stack.both("d/same")
    stack.opaque("d")
    assert stack.scan() == ()


def test_opaque_folders_inside_opaque_folders(stack):
    stack.write(stack.below, "d/e/old")
    stack.both("d/e/same")
    stack.opaque("d")
    stack.opaque("d/e")
    assert stack.found() == [("d", "d"), ("d/e", "d"), ("d/e/old", "w")]


def test_what_is_in_an_opaque_folder_is_opaque_without_saying_so(stack):
    stack.write(stack.below, "d/e/f/old")
    stack.both("d/e/f/same")
    stack.opaque("d")
    assert stack.found() == [("d", "d"), ("d/e", "d"), ("d/e/f", "d"), ("d/e/f/old", "w")]


def test_a_folder_in_place_of_a_file_or_link_has_nothing_below(stack):
    stack.write(stack.below, "real/x")
    (stack.below / "d").symlink_to("real")
    stack.write(stack.upper, "d/x")
    stack.whiteout("d/y")
    stack.opaque("d")
    assert stack.found() == [("d", "d"), ("d/x", "f")]


def test_a_file_in_place_of_a_folder(stack):
    stack.write(stack.below, "d/x")
    stack.write(stack.upper, "d")
    assert stack.found() == [("d", "f")]


def test_overlay_attributes_and_labels_go(stack):
    stack.both("f")
    for name in ("trusted.overlay.origin", "user.overlay.x", "security.selinux"):
        os.setxattr(stack.upper / "f", name, b"1")
    os.setxattr(stack.upper, "trusted.overlay.impure", b"y")
    assert stack.scan() == ()


def test_other_attributes_stay_sorted(stack):
    stack.write(stack.upper, "f")
    os.setxattr(stack.upper / "f", "user.b", b"2")
    os.setxattr(stack.upper / "f", "user.a", b"")
    assert stack.scan()[0].entry.xattrs == ((b"user.a", b""), (b"user.b", b"2"))


def make_socket(place):
    os.mknod(place, stat.S_IFSOCK | 0o600)


def test_sockets_count_as_absent(stack):
    make_socket(stack.upper / "new")
    make_socket(stack.upper / "old")
    stack.write(stack.below, "old")
    assert stack.found() == [("old", "w")]


def test_names_of_one_inode_are_links_to_the_first(stack):
    stack.write(stack.upper, "b/two", b"text", 0o755)
    stack.folders(stack.upper, "a")
    os.link(stack.upper / "b/two", stack.upper / "a/one")
    os.link(stack.upper / "b/two", stack.upper / "c")
    found = {i.entry.path: i for i in stack.scan()}
    assert found[b"a/one"].entry.kind == tree.FILE
    assert found[b"b/two"].entry.link == b"a/one"
    assert found[b"c"].entry.link == b"a/one"
    assert found[b"c"].entry.mode == 0o755
    assert pack(stack.scan()).tree[1].content


def test_hard_links_of_symlinks(stack):
    (stack.upper / "a").symlink_to("x")
    os.link(stack.upper / "a", stack.upper / "b", follow_symlinks=False)
    assert stack.found() == [("a", "l"), ("b", "h")]


def test_a_new_link_to_an_unchanged_file_keeps_both(stack):
    stack.both("a")
    os.link(stack.upper / "a", stack.upper / "b")
    assert stack.found() == [("a", "f"), ("b", "h")]


def test_equal_names_that_are_newly_one_inode_are_kept(stack):
    stack.both("a")
    stack.write(stack.below, "b")
    os.link(stack.upper / "a", stack.upper / "b")
    assert stack.found() == [("a", "f"), ("b", "h")]


def test_links_that_are_links_below_too_go(stack):
    stack.both("a")
    for root in (stack.upper, stack.below):
        os.link(root / "a", root / "b")
    assert stack.scan() == ()


def test_whiteouts_that_share_an_inode_are_whiteouts(stack):
    for name in "ab":
        stack.write(stack.below, name)
    stack.whiteout("a")
    os.link(stack.upper / "a", stack.upper / "b")
    assert stack.found() == [("a", "w"), ("b", "w")]


def test_order_is_by_bytes_of_the_whole_path(stack):
    for name in ("a/x", "a.b", "a-b/x", "B", "ä"):
        stack.write(stack.upper, name)
    assert [p for p, _ in stack.found()] == ["B", "a", "a-b", "a-b/x", "a.b", "a/x", "ä"]


def test_big_files_are_compared_to_the_end(stack):
    stack.both("big", b"x" * 700_000)
    assert stack.scan() == ()
    stack.write(stack.upper, "big", b"x" * 699_999 + b"y")
    assert stack.found() == [("big", "f")]


def test_paths_beyond_what_the_kernel_takes_are_an_error(stack, monkeypatch):
    monkeypatch.chdir(stack.upper)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    with pytest.raises(ContentError) as caught:
        stack.scan()
    assert caught.value.code == "unreadable-change"


def names(items):
    return [item.entry.path.decode() for item in items]


def test_outputs_keep_only_what_matches_and_its_folders(stack):
    for path in ("app/bin/x", "app/lib/y", "tmp/z"):
        stack.write(stack.upper, path)
    items = stack.scan()
    assert names(select(items, ["/app/bin"])) == ["app", "app/bin", "app/bin/x"]
    assert names(select(items, ["**/y"])) == ["app", "app/lib", "app/lib/y"]
    assert names(select(items, ["nothing"])) == []
    assert select(items) == items


def test_discard_wins_and_takes_folders_that_were_only_needed(stack):
    stack.write(stack.upper, "var/log/apt/history.log")
    stack.folders(stack.below, "var/log/apt")
    stack.write(stack.upper, "usr/x")
    items = stack.scan()
    assert names(select(items, [], ["/var/log/apt/**"])) == ["usr", "usr/x"]
    assert names(select(items, ["usr", "var"], ["**/x"])) == [
        "usr",
        "var",
        "var/log",
        "var/log/apt",
        "var/log/apt/history.log",
    ]


def test_a_new_folder_whose_files_are_discarded_stays(stack):
    stack.write(stack.upper, "cache/x")
    assert names(select(stack.scan(), [], ["cache/**"])) == ["cache"]
    assert names(select(stack.scan(), [], ["cache"])) == []


def test_deletions_are_selected_like_anything(stack):
    stack.write(stack.below, "d/old")
    stack.whiteout("d/old")
    items = stack.scan()
    assert names(select(items, [], ["d/**"])) == []
    assert names(select(items, ["d"])) == ["d", "d/old"]
    assert names(select(items, ["d/old/"])) == ["d", "d/old"]


def test_links_that_lose_their_first_name_get_a_new_one(stack):
    stack.write(stack.upper, "a", b"text")
    for name in ("b", "c", "d"):
        os.link(stack.upper / "a", stack.upper / name)
    chosen = select(stack.scan(), [], ["a"])
    assert [(i.entry.path, i.entry.kind, i.entry.link) for i in chosen] == [
        (b"b", "f", b""),
        (b"c", "h", b"b"),
        (b"d", "h", b"b"),
    ]
    packed = pack(chosen)
    assert packed.tree[0].size == 4
    assert packed.tree[0].content


def test_normalize_times_touches_links_themselves(stack):
    stack.write(stack.upper, "d/f")
    (stack.upper / "d/l").symlink_to("f")
    items = stack.scan()
    normalize_times(stack.upper, items)
    assert {attributes[3] for attributes in listing(stack.upper).values()} == {EPOCH_NS}


def test_kept_times_are_put_back(stack):
    stack.write(stack.upper, "d/f")
    os.utime(stack.upper / "d/f", ns=(1, 7))
    os.utime(stack.upper / "d", ns=(1, 9))
    items = stack.scan(keep_times=True)
    normalize_times(stack.upper, items)
    found = listing(stack.upper)
    assert (found[b"d/f"][3], found[b"d"][3]) == (7, 9)


@pytest.mark.parametrize("trash", [False, True])
def test_a_settled_upper_is_what_its_layer_unpacks_to(stack, tmp_path, trash):
    for path in ("d/old", "d/deep/x", "e/old", "gone/x", "s"):
        stack.write(stack.below, path)
    stack.both("d/same")
    stack.both("left/alone/f")
    stack.write(stack.upper, "d/new", b"new", 0o4755)
    os.link(stack.upper / "d/new", stack.upper / "linked")
    stack.opaque("d")
    stack.whiteout("e/old")
    stack.whiteout("e/absent")
    make_socket(stack.upper / "s")
    make_socket(stack.upper / "t")
    stack.write(stack.upper, "tmp/dropped/file")
    os.setxattr(stack.upper / "d/new", "trusted.overlay.origin", b"1")
    os.setxattr(stack.upper / "d/new", "user.kept", b"1")
    items = select(stack.scan(), [], ["tmp"])
    (tmp_path / "packed").mkdir()
    pack(items, snapshot=tmp_path / "packed")
    bin_ = tmp_path / "trash"
    bin_.mkdir()
    settle(stack.upper, items, bin_ if trash else None)
    assert listing(stack.upper) == listing(tmp_path / "packed")
    assert bool(os.listdir(bin_)) == trash
    settle(stack.upper, items)
    assert listing(stack.upper) == listing(tmp_path / "packed")
    assert scan(stack.upper, stack.below) == items
