"""Several layers as one: what they change together of the stack that they lie on."""

from collections.abc import Sequence

from buildgraph.fs import tree
from buildgraph.fs.lay import Below
from buildgraph.fs.merge import relinked
from buildgraph.fs.tree import Entry, Tree

_MERGING = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY))
_DIRECTORIES = frozenset((*_MERGING, tree.OPAQUE))


def squash(layers: Sequence[Tree], below: Below) -> list[tuple[Entry, int]]:
    """Entries of one layer equal to ``layers`` (bottom first) on ``below``, each with the index of the layer that
    has its content. Hard links become files of their own where their first path is another layer's."""
    laid: dict[bytes, tuple[Entry, int]] = {}
    hidden: set[bytes] = set()  # paths at which nothing of what is below shows any more
    for index, layer in enumerate(layers):
        for entry in layer:
            if entry.kind not in _MERGING:
                _drop(laid, entry.path)
                hidden.add(entry.path)
            elif entry.path in laid and laid[entry.path][0].kind not in _DIRECTORIES:
                _drop(laid, entry.path)
            if entry.kind == tree.OPAQUE:
                entry = entry._replace(kind=tree.DIRECTORY)  # noqa: PLW2901 - its plain form
            if entry.kind != tree.WHITEOUT:
                laid[entry.path] = (entry, index)
    for path in sorted(hidden):
        if not _is_hidden(laid, path):
            _hide(laid, path, below)
    return relinked((laid[path] for path in sorted(laid)), layers)


def _drop(laid: dict[bytes, tuple[Entry, int]], path: bytes) -> None:
    before = laid.pop(path, None)
    if before is None or before[0].kind not in _DIRECTORIES:
        return
    start = path + b"/"
    for name in [name for name in laid if name.startswith(start)]:
        del laid[name]


def _is_hidden(laid: dict[bytes, tuple[Entry, int]], path: bytes) -> bool:
    """Whether something above ``path`` is a deletion, or no directory."""
    while path:
        path = path.rpartition(b"/")[0]
        if path in laid and laid[path][0].kind not in _DIRECTORIES:
            return True
    return False


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
