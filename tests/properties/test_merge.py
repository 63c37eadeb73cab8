"""Merging a stack at once gives what applying its layers one after the other gives."""

from hypothesis import given
from hypothesis import strategies as st

from buildgraph.fs import tree
from buildgraph.fs.merge import Merged, merge
from buildgraph.fs.tree import Entry, Tree

_NAMES = (b"a", b"b", b"a-", b"a0")
_KINDS = (tree.DIRECTORY, tree.FILE, tree.WHITEOUT, tree.OPAQUE, tree.SYMLINK)


@st.composite
def layers(draw) -> Tree:
    """Any set of paths up to three deep; each parent of one is a directory or opaque, as in a real layer."""
    found: dict[bytes, Entry] = {}
    for _ in range(draw(st.integers(0, 8))):
        parts = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3))
        kind = draw(st.sampled_from(_KINDS))
        mode = draw(st.sampled_from((0o700, 0o755)))
        parents = [b"/".join(parts[:depth]) for depth in range(1, len(parts))]
        path = b"/".join(parts)
        if any(p in found and found[p].kind not in "do" for p in parents):
            continue
        if kind not in "do" and any(other.startswith(path + b"/") for other in found):
            continue
        for parent in parents:
            found.setdefault(parent, Entry(parent, tree.DIRECTORY, 0o755))
        found[path] = Entry(path, kind, mode)
    return tree.sort(found.values())


def apply_one_by_one(stack: list[Tree]) -> dict[bytes, tuple[str, int]]:
    """The rules of image-spec, layer.md, as they are written: path to (kind, number of its layer)."""
    root: dict[bytes, tuple[str, int]] = {}

    def remove(path: bytes, *, itself: bool = True) -> None:
        for other in list(root):
            if other.startswith(path + b"/") or (itself and other == path):
                del root[other]

    for number, layer in enumerate(stack):
        for entry in layer:
            if entry.kind == tree.WHITEOUT:
                remove(entry.path)
            elif entry.kind == tree.OPAQUE:
                remove(entry.path, itself=False)
        for entry in layer:
            if entry.kind == tree.WHITEOUT:
                continue
            kind = tree.DIRECTORY if entry.kind == tree.OPAQUE else entry.kind
            if kind != tree.DIRECTORY or root.get(entry.path, (kind, 0))[0] != tree.DIRECTORY:
                remove(entry.path)
            root[entry.path] = (kind, number)
    return root


@given(st.lists(layers(), max_size=4))
def test_merge_is_layer_after_layer(stack):
    merged = merge(stack)
    assert {e.path: (e.kind, index) for e, index in merged} == apply_one_by_one(stack)
    paths = [entry.path for entry, _ in merged]
    assert paths == sorted(set(paths))
    assert all(p.rpartition(b"/")[0] in {b"", *paths} for p in paths)


@given(st.lists(layers(), max_size=4), st.sampled_from((b"", b"a", b"a/a", b"b")))
def test_subtree_is_the_part_of_the_whole(stack, path):
    merged = Merged(stack)
    everything = merge(stack)
    inside = [
        item
        for item in everything
        if not path or item[0].path == path or item[0].path.startswith(path + b"/")
    ]
    assert list(merged.subtree(path)) == inside
    assert merged.lookup(path) in [entry for entry, _ in everything] or not path or not inside
