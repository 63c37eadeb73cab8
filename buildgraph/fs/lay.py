"""How does a layer that stands on nothing lie over a stack?

A recipe names destinations; the stack below decides what their parents are. The *resolution* says, for every parent
and every selected directory: absent (then 0755 0:0, or the recipe's own attributes), or the path that it has after
following symlinks inside the root, with the attributes that it has there. The placed layer carries resolved paths and
those attributes, so that extracting it changes nothing that the recipe did not name.

A run step's layer needs the same look where a sibling brought files below a directory that it deleted: then the
deletion holds for the names that its own stack had there, never for the sibling's (:func:`spare`).
"""

from collections.abc import Iterable, Mapping, Sequence

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.tree import Entry, Tree
from buildgraph.values import dataclass

_DIRECTORIES = frozenset((tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE))
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
        if parent is None or parent.kind not in _DIRECTORIES:
            return None
        walls = _prefixes(path)
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


def _prefixes(path: bytes) -> tuple[bytes, ...]:
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
    placing = _Placing(recipe, below)
    for entry in recipe:
        placing.add(entry)
    entries = tree.sort(placing.entries.values())
    return Placed(entries, placing.moved)


class Outline:
    """What of a recipe meets the stack below: its directories, and the paths of everything else.

    Two stacks that answer :meth:`meets` alike lay the recipe out alike, whatever else is in them.
    """

    def __init__(self, recipe: Tree) -> None:
        self._directories: dict[bytes, Entry | None] = {}
        """The recipe's own entry, or None where a directory is only implied; parents first."""
        for entry in recipe:
            own = entry.kind in "dD"
            path = entry.path if own else entry.path.rpartition(b"/")[0]
            if path not in self._directories:
                for parent in _prefixes(path):
                    self._directories.setdefault(parent, None)
                self._directories[path] = None
            if own:
                self._directories[path] = entry
        self._others = tuple(entry for entry in recipe if entry.kind not in "dD")
        self._paths = frozenset(entry.path for entry in self._others)

    def meets(
        self, below: Below, folders: Iterable[frozenset[bytes]]
    ) -> tuple[Entry | None, ...] | None:
        """What ``below`` has at each directory; None where it has a link or a file among them, or one of ``folders``
        (the directories of each layer) at another path: then only :func:`place` can tell."""
        found = tuple(below.lookup(path) for path in self._directories if path)
        if any(entry is not None and entry.kind not in _DIRECTORIES for entry in found):
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
        return own._replace(kind=tree.DIRECTORY)
    if found is not None:
        return Entry(path, tree.DIRECTORY, found.mode, found.uid, found.gid, xattrs=found.xattrs)
    return (own or Entry(path, tree.DIRECTORY, 0o755))._replace(kind=tree.DIRECTORY)


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
        found = self.below.lookup(path)
        if found is not None and found.kind in _DIRECTORIES:
            raise _clash(path, "a file would lie over a directory")
        if path in self.entries and self.entries[path].kind in "dD":
            raise _clash(path, "a file would lie over a directory")
        link = self._at(entry.link) if entry.kind == tree.HARDLINK else entry.link
        self.entries[path] = entry._replace(path=path, link=link)
        self.moved[path] = entry.path

    def _at(self, path: bytes) -> bytes:
        parent, _, name = path.rpartition(b"/")
        home = self.directory(parent)
        return home + b"/" + name if home else name

    def directory(self, path: bytes) -> bytes:
        """Where ``path`` is in this stack; it and its parents become entries of the layer."""
        if path in self.resolved:
            if not path and path in self.directories:
                self._keep(path, self.directories[path])
            return self.resolved[path]
        here = self._at(path)
        found = self.below.lookup(here)
        if found is not None and found.kind == tree.SYMLINK:
            here = self.below.follow(here)
            self._implied(here)
            found = self.below.lookup(here)
        if found is not None and found.kind not in _DIRECTORIES:
            raise _clash(here, "a directory would lie over a file")
        self.resolved[path] = here
        self._keep(here, self.directories.get(path))
        return here

    def _implied(self, path: bytes) -> None:
        """Parents of a followed link's target, which lie elsewhere than the recipe says."""
        for parent in _prefixes(path):
            self._keep(parent, None)

    def _keep(self, path: bytes, own: Entry | None) -> None:
        """Add a directory with its own attributes, those of the stack's, or 0755 0:0, whichever comes first."""
        found = self.below.lookup(path)
        if own is not None and own.kind == tree.FIXED_DIRECTORY:
            made = own
        elif found is not None and found.kind in _DIRECTORIES:
            made = Entry(
                path, tree.DIRECTORY, found.mode, found.uid, found.gid, xattrs=found.xattrs
            )
        elif path in self.entries:
            return
        else:
            made = own or Entry(path, tree.DIRECTORY, 0o755)
        before = self.entries.get(path)
        if before is not None and before.kind not in "dD":
            raise _clash(path, "a directory would lie over a file")
        if path or own is not None:
            self.entries[path] = made._replace(path=path, kind=tree.DIRECTORY)


def _clash(path: bytes, what: str) -> UsageError:
    return UsageError(
        "file-over-directory",
        f"{_show(path)}: {what} of the stack below",
        hint="copy to another path, or end `to` with / to copy into the directory",
    )


def _show(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")


def spare(layer: Tree, own: Below, siblings: Iterable[Listing]) -> Tree:
    """A run step's layer over a stack in which ``siblings`` lie that it did not see: what they brought below a
    directory that it deleted stays. ``own`` is the stack that the step really ran on."""
    brought = {
        entry.path
        for sibling in siblings
        for entry in sibling.values()
        if entry.kind != tree.WHITEOUT
    }
    parents = {parent for path in brought for parent in _prefixes(path)}
    out: list[Entry] = []
    for entry in layer:
        if entry.kind == tree.WHITEOUT and entry.path in parents:
            out += _expanded(entry.path, own, brought, parents)
        else:
            out.append(entry)
    return tree.sort(out) if len(out) != len(layer) else layer


def give_way(layer: Tree, own: Below, below: Below, siblings: Sequence[Listing]) -> Tree:
    """A run step's layer in which the directories that it left as ``own`` has them are as ``below``, the stack that it
    lies on, has them: what a sibling made of them stays."""
    out = list(layer)
    for at, entry in enumerate(layer):
        if entry.kind != tree.DIRECTORY:
            continue
        theirs = (sibling.get(entry.path) for sibling in siblings)
        if all(one is None or _attributes(one) == _attributes(entry) for one in theirs):
            continue
        was, now = own.lookup(entry.path), below.lookup(entry.path)
        if was and now and now.kind in _DIRECTORIES and _attributes(was) == _attributes(entry):
            mode, uid, gid, xattrs = _attributes(now)
            out[at] = entry._replace(mode=mode, uid=uid, gid=gid, xattrs=xattrs)
    return tuple(out)


def _attributes(entry: Entry) -> tuple[int, int, int, tuple[tuple[bytes, bytes], ...]]:
    return entry.mode, entry.uid, entry.gid, entry.xattrs


def _expanded(path: bytes, own: Below, brought: set[bytes], parents: set[bytes]) -> list[Entry]:
    """Whiteouts for all that the step's own stack had at ``path``, the way to the siblings' files left open."""
    found = own.lookup(path)
    attributes = found if found is not None and found.kind in _DIRECTORIES else None
    mode = attributes.mode if attributes else 0o755
    uid, gid = (attributes.uid, attributes.gid) if attributes else (0, 0)
    out = [Entry(path, tree.DIRECTORY, mode, uid, gid)]
    for name in own.names(path):
        child = path + b"/" + name
        if child in parents:
            out += _expanded(child, own, brought, parents)
        elif child not in brought:
            out.append(Entry(child, tree.WHITEOUT))
    return out
