"""Several layers as one: what they change together of the stack that they lie on."""

from collections.abc import Sequence

from buildgraph.fs import tree
from buildgraph.fs.lay import Below
from buildgraph.fs.tree import Entry, Tree

_DIRECTORIES = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE))


def squash(layers: Sequence[Tree], below: Below) -> list[tuple[Entry, int]]:
    """Entries of one layer equal to ``layers`` (bottom first) on ``below``, each with the index of the layer that
    has its content. Hard links become files of their own where their first path is another layer's."""
    laid: dict[bytes, tuple[Entry, int]] = {}
    gone: set[bytes] = set()
    for index, layer in enumerate(layers):
        own = {entry.path: entry for entry in layer}
        for entry in layer:
            if entry.kind == tree.WHITEOUT:
                _drop(laid, entry.path)
                gone.add(entry.path)
                continue
            before = laid.get(entry.path)
            if before is not None and not (
                before[0].kind in _DIRECTORIES and entry.kind in _DIRECTORIES
            ):
                _drop(laid, entry.path)
            if entry.kind == tree.OPAQUE:
                _drop(laid, entry.path)
                gone.add(entry.path)
                entry = entry._replace(kind=tree.DIRECTORY)  # noqa: PLW2901 - its plain form
            if entry.kind == tree.HARDLINK:
                entry = own[entry.link]._replace(path=entry.path)  # noqa: PLW2901 - a file of its own
            laid[entry.path] = (entry, index)
    for path in sorted(gone):
        _hide(laid, path, below)
    return [laid[path] for path in sorted(laid)]


def _drop(laid: dict[bytes, tuple[Entry, int]], path: bytes) -> None:
    start = path + b"/"
    for name in [name for name in laid if name == path or name.startswith(start)]:
        del laid[name]


def _hide(laid: dict[bytes, tuple[Entry, int]], path: bytes, below: Below) -> None:
    """Whiteouts for what ``below`` has at ``path`` and was deleted; a directory made anew hides each old name."""
    found = below.lookup(path)
    if found is None:
        return
    mine = laid.get(path)
    if mine is None:
        parent = path.rpartition(b"/")[0]
        if not parent or below.lookup(parent) is not None:
            laid[path] = (Entry(path, tree.WHITEOUT), 0)
    elif mine[0].kind in _DIRECTORIES and found.kind in _DIRECTORIES:
        for name in below.names(path):
            child = path + b"/" + name
            if child not in laid:
                laid[child] = (Entry(child, tree.WHITEOUT), 0)
            elif laid[child][0].kind in _DIRECTORIES:
                _hide(laid, child, below)
