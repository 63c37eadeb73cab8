from time import perf_counter

import pytest

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.merge import Merged, merge
from buildgraph.fs.tree import Entry


def layer(*specs: str) -> tree.Tree:
    """``a/`` directory · ``a`` file · ``-a`` whiteout · ``o:a`` opaque · ``a>b`` symlink · ``a=b`` hard link."""
    out = []
    for spec in specs:
        if spec.startswith("-"):
            out.append(Entry(spec[1:].encode(), tree.WHITEOUT))
        elif spec.startswith("o:"):
            out.append(Entry(spec[2:].encode(), tree.OPAQUE, 0o755))
        elif spec.endswith("/"):
            out.append(Entry(spec[:-1].encode(), tree.DIRECTORY, 0o755))
        elif ">" in spec:
            name, _, target = spec.partition(">")
            out.append(Entry(name.encode(), tree.SYMLINK, 0o777, link=target.encode()))
        elif "=" in spec:
            name, _, target = spec.partition("=")
            out.append(Entry(name.encode(), tree.HARDLINK, 0o644, link=target.encode()))
        else:
            out.append(Entry(spec.encode(), tree.FILE, 0o644, size=1, content=f"c-{spec}"))
    return tree.sort(out)


def seen(*layers: tree.Tree) -> dict[str, int]:
    return {entry.path.decode(): index for entry, index in merge(layers)}


def test_upper_wins_and_directories_merge():
    assert seen(layer("a/", "a/x", "a/y"), layer("a/", "a/y", "a/z")) == {
        "a": 1,
        "a/x": 0,
        "a/y": 1,
        "a/z": 1,
    }


def test_whiteout_hides_a_path_and_all_below_it():
    assert seen(layer("a/", "a/b/", "a/b/c", "a-", "a/d"), layer("a/", "-a/b")) == {
        "a": 1,
        "a-": 0,
        "a/d": 0,
    }


def test_whiteout_does_not_hide_its_own_layer_nor_those_above():
    assert seen(layer("a/", "a/x"), layer("-a", "a/", "a/y"), layer("a/", "a/z")) == {
        "a": 2,
        "a/y": 1,
        "a/z": 2,
    }


def test_recreated_directory_does_not_bring_back_what_was_deleted():
    assert seen(layer("a/", "a/x"), layer("-a"), layer("a/", "a/z")) == {"a": 2, "a/z": 2}


def test_opaque_directory_hides_lower_content():
    placed = merge([layer("a/", "a/x"), layer("o:a", "a/y")])
    assert [(e.path, e.kind, i) for e, i in placed] == [(b"a", "d", 1), (b"a/y", "f", 1)]


def test_opaque_directory_below_another_directory():
    assert seen(layer("a/", "a/x"), layer("o:a", "a/y"), layer("a/", "a/z")) == {
        "a": 2,
        "a/y": 1,
        "a/z": 2,
    }


def test_opaque_root():
    assert seen(layer("x"), layer("o:", "y")) == {"": 1, "y": 1}


def test_file_over_directory_hides_all_below():
    assert seen(layer("a/", "a/x"), layer("a")) == {"a": 1}


def test_file_between_two_directories_is_a_wall():
    assert seen(layer("a/", "a/x"), layer("a"), layer("a/", "a/z")) == {"a": 2, "a/z": 2}


def test_symlink_over_directory_hides_all_below():
    assert seen(layer("a/", "a/x", "b/"), layer("a>b")) == {"a": 1, "b": 0}


def test_whiteout_below_a_hidden_directory_does_nothing_more():
    assert seen(layer("a/", "a/x"), layer("a/", "-a/x"), layer("o:a", "a/x")) == {"a": 2, "a/x": 2}


def test_unlisted_parents_come_from_below_or_are_plain():
    base = (Entry(b"a", tree.DIRECTORY, 0o1777),)
    placed = {e.path: e for e, _ in merge([base, layer("a/x", "b/c/d")])}
    assert placed[b"a"].mode == 0o1777
    assert placed[b"b"] == Entry(b"b", tree.DIRECTORY, 0o755)
    assert placed[b"b/c"].kind == tree.DIRECTORY


def test_unlisted_parent_ends_a_lower_file():
    assert seen(layer("a"), layer("a/x")) == {"a": 0, "a/x": 1}
    assert merge([layer("a"), layer("a/x")])[0][0].kind == tree.DIRECTORY


def test_hard_link_keeps_its_first_path():
    placed = merge([layer("a", "b=a")])
    assert placed[1][0].kind == tree.HARDLINK


def test_hard_link_becomes_a_file_when_its_first_path_is_hidden():
    placed = merge([layer("a", "b=a", "c=a"), layer("-a")])
    assert [(e.path, e.kind, e.content, e.link) for e, _ in placed] == [
        (b"b", "f", "c-a", b""),
        (b"c", "h", "", b"b"),
    ]


def test_hard_link_becomes_a_file_when_its_first_path_is_replaced():
    placed = merge([layer("a", "b=a"), layer("a")])
    assert [(e.path, e.kind, i) for e, i in placed] == [(b"a", "f", 1), (b"b", "f", 0)]


def test_sorted_by_bytes_with_parents_first():
    paths = [e.path for e, _ in merge([layer("a/", "a/b", "a-b", "a0"), layer("a/", "a/a")])]
    assert paths == [b"a", b"a-b", b"a/a", b"a/b", b"a0"]


def test_lookup_resolve_and_subtree():
    merged = Merged(
        [
            layer("usr/", "usr/bin/", "usr/bin/sh", "bin>usr/bin", "etc/", "etc/alt>/bin/sh"),
            layer("usr/", "usr/bin/", "usr/bin/new", "-etc/none"),
        ]
    )
    assert merged.resolve(b"/bin/sh") == (b"usr/bin/sh", ((b"bin", b"usr/bin"),))
    assert merged.resolve(b"etc/alt") == (
        b"usr/bin/sh",
        ((b"etc/alt", b"/bin/sh"), (b"bin", b"usr/bin")),
    )
    assert merged.resolve(b"bin", follow_last=False) == (b"bin", ())
    assert merged.resolve(b"../../bin/../bin/./nothing/x")[0] == b"usr/bin/nothing/x"
    assert merged.lookup(b"usr/bin/nothing") is None
    assert merged.lookup(b"").kind == tree.DIRECTORY
    assert [e.path for e, _ in merged.subtree(b"usr")] == [
        b"usr",
        b"usr/bin",
        b"usr/bin/new",
        b"usr/bin/sh",
    ]
    assert len(merged.subtree(b"")) == 7
    assert merged.subtree(b"us") == ()


def test_symlink_that_leaves_the_root_stays_inside():
    merged = Merged([layer("etc/", "etc/passwd", "x>../../../../etc/passwd")])
    assert merged.resolve(b"x")[0] == b"etc/passwd"


def test_symlink_loop_is_an_error_that_names_the_path():
    with pytest.raises(ContentError, match="/a/x") as caught:
        Merged([layer("a>b", "b>a")]).resolve(b"a/x")
    assert caught.value.code == "symlink-loop"


def test_subtree_keeps_the_way_to_what_is_chosen_and_copies_cut_links():
    merged = Merged([layer("d/", "d/a/", "d/a/1.py", "d/a/2.txt", "d/b/", "d/b/3.py=d/a/2.txt")])
    chosen = merged.subtree(b"d", lambda path, is_dir: not is_dir and path.endswith(b".py"))
    assert [(e.path, e.kind) for e, _ in chosen] == [
        (b"d", "d"),
        (b"d/a", "d"),
        (b"d/a/1.py", "f"),
        (b"d/b", "d"),
        (b"d/b/3.py", "f"),
    ]
    assert chosen[-1][0].content == "c-d/a/2.txt"


def test_file_as_subtree():
    assert [e.path for e, _ in Merged([layer("a/", "a/x", "a/x.y")]).subtree(b"a/x")] == [b"a/x"]


def test_a_hundred_thousand_entries_merge_in_linear_time():
    big = tuple(
        Entry(
            b"d%03d" % (n // 500) + (b"/f%03d" % (n % 500) if n % 500 else b""),
            "f" if n % 500 else "d",
        )
        for n in range(100_000)
    )
    start = perf_counter()
    assert len(merge([tree.sort(big), layer("-d003", "-d005/f001")])) == 99_499
    assert perf_counter() - start < 5
