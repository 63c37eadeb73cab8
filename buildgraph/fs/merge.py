"""What does a stack of layers look like as one filesystem?

Trees come bottom first and list the parents of what they hold; a parent that a tree leaves out is taken from below,
or is 0755 0:0. The rules are those of overlayfs and of image-spec, layer.md "Applying Changesets":

* a whiteout hides its path, and all below it, in the layers under its own (never in its own);
* an opaque directory hides what lower layers have in it;
* two directories merge and the upper one's attributes hold; any other type ends what lower layers have there;
* hard links hold inside one layer only: when a link's first path is hidden, the first name that is left becomes the
  file and the other names link to it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import Entry, Tree

Placed = tuple[Entry, int]
"""An entry and the index of the layer whose snapshot holds its content, at the same path."""

_DIRECTORIES = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE))
_MOST_LINKS = 40  # as the kernel: path_resolution(7)


def merge(trees: Sequence[Tree]) -> list[Placed]:
    """The visible entries, sorted by path, without whiteouts; opaque directories have become plain ones."""
    view = _View()
    for index in reversed(range(len(trees))):
        view.lay_under(trees[index], index)
    placed = view.sorted()
    return relinked(placed, trees) if any(e.kind == tree.HARDLINK for e, _ in placed) else placed


class _View:
    """Built from the top down, so that every path is decided once, by the first layer that has it.

    ``walls`` are paths at and below which no deeper layer shows through. ``implied`` are directories that an upper
    layer needs without listing them.
    """

    def __init__(self) -> None:
        self.seen: dict[bytes, Placed] = {}
        self.walls: set[bytes] = set()
        self.implied: set[bytes] = set()

    def lay_under(self, layer: Tree, index: int) -> None:
        seen, walls = self.seen, self.walls
        through: dict[bytes, bool] = {}
        raised: list[bytes] = []  # walls of this layer hide nothing of its own
        for entry in layer:
            path = entry.path
            if path:
                parent = path.rpartition(b"/")[0]
                visible = through.get(parent)
                if visible is None:
                    visible = self._imply(parent, through)
                if not visible:
                    continue
            kind = entry.kind
            if kind == tree.WHITEOUT:
                raised.append(path)
            elif kind in _DIRECTORIES:
                through[path] = self._directory(entry, index)
                if kind == tree.OPAQUE:
                    raised.append(path)
            elif path in walls:
                continue
            elif path in seen or path in self.implied:
                raised.append(path)
            else:
                seen[path] = (entry, index)
        walls.update(raised)

    def _directory(self, entry: Entry, index: int) -> bool:
        """Place a directory where nothing is yet; whether its layer's entries below it can be seen."""
        path = entry.path
        if path in self.walls:
            return False
        above = self.seen.get(path)
        if above is not None:
            return above[0].kind in _DIRECTORIES
        if entry.kind == tree.OPAQUE:
            entry = entry._replace(kind=tree.DIRECTORY)
        self.seen[path] = (entry, index)
        return True

    def _imply(self, path: bytes, through: dict[bytes, bool]) -> bool:
        """The same for a directory that the layer does not list."""
        if path in through:
            return through[path]
        visible = path not in self.walls
        if path and visible:
            visible = self._imply(path.rpartition(b"/")[0], through)
        if visible and path:
            above = self.seen.get(path)
            if above is None:
                self.implied.add(path)
            visible = above is None or above[0].kind in _DIRECTORIES
        through[path] = visible
        return visible

    def sorted(self) -> list[Placed]:
        for path in self.implied - self.seen.keys():
            self.seen[path] = (Entry(path, tree.DIRECTORY, 0o755), 0)
        return [self.seen[path] for path in sorted(self.seen)]


def relinked(placed: Iterable[Placed], trees: Sequence[Tree]) -> list[Placed]:
    """``placed`` with every hard link pointing at a name that is left in it; names come in order."""
    placed = list(placed)
    left = {entry.path: index for entry, index in placed}
    heirs: dict[tuple[bytes, int], bytes] = {}
    out: list[Placed] = []
    for entry, index in placed:
        if entry.kind != tree.HARDLINK or left.get(entry.link) == index:
            out.append((entry, index))
            continue
        heir = heirs.setdefault((entry.link, index), entry.path)
        if heir == entry.path:
            out.append((_inherit(entry, trees[index]), index))
        else:
            out.append((entry._replace(link=heir), index))
    return out


def _inherit(link: Entry, layer: Tree) -> Entry:
    """The file that a hard link's first path is in its own layer, under the link's name."""
    at = bisect_left(layer, (link.link,))
    if at < len(layer) and layer[at].path == link.link and layer[at].kind != tree.HARDLINK:
        return layer[at]._replace(path=link.path)
    raise ContentError(
        "bad-tree",
        f"hard link {show(link.path)} names {show(link.link)}, which its layer does not hold",
    )


def show(path: bytes) -> str:
    """A path of an image as people write it."""
    return "/" + printable(path)


class Merged:
    """The merged filesystem of a stack, to look into; merging happens on first use."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees = trees
        self._paths: list[bytes] = []
        self._placed: dict[bytes, Placed] | None = None

    def _index(self) -> dict[bytes, Placed]:
        if self._placed is None:
            placed = {item[0].path: item for item in merge(self._trees)}
            self._paths = list(placed)
            self._placed = placed
        return self._placed

    def entries(self) -> tuple[Placed, ...]:
        return tuple(self._index().values())

    def place(self, path: bytes) -> Placed | None:
        return self._index().get(path)

    def lookup(self, path: bytes) -> Entry | None:
        """What is at exactly ``path``, no link followed; the root is a directory even where no layer lists it."""
        placed = self._index().get(path)
        if placed is None:
            return Entry(b"", tree.DIRECTORY, 0o755) if not path else None
        return placed[0]

    def resolve(
        self, path: bytes, *, follow_last: bool = True
    ) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        """``path`` with its symlinks followed inside the root, and the links crossed as (path, target), in order.

        ``..`` stops at the root. From a name that does not exist on, the rest is taken as written: look it up. Raises
        ContentError (``symlink-loop``).
        """
        placed = self._index()
        todo = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
        done: list[bytes] = []
        crossed: list[tuple[bytes, bytes]] = []
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            here = b"/".join((*done, part))
            found = placed.get(here)
            if found is None or found[0].kind != tree.SYMLINK or not (todo or follow_last):
                done.append(part)
                continue
            target = found[0].link
            crossed.append((here, target))
            if len(crossed) > _MOST_LINKS:
                raise ContentError(
                    "symlink-loop", f"too many symbolic links in {show(path.strip(b'/'))}"
                )
            if target.startswith(b"/"):
                done.clear()
            todo += [name for name in reversed(target.split(b"/")) if name not in (b"", b".")]
        return b"/".join(done), tuple(crossed)

    def subtree(
        self, path: bytes, keep: Callable[[bytes, bool], bool] | None = None
    ) -> tuple[Placed, ...]:
        """The entry at ``path`` and all below it, sorted, no link followed; () when there is nothing.

        ``keep(relative path, is directory)`` chooses among the entries below; directories on the way to a kept entry
        stay. Hard links whose first path is not chosen become files.
        """
        placed = self._index()
        if path and path not in placed:
            return ()
        chosen = {path} & placed.keys()
        start = len(path) + 1 if path else 0
        for below in self._below(path):
            if keep is None:
                chosen.add(below)
            elif keep(below[start:], placed[below][0].kind in _DIRECTORIES):
                while len(below) > len(path) and below not in chosen:
                    chosen.add(below)
                    below = below.rpartition(b"/")[0]  # noqa: PLW2901 - climbs to `path`
        picked = [placed[name] for name in sorted(chosen)]
        if not any(entry.kind == tree.HARDLINK for entry, _ in picked):
            return tuple(picked)
        return tuple(relinked(picked, self._trees))

    def _below(self, path: bytes) -> list[bytes]:
        if not path:
            return [name for name in self._paths if name]
        start = bisect_left(self._paths, path + b"/")
        return self._paths[start : bisect_left(self._paths, path + b"0", start)]
