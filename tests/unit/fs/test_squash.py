"""Squashed layers show what the layers show one over the other, and hide what they hide."""

from hypothesis import given, settings
from hypothesis import strategies as st

from buildgraph.fs import tree
from buildgraph.fs.lay import Below, listing
from buildgraph.fs.merge import merge
from buildgraph.fs.squash import squash
from buildgraph.fs.tree import Entry, Tree


def folder(path: str) -> Entry:
    return Entry(path.encode(), tree.DIRECTORY, 0o755)


def file(path: str, content: str = "x") -> Entry:
    return Entry(path.encode(), tree.FILE, 0o644, size=1, content=content)


def gone(path: str) -> Entry:
    return Entry(path.encode(), tree.WHITEOUT)


def hard(path: str, first: str) -> Entry:
    return Entry(path.encode(), tree.HARDLINK, 0o644, link=first.encode())


BASE: Tree = (folder("a"), file("a/b"), file("a/c"))


def squashed(*layers: Tree) -> list[tuple[str, str]]:
    found = squash(layers, Below([listing(BASE)]))
    return [(entry.path.decode(), entry.kind) for entry, _ in found]


def test_no_deletion_lies_below_another() -> None:
    assert squashed((folder("a"), gone("a/b")), (gone("a"),)) == [("a", "w")]


def test_no_deletion_lies_below_a_file() -> None:
    assert squashed((folder("a"), gone("a/b")), (file("a"),)) == [("a", "f")]


def test_a_folder_that_replaced_a_file_hides_the_folder_before_it() -> None:
    assert squashed((file("a"),), (folder("a"), file("a/n"))) == [
        ("a", "d"),
        ("a/b", "w"),
        ("a/c", "w"),
        ("a/n", "f"),
    ]


def test_hard_links_of_one_layer_stay() -> None:
    assert squashed((file("x"), hard("y", "x"))) == [("x", "f"), ("y", "h")]
    assert squashed((file("x"), hard("y", "x")), (gone("x"),)) == [("y", "f")]
    assert squashed((file("x"), hard("y", "x")), (file("x", "z"),)) == [("x", "f"), ("y", "f")]


NAMES = st.sampled_from(("a", "b", "c"))


@st.composite
def layers(draw: st.DrawFn) -> Tree:
    """A layer as a command's may be: parents listed, nothing below what is no folder."""
    found: dict[str, Entry] = {}
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        kind = draw(st.sampled_from("fwdo"))
        if kind == "f":
            found[name] = file(name, draw(NAMES))
        elif kind == "w":
            found[name] = gone(name)
        else:
            found[name] = Entry(name.encode(), kind, 0o755)
            for below in draw(st.lists(NAMES, max_size=3, unique=True)):
                path = f"{name}/{below}"
                kind = draw(st.sampled_from("fwd"))
                made = {"f": file(path, draw(NAMES)), "w": gone(path), "d": folder(path)}
                found[path] = made[kind]
                if kind == "d" and draw(st.booleans()):
                    found[f"{path}/a"] = draw(st.sampled_from((file, gone)))(f"{path}/a")
    return tree.sort(found.values())


@settings(max_examples=300)
@given(st.lists(layers(), min_size=2, max_size=4))
def test_a_squashed_layer_shows_the_same(stack: list[Tree]) -> None:
    base, *own = stack
    base = tuple(entry for entry in base if entry.kind != tree.WHITEOUT)
    made = tuple(entry for entry, _ in squash(own, Below([listing(base)])))
    paths = {entry.path for entry in made if entry.kind not in "do"}
    assert all(entry.path.rpartition(b"/")[0] not in paths for entry in made)
    shown = [[entry for entry, _ in merge(trees)] for trees in ([base, made], stack)]
    assert shown[0] == shown[1]
