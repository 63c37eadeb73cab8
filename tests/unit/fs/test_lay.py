import pytest

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, Outline, listing, place
from buildgraph.fs.siblings import spare
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


def test_the_one_of_mode_and_owner_that_is_not_given_is_that_of_the_lower_directory():
    def given(path, alone):
        return Entry(path.encode(), tree.FIXED_DIRECTORY, 0o750, 7, 8, link=alone)

    recipe = [given("home", tree.MODE_ALONE), given("tmp", tree.OWNER_ALONE)]
    recipe += [given("new", tree.MODE_ALONE), given("bin", tree.OWNER_ALONE), f("bin/x")]
    there = [e._replace(mode=0o700) if e.path == b"usr/bin" else e for e in DEBIAN]
    assert {
        e.path: (e.mode, e.uid, e.gid) for e in place(tree.sort(recipe), below(there)).tree
    } == {
        b"home": (0o750, 5, 5),
        b"new": (0o750, 7, 8),
        b"tmp": (0o1777, 7, 8),
        b"usr": (0o755, 0, 0),
        b"usr/bin": (0o700, 7, 8),
        b"usr/bin/x": (0o644, 0, 0),
    }
    assert outlined(recipe[:3], DEBIAN) == place(tree.sort(recipe[:3]), below(DEBIAN)).tree


# -- what a Dockerfile's recipes say of their directories


def n(path, how, mode=0o755, uid=0, *, own=False):
    kind = tree.FIXED_DIRECTORY if own else tree.DIRECTORY
    return Entry(path.encode(), kind, mode, uid, uid, link=how)


def outlined(recipe, *layers):
    """The same by the short way, None where only the long one can tell."""
    recipe, stack = tree.sort(recipe), below(*layers)
    outline = Outline(recipe)
    folders = [frozenset(e.path for e in layer if e.kind in "dDo") for layer in layers]
    met = outline.meets(stack, folders)
    return None if met is None else outline.laid(met, stack.lookup(b""))


def test_a_file_goes_into_a_directory_that_is_there_and_else_lies_there_itself():
    recipe = [n("srv", tree.HERE + b"x"), f("srv/x")]
    assert laid(recipe, [d("srv", 0o700, 3)]) == {
        "srv": ("d", 0o700, 3),
        "srv/x": ("f", 0o644, 0),
    }
    assert laid(recipe) == {"srv": ("f", 0o644, 0)}
    assert place(tree.sort(recipe), below()).moved == {b"srv": b"srv/x"}
    assert laid(recipe, [f("srv")]) == {"srv": ("f", 0o644, 0)}
    assert set(laid(recipe, [s("srv", "data"), d("data")])) == {"data", "data/x"}
    assert set(laid(recipe, [s("srv", "old"), f("old")])) == {"old"}


def test_of_several_files_the_named_one_is_left_where_there_is_no_directory():
    recipe = [n("srv", tree.HERE + b"y"), f("srv/x", "1"), f("srv/y", "2")]
    assert [(e.path, e.content) for e in place(tree.sort(recipe), below()).tree] == [(b"srv", "2")]
    assert "srv/x" in laid(recipe, [d("srv")])


def test_the_short_way_leaves_the_choice_to_the_long_one():
    recipe = [n("srv", tree.HERE + b"x"), f("srv/x")]
    assert outlined(recipe) is None
    assert outlined(recipe, [d("srv")]) == place(tree.sort(recipe), below([d("srv")])).tree


def test_a_strict_directory_keeps_its_attributes_and_lies_over_nothing_else():
    recipe = [n("srv", tree.ENTER), n("srv/a", tree.STRICT, 0o700, 7, own=True), f("srv/a/x")]
    there = [d("srv", 0o711), d("srv/a", 0o755)]
    assert laid(recipe, there)["srv"] == ("d", 0o711, 0)
    assert laid(recipe, there)["srv/a"] == ("d", 0o700, 7)
    assert outlined(recipe, there) == place(tree.sort(recipe), below(there)).tree
    for other in (s("srv/a", "b"), f("srv/a")):
        with pytest.raises(UsageError, match="cannot copy to non-directory: /srv/a"):
            laid(recipe, [d("srv"), d("srv/b"), other])
    with pytest.raises(UsageError, match="cannot replace to directory /srv/a/x with file"):
        laid(recipe, [*there, d("srv/a/x")])


def test_made_parents_behind_a_link_get_the_attributes_of_what_led_there():
    recipe = [n("srv", tree.ENTER, 0o750, 4), f("srv/x")]
    assert laid(recipe, [s("srv", "/data/a")]) == {
        "data": ("d", 0o750, 4),
        "data/a": ("d", 0o750, 4),
        "data/a/x": ("f", 0o644, 0),
    }


def test_what_replaces_follows_nothing():
    recipe = [n("lib", tree.REPLACE), f("lib/x"), n("lib/d", tree.REPLACE), f("lib/d/y")]
    there = [s("lib", "usr/lib"), d("usr"), d("usr/lib")]
    assert set(laid(recipe, there)) == {"lib", "lib/x", "lib/d", "lib/d/y"}
    assert "lib/x" in laid(recipe, [d("lib"), d("lib/x"), f("lib/x/z")])
    assert laid(recipe, [d("lib", 0o700, 2)])["lib"] == ("d", 0o700, 2)


def test_an_archive_goes_where_links_lead_and_replaces_what_is_in_its_way():
    recipe = [n("srv", tree.FILL), f("srv/x"), n("srv/d", tree.REPLACE), f("srv/d/y")]
    there = [s("srv", "data"), d("data"), d("data/x"), s("data/d", "/")]
    assert set(laid(recipe, there)) == {"data", "data/x", "data/d", "data/d/y"}
