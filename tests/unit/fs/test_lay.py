import pytest

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, listing, place, spare
from buildgraph.fs.tree import Entry


def d(path, mode=0o755, uid=0, gid=0, kind=tree.DIRECTORY):
    return Entry(path.encode(), kind, mode, uid, gid)


def f(path, content="c"):
    return Entry(path.encode(), tree.FILE, 0o644, size=1, content=content)


def s(path, target):
    return Entry(path.encode(), tree.SYMLINK, 0o777, link=target.encode())


def w(path):
    return Entry(path.encode(), tree.WHITEOUT)


def below(*layers):
    return Below([listing(tree.sort(layer)) for layer in layers])


def laid(recipe, *layers):
    return {
        e.path.decode(): (e.kind, e.mode, e.uid)
        for e in place(tree.sort(recipe), below(*layers)).tree
    }


DEBIAN = [
    s("bin", "usr/bin"),
    d("usr"),
    d("usr/bin"),
    d("tmp", 0o1777),
    d("root", 0o700),
    d("home", 0o755, 5, 5),
]


def test_parents_keep_what_they_are_below():
    assert laid([f("tmp/x"), f("root/x"), f("home/x")], DEBIAN) == {
        "home": ("d", 0o755, 5),
        "home/x": ("f", 0o644, 0),
        "root": ("d", 0o700, 0),
        "root/x": ("f", 0o644, 0),
        "tmp": ("d", 0o1777, 0),
        "tmp/x": ("f", 0o644, 0),
    }


def test_links_among_the_parents_are_followed():
    placed = place((f("bin/x"),), below(DEBIAN))
    assert [e.path for e in placed.tree] == [b"usr", b"usr/bin", b"usr/bin/x"]
    assert placed.moved == {b"usr/bin/x": b"bin/x"}


def test_absolute_links_stay_inside_the_root():
    assert "run/x" in laid([f("var/run/x")], [d("var"), s("var/run", "/run"), d("run")])


def test_parents_that_are_nowhere_are_plain():
    assert laid([f("a/b/x")]) == {
        "a": ("d", 0o755, 0),
        "a/b": ("d", 0o755, 0),
        "a/b/x": ("f", 0o644, 0),
    }


def test_a_selected_directory_takes_the_lower_ones_attributes_unless_it_has_its_own():
    assert laid([d("tmp")], DEBIAN)["tmp"] == ("d", 0o1777, 0)
    assert laid([d("tmp", 0o700, kind=tree.FIXED_DIRECTORY)], DEBIAN)["tmp"] == ("d", 0o700, 0)
    assert laid([d("new", 0o750)], DEBIAN)["new"] == ("d", 0o750, 0)


def test_a_deleted_directory_is_not_there():
    assert laid([f("tmp/x")], DEBIAN, [w("tmp")])["tmp"] == ("d", 0o755, 0)


def test_a_file_over_a_directory_and_the_reverse_are_errors():
    for recipe in ([f("tmp")], [f("etc/x/y"), f("usr/bin")]):
        with pytest.raises(UsageError, match="over a directory"):
            laid(recipe, DEBIAN)
    with pytest.raises(UsageError, match="over a file"):
        laid([f("etc/passwd/x")], [d("etc"), f("etc/passwd")])


def test_a_link_loop_is_an_error():
    with pytest.raises(UsageError, match="too many symbolic links"):
        laid([f("a/x")], [s("a", "b"), s("b", "a")])


def test_a_file_replaces_a_link():
    assert laid([f("bin")], DEBIAN)["bin"] == ("f", 0o644, 0)


def test_a_deletion_spares_what_a_sibling_brought():
    base = [d("opt"), d("opt/d"), f("opt/d/one"), f("opt/d/two")]
    own = below(base)
    sibling = listing(tree.sort([d("opt"), d("opt/d"), f("opt/d/mine")]))
    spared = spare(tree.sort([w("opt/d")]), own, [sibling])
    assert [(e.path, e.kind) for e in spared] == [
        (b"opt/d", "d"),
        (b"opt/d/one", "w"),
        (b"opt/d/two", "w"),
    ]


def test_a_deletion_that_meets_nothing_stays_as_it_is():
    layer = tree.sort([w("opt/d")])
    sibling = listing(tree.sort([f("other")]))
    assert spare(layer, below([d("opt/d")]), [sibling]) is layer
