"""How does a layer that stands on nothing lie over a stack?

A recipe names destinations; the stack below decides what their parents are. The *resolution* says, for every parent
and every selected directory: absent (then 0755 0:0, or the recipe's own attributes), or the path that it has after
following symlinks inside the root, with the attributes that it has there. The placed layer carries resolved paths and
those attributes, so that extracting it changes nothing that the recipe did not name. A Dockerfile's recipe says of its
directories how they meet what is there (:data:`buildgraph.fs.tree.ENTER` and the words after it).
"""

from collections.abc import Iterable, Mapping, Sequence

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import Entry, Tree
from buildgraph.values import dataclass

DIRECTORIES = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE))
_ALONE = (tree.MODE_ALONE, tree.OWNER_ALONE)
_FOLLOWED = (b"", *_ALONE, tree.ENTER, tree.FILL)
_MOST_LINKS = 40

Listing = Mapping[bytes, Entry]
"""A layer's tree by path."""


def listing(layer: Tree) -> Listing:
    return {entry.path: entry for entry in layer}


class Below:
    """The stack under a layer, bottom first; answers for single paths without merging anything."""

    def __init__(self, layers: Sequence[Listing]) -> None:
        self._layers = tuple(reversed(layers))
        self._known: dict[bytes, Entry | None] = {}

    def under(self, layer: Listing) -> "Below":
        """The same stack with one more layer on top."""
        return Below((*reversed(self._layers), layer))

    def lookup(self, path: bytes) -> Entry | None:
        """What the stack has at exactly ``path``; directories that no layer lists are 0755 0:0."""
        if path not in self._known:
            self._known[path] = self._find(path)
        return self._known[path]

    def _find(self, path: bytes) -> Entry | None:
        if not path:
            return next(
                (layer[b""] for layer in self._layers if b"" in layer),
                Entry(b"", tree.DIRECTORY, 0o755),
            )
        parent = self.lookup(path.rpartition(b"/")[0])
        if parent is None or parent.kind not in DIRECTORIES:
            return None
        walls = prefixes(path)
        for layer in self._layers:
            found = layer.get(path)
            if found is not None:
                return None if found.kind == tree.WHITEOUT else found
            for wall in walls:
                entry = layer.get(wall)
                if entry is not None and entry.kind not in (tree.DIRECTORY, tree.FIXED_DIRECTORY):
                    return None
        return None

    def names(self, path: bytes) -> tuple[bytes, ...]:
        """The names in a directory, sorted."""
        start = path + b"/" if path else b""
        names = {
            name[len(start) :]
            for layer in self._layers
            for name in layer
            if name.startswith(start) and b"/" not in name[len(start) :]
        }
        names.discard(b"")
        return tuple(name for name in sorted(names) if self.lookup(start + name) is not None)

    def follow(self, path: bytes) -> bytes:
        """``path`` with every symlink in it followed inside the root; what does not exist is taken as written."""
        todo = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
        done: list[bytes] = []
        crossed = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            here = b"/".join((*done, part))
            found = self.lookup(here)
            if found is None or found.kind != tree.SYMLINK:
                done.append(part)
                continue
            crossed += 1
            if crossed > _MOST_LINKS:
                raise UsageError("symlink-loop", f"too many symbolic links in {_show(path)}")
            if found.link.startswith(b"/"):
                done.clear()
            todo += [p for p in reversed(found.link.split(b"/")) if p not in (b"", b".")]
        return b"/".join(done)


def prefixes(path: bytes) -> tuple[bytes, ...]:
    """All that lies above ``path`` below the root, outermost first."""
    out, at = [], path.find(b"/")
    while at >= 0:
        out.append(path[:at])
        at = path.find(b"/", at + 1)
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Placed:
    """``tree`` is the layer as it lies on this stack; ``moved`` maps the paths of its files to the recipe's own.

    Two stacks that resolve a recipe alike give equal trees, so the tree's digest names the resolution too.
    """

    tree: Tree
    moved: Mapping[bytes, bytes]


def place(recipe: Tree, below: Below) -> Placed:
    """Raises :class:`UsageError` where a file would lie over a directory or the reverse (``file-over-directory``)."""
    chosen, renamed = choose(recipe, below)
    placing = _Placing(chosen, below)
    for entry in chosen:
        placing.add(entry)
    entries = tree.sort(placing.entries.values())
    if not renamed:
        return Placed(entries, placing.moved)
    return Placed(entries, {p: renamed.get(own, own) for p, own in placing.moved.items()})


def choose(recipe: Tree, below: Below) -> tuple[Tree, Mapping[bytes, bytes]]:
    """``recipe`` with every ``HERE`` decided, and the recipe's own paths of files that it renamed."""
    renamed: dict[bytes, bytes] = {}
    for entry in recipe:
        if entry.kind not in "dD" or not entry.link.startswith(tree.HERE):
            continue
        target = below.follow(entry.path)
        found = below.lookup(target)
        if found is not None and found.kind in DIRECTORIES:
            plain = entry._replace(link=tree.ENTER)
            recipe = tuple(plain if one is entry else one for one in recipe)
            continue
        inside = entry.path + b"/"
        wanted = inside + entry.link.removeprefix(tree.HERE)
        file = next((one for one in recipe if one.path == wanted), None)
        if file is None:
            raise _clash(target, entry, "a directory would lie over a file")
        rest = [one for one in recipe if one is not entry and not one.path.startswith(inside)]
        recipe = tree.sort([*rest, file._replace(path=target)])
        renamed[target] = wanted
    return recipe, renamed


class Outline:
    """What of a recipe meets the stack below: its directories, and the paths of everything else.

    Two stacks that answer :meth:`meets` alike lay the recipe out alike, whatever else is in them.
    """

    def __init__(self, recipe: Tree) -> None:
        self._others = tuple(entry for entry in recipe if entry.kind not in "dD")
        own = {entry.path: entry for entry in recipe if entry.kind in "dD"}
        named = own.keys() | {entry.path.rpartition(b"/")[0] for entry in self._others}
        above = {parent for path in named for parent in prefixes(path)}
        self._directories = {path: own.get(path) for path in sorted(named | above)}
        """The recipe's own entry, or None where a directory is only implied; parents first."""
        self._open = tuple(
            path for path, own in self._directories.items() if own and own.link[:5] == tree.HERE
        )
        self._paths = frozenset(entry.path for entry in self._others)

    @property
    def folders(self) -> Iterable[bytes]:
        """All that its layer will list, implied ones among them, unless it meets links."""
        return self._directories.keys()

    def fill(self, others: Tree) -> None:
        """``others`` are what is no directory, of which more is known now than when only paths were."""
        self._others = others

    def meets(
        self, below: Below, folders: Iterable[frozenset[bytes]]
    ) -> tuple[Entry | None, ...] | None:
        """What ``below`` has at each directory; None where it has a link or a file among them, or one of ``folders``
        (the directories of each layer) at another path: then only :func:`place` can tell."""
        found = tuple(below.lookup(path) for path in self._directories if path)
        if any(entry is not None and entry.kind not in DIRECTORIES for entry in found):
            return None
        if any(below.lookup(path) is None for path in self._open):
            return None
        return found if all(map(self._paths.isdisjoint, folders)) else None

    def laid(self, met: tuple[Entry | None, ...], root: Entry | None) -> Tree:
        """The same as :func:`place` gives for a stack that answered ``met``; no path moves there."""
        found = dict(zip((path for path in self._directories if path), met, strict=True))
        made = [
            _directory(path, own, root if not path else found[path])
            for path, own in self._directories.items()
            if path or own is not None
        ]
        return tree.sort([*self._others, *made])


def _directory(path: bytes, own: Entry | None, found: Entry | None) -> Entry:
    """With its own attributes if they were given, else those of the stack's, else its own, else 0755 0:0."""
    if own is not None and own.kind == tree.FIXED_DIRECTORY:
        return _given(own, found)._replace(kind=tree.DIRECTORY, link=b"")
    if found is not None:
        return Entry(path, tree.DIRECTORY, found.mode, found.uid, found.gid, xattrs=found.xattrs)
    return (own or Entry(path, tree.DIRECTORY, 0o755))._replace(kind=tree.DIRECTORY, link=b"")


def _given(own: Entry, found: Entry | None) -> Entry:
    """A directory with what was given of it; the rest is that of a lower one, if there is one."""
    if found is not None and found.kind in DIRECTORIES:
        if own.link == tree.MODE_ALONE:
            return own._replace(uid=found.uid, gid=found.gid)
        if own.link == tree.OWNER_ALONE:
            return own._replace(mode=found.mode)
    return own


def _is_dockers(own: Entry) -> bool:
    return bool(own.link) and own.link not in _ALONE


class _Placing:
    def __init__(self, recipe: Tree, below: Below) -> None:
        self.below = below
        self.entries: dict[bytes, Entry] = {}
        self.moved: dict[bytes, bytes] = {}
        self.directories = {entry.path: entry for entry in recipe if entry.kind in "dD"}
        self.resolved: dict[bytes, bytes] = {b"": b""}

    def add(self, entry: Entry) -> None:
        if entry.kind in "dD":
            self.directory(entry.path)
            return
        path = self._at(entry.path)
        parent = self.directories.get(entry.path.rpartition(b"/")[0])
        found = self.below.lookup(path)
        over = found is not None and found.kind in DIRECTORIES
        over = over and not (parent is not None and parent.link in (tree.FILL, tree.REPLACE))
        if over or (path in self.entries and self.entries[path].kind in "dD"):
            raise _clash(path, parent, "a file would lie over a directory")
        link = self._at(entry.link) if entry.kind == tree.HARDLINK else entry.link
        self.entries[path] = entry._replace(path=path, link=link)
        self.moved[path] = entry.path

    def _at(self, path: bytes) -> bytes:
        parent, _, name = path.rpartition(b"/")
        home = self.directory(parent)
        return home + b"/" + name if home else name

    def directory(self, path: bytes) -> bytes:
        """Where ``path`` is in this stack; it and its parents become entries of the layer."""
        own = self.directories.get(path)
        if path in self.resolved:
            if not path and own is not None:
                self._keep(path, own)
            return self.resolved[path]
        how = own.link if own is not None else b""
        here = self._at(path)
        found = self.below.lookup(here)
        if found is not None and found.kind == tree.SYMLINK and how in _FOLLOWED:
            here = self.below.follow(here)
            self._implied(here, own)
            found = self.below.lookup(here)
        if found is not None and found.kind not in DIRECTORIES and how != tree.REPLACE:
            raise _clash(here, own, "a directory would lie over a file")
        self.resolved[path] = here
        self._keep(here, own)
        return here

    def _implied(self, path: bytes, own: Entry | None) -> None:
        """Parents of a followed link's target, which lie elsewhere than the recipe says."""
        made = own._replace(kind=tree.DIRECTORY) if own is not None and _is_dockers(own) else None
        for parent in prefixes(path):
            self._keep(parent, made)

    def _keep(self, path: bytes, own: Entry | None) -> None:
        """Add a directory with its own attributes, those of the stack's, or 0755 0:0, whichever comes first."""
        found = self.below.lookup(path)
        if own is not None and own.kind == tree.FIXED_DIRECTORY:
            made = _given(own, found)
        elif found is not None and found.kind in DIRECTORIES:
            made = Entry(
                path, tree.DIRECTORY, found.mode, found.uid, found.gid, xattrs=found.xattrs
            )
        elif path in self.entries:
            return
        else:
            made = own or Entry(path, tree.DIRECTORY, 0o755)
        before = self.entries.get(path)
        if before is not None and before.kind not in "dD":
            raise _clash(path, own, "a directory would lie over a file")
        if path or own is not None:
            self.entries[path] = made._replace(path=path, kind=tree.DIRECTORY, link=b"")


class ClashError(UsageError):
    """``file-over-directory`` at ``path`` of the stack; ``over_file``: a directory would lie over a file."""

    path = b""
    over_file = False


def _clash(path: bytes, near: Entry | None, what: str) -> ClashError:
    """``near`` is the recipe's directory that is in question: its ``link`` tells a Dockerfile's from a Buildfile's."""
    over_file = what.startswith("a directory")
    if near is not None and _is_dockers(near):
        shown = _show(path)
        error = ClashError(
            "file-over-directory",
            f"cannot copy to non-directory: {shown}"
            if over_file
            else f"cannot replace to directory {shown} with file",
            hint="remove what is there in a RUN before, or copy to another path",
        )
    else:
        error = ClashError(
            "file-over-directory",
            f"{_show(path)}: {what} of the stack below",
            hint="copy to another path"
            if over_file
            else "copy to another path, or end `to` with / to copy into the directory",
        )
    error.path, error.over_file = path, over_file
    return error


def _show(path: bytes) -> str:
    return "/" + printable(path)
