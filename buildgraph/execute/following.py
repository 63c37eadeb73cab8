"""What do the links of a filesystem stand for, where a copy follows them? For files and folders at their places.

As in a context: a link that leads nowhere, or back to where it lies, is an error once it is selected.
"""

from collections.abc import Callable, Iterator

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.merge import Merged, Placed, show
from buildgraph.fs.tree import Entry

Keep = Callable[[bytes, bool], bool]
Shown = tuple[bytes, Entry, int]
"""The path where an entry stands, the entry with the path where it lies, and its layer."""

_FOLDERS = (tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE)


def followed(merged: Merged, root: bytes, keep: Keep | None) -> list[Shown]:
    """All that is selected below ``root``, sorted by where it stands. Raises UsageError."""
    start = len(root) + 1 if root else 0
    found: dict[bytes, Shown] = {
        entry.path: (entry.path, entry, layer)
        for entry, layer in merged.subtree(root, keep)
        if entry.kind != tree.SYMLINK
    }
    for entry, _ in merged.subtree(root):
        if entry.kind != tree.SYMLINK:
            continue
        behind = {one[0]: one for one in _behind(merged, entry.path, ())}
        for path, one in behind.items():
            if keep is None or keep(path[start:], one[1].kind in _FOLDERS):
                if one[1].kind == tree.SYMLINK:
                    raise _nowhere(one[1].path)
                _reach(path, root, behind, merged, found)
    return [found[path] for path in sorted(found)]


def _reach(
    path: bytes, root: bytes, behind: dict[bytes, Shown], merged: Merged, found: dict[bytes, Shown]
) -> None:
    """``path`` and the folders on the way to it."""
    while path not in found and len(path) > len(root):
        one = behind.get(path)
        if one is None:
            placed = merged.place(path)
            one = (path, *placed) if placed is not None else None
        if one is not None:
            found[path] = one
        path = path.rpartition(b"/")[0]


def _behind(merged: Merged, link: bytes, above: tuple[bytes, ...]) -> Iterator[Shown]:
    """What stands at ``link``; the link itself where that is nothing."""
    real, _ = merged.resolve(link)
    inside: tuple[Placed, ...] = merged.subtree(real)
    if not inside:
        entry = merged.lookup(link)
        assert entry is not None
        yield link, entry, 0
        return
    if real in above or not real or link.startswith(real + b"/"):
        raise UsageError(
            "source-loop",
            f"the link {show(link)} leads back to itself",
            hint="exclude the link, or select without follow",
        )
    for entry, layer in inside:
        stands = link + entry.path[len(real) :]
        if entry.kind == tree.SYMLINK:
            for path, one, at in _behind(merged, entry.path, (*above, real)):
                yield stands + path[len(entry.path) :], one, at
        elif entry.kind == tree.HARDLINK:
            (file, at) = merged.subtree(entry.path)[0]
            yield stands, file, at
        else:
            yield stands, entry, layer


def _nowhere(link: bytes) -> UsageError:
    return UsageError(
        "source-missing",
        f"the link {show(link)} leads nowhere",
        hint="exclude the link, or select without follow",
    )
