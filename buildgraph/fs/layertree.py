"""What tree do an archive's members add up to, and where does each of them land?

The tree is kept in memory and every name is looked up in it, not on disk, so that unpacking and merely listing an
archive agree and no link can lead anywhere else. The rules are those of image-spec, layer.md "Applying Changesets":

* a name is relative to the root, with or without leading slashes; one that climbs above it is refused;
* symlinks in a parent, or in a hard link's target, are followed inside the root; the last name never is;
* a later member replaces an earlier one of the same path, with all below it unless both are directories;
* parents that the archive leaves out are made: with the attributes that the stack below has there, else 0755 0:0;
* ``.wh.NAME`` and ``.wh..wh..opq`` hide what lower layers have, never what this one brings, in whichever order they
  come; so a directory whose name the layer also whites out is opaque. Other ``.wh..wh.`` names are bookkeeping of
  AUFS and ignored. In a plain archive (``whiteouts=False``) such names are refused: a layer cannot hold them.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from buildgraph.errors import ContentError
from buildgraph.fs import tarheader, tree
from buildgraph.fs.layernode import KINDS, NOTHING, Node, check_special, describe, new_directory
from buildgraph.fs.membername import (
    MOST_NAME,
    MOST_PATH,
    bad_link,
    bad_name,
    is_bookkeeping,
    parts_of,
)
from buildgraph.fs.rooted import MOST_LINKS, shown
from buildgraph.fs.tarball import OPAQUE_MARKER, WHITEOUT_PREFIX
from buildgraph.fs.tarheader import Member
from buildgraph.fs.tree import Entry
from buildgraph.values import dataclass

_MOST_STEPS: Final = 10_000  # names looked at for one path, links followed
_DIRECTORIES: Final = (tree.DIRECTORY, tree.FIXED_DIRECTORY, tree.OPAQUE)
Lookup = Callable[[bytes], Entry | None]
"""What the stack below has at exactly this path."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one archive: its length, its members with the parents implied by them, and bytes of names to keep
    (and, once more, of symlinks' targets to follow)."""

    stream: int = 1 << 37
    entries: int = 1_000_000
    names: int = 1 << 28


_Directory = tuple[Node, dict[bytes, Node]]
"""A directory and what is in it."""


class Place(NamedTuple):
    """``node`` is to be made as ``name`` in ``parent``, where ``before`` must go first; for a hard link, ``target``
    says where its file is."""

    parent: Node
    name: bytes
    node: Node
    before: Node | None = None
    target: tuple[Node, bytes] | None = None


class LayerTree:
    """Members are placed in the archive's order. ``made`` is told of every directory that only was implied.

    Raises :class:`ContentError` (``archive-…``) that names the member.
    """

    def __init__(
        self,
        limits: Limits,
        made: Callable[[Place], None],
        *,
        whiteouts: bool,
        below: Lookup | None,
    ) -> None:
        self.root = new_directory()
        self.root.implied = True
        self._limits = limits
        self._made = made
        self._whiteouts = whiteouts
        self._below = below
        self._entries = 0
        self._bytes = 0
        self._last: tuple[list[bytes] | None, _Directory] = (None, (self.root, {}))
        self._followed = 0
        self._borrowed = False
        """Whether a symlink of the stack below was followed; a later member may cover it."""
        if below is not None and (found := below(b"")) is not None:
            self.root.mode, self.root.uid, self.root.gid = found.mode, found.uid, found.gid
            self.root.xattrs = found.xattrs

    def place(self, member: Member) -> Place | None:
        """None where nothing is to be made: a directory that is there, an opaque marker, bookkeeping."""
        name = member.name
        parts = parts_of(name)
        if not parts:
            self._at_root(member)
            return None
        if WHITEOUT_PREFIX in name and is_bookkeeping(parts, name, whiteouts=self._whiteouts):
            return None
        last = parts.pop()
        parent, children = self._parent(parts, name)
        if len(parent.path) + len(last) >= MOST_PATH:
            raise bad_name(name, "is too long")
        self._charge(len(parent.path) + _weight(member))
        if last[:4] == WHITEOUT_PREFIX:
            return self._whiteout(parent, children, last, name)
        before = children.get(last)
        if member.type == tarheader.LINK:
            return self._link(Place(parent, last, self.root, before), member)
        if member.type != tarheader.DIRECTORY:
            node = Node(KINDS[member.type])
            check_special(member)
        elif before is not None and before.children is not None:
            describe(before, member)
            return None
        else:
            node = new_directory(parent, last)
        describe(node, member)
        return self._put(Place(parent, last, node, before), children)

    def sorted(self) -> list[tuple[bytes, Node]]:
        """All that is in the tree, by path; the root only if a member described it."""
        found = [] if self.root.implied else [(b"", self.root)]
        todo = [self.root]
        while todo:
            parent = todo.pop()
            prefix = parent.path + b"/" if parent.path else b""
            for name, node in (parent.children or {}).items():
                found.append((prefix + name, node))
                if node.children is not None:
                    todo.append(node)
        found.sort(key=lambda item: item[0])
        return found

    def _charge(self, size: int) -> None:
        self._entries += 1
        self._bytes += size
        if self._entries > self._limits.entries:
            raise ContentError(
                "archive-too-big", f"the archive has more than {self._limits.entries} entries"
            )
        if self._bytes > self._limits.names:
            raise ContentError(
                "archive-too-big",
                f"names and attributes in the archive are longer than {self._limits.names} bytes",
            )

    def _at_root(self, member: Member) -> None:
        if member.type != tarheader.DIRECTORY or not member.name:
            raise bad_name(member.name, "names the root of the archive and is no directory")
        describe(self.root, member)

    def _whiteout(
        self, parent: Node, children: dict[bytes, Node], last: bytes, name: bytes
    ) -> Place | None:
        if last == OPAQUE_MARKER:
            parent.kind = tree.OPAQUE
            parent.implied = False
            return None
        target = last[len(WHITEOUT_PREFIX) :]
        if target in (b"", b".", b".."):
            raise bad_name(name, "is a whiteout of nothing")
        if parent.hidden is NOTHING:
            parent.hidden = set()
        parent.hidden.add(target)
        before = children.get(target)
        if before is None:
            node = children[target] = Node(tree.WHITEOUT, 0)
            return Place(parent, target, node)
        if before.children is not None:
            before.kind = tree.OPAQUE
        return None

    def _link(self, place: Place, member: Member) -> Place:
        name, link = member.name, member.link
        try:
            parts = parts_of(link)
        except ContentError as error:
            raise bad_link(name, link, "no path in the archive") from error
        found = self._find(parts, name) if parts else None
        node = found and found[1].get(parts[-1])
        if not found or node is None or node.kind == tree.WHITEOUT:
            raise ContentError(
                "archive-link",
                f"{shown(name)} is a hard link to {shown(link)}, which is not in the archive before it",
            )
        directory = found[0]
        if node.children is not None:
            raise bad_link(name, link, "a directory")
        if (directory, parts[-1]) == (place.parent, place.name):
            raise bad_link(name, link, "itself")
        before = place.before
        gone = before.path if before is not None and before.children is not None else None
        if gone is not None and (directory.path + b"/").startswith(gone + b"/"):
            raise bad_link(name, link, "a file in the directory that it replaces")
        node.names += 1
        assert place.parent.children is not None
        return self._put(
            place._replace(node=node, target=(directory, parts[-1])), place.parent.children
        )

    def _put(self, place: Place, children: dict[bytes, Node]) -> Place:
        children[place.name] = place.node
        if place.before is not None:
            self._last = (None, self._last[1])
        return place

    def _parent(self, parts: list[bytes], name: bytes) -> _Directory:
        """Where a member goes; mostly the same directory as the one before."""
        known, directory = self._last
        if known != parts:
            self._borrowed = False
            directory = self._walk(parts, name, make=True)
            self._last = (None if self._borrowed else parts, directory)
        return directory

    def _find(self, parts: list[bytes], name: bytes) -> _Directory | None:
        """The directory of a hard link's target."""
        try:
            return self._walk(parts[:-1], name, make=False)
        except LookupError:
            return None

    def _walk(self, parts: list[bytes], name: bytes, *, make: bool) -> _Directory:
        """The directory that ``parts`` lead to, links followed; raises ``LookupError`` if it is not to be made."""
        trail = [self.root]
        todo = parts[::-1]
        links = steps = 0
        while todo:
            part = todo.pop()
            steps += 1
            if part == b"..":
                if len(trail) > 1:
                    trail.pop()
                continue
            found = self._step(trail, part, name, make=make)
            if isinstance(found, Node):
                trail.append(found)
                continue
            links += 1
            self._followed += len(found)
            if self._followed > self._limits.names:
                raise ContentError("archive-too-big", "the archive leads through too many links")
            if links > MOST_LINKS or steps > _MOST_STEPS:
                raise ContentError(
                    "archive-link", f"too many symbolic links in the path of {shown(name)}"
                )
            if found.startswith(b"/"):
                del trail[1:]
            todo += [p for p in reversed(found.split(b"/")) if p not in (b"", b".")]
        directory = trail[-1]
        assert directory.children is not None
        return directory, directory.children

    def _step(self, trail: list[Node], part: bytes, name: bytes, *, make: bool) -> Node | bytes:
        """The directory ``part`` in the last of ``trail``, or the target of the symlink that it is."""
        parent = trail[-1]
        assert parent.children is not None
        child = parent.children.get(part)
        if child is not None and child.kind != tree.WHITEOUT:
            if child.children is not None:
                return child
            if child.kind == tree.SYMLINK:
                return child.link
            raise ContentError(
                "archive-parent", f"{shown(name)} lies below {shown(part)}, which is no directory"
            )
        if not make:
            raise LookupError
        found = None
        if self._below and child is None and all(n.kind != tree.OPAQUE for n in trail):
            found = self._below(parent.path + b"/" + part if parent.path else part)
            if found is not None and found.kind == tree.SYMLINK:
                self._borrowed = True
                return found.link
        return self._imply(Place(parent, part, new_directory(parent, part), child), found, name)

    def _imply(self, place: Place, found: Entry | None, name: bytes) -> Node:
        node = place.node
        if place.name.startswith(WHITEOUT_PREFIX) or len(place.name) > MOST_NAME:
            raise bad_name(name, "leads to a name that cannot be")
        if len(node.path) > MOST_PATH:
            raise bad_name(name, "is too long")
        self._charge(len(node.path))
        node.implied = True
        if found is not None and found.kind in _DIRECTORIES:
            node.mode, node.uid, node.gid = found.mode, found.uid, found.gid
            node.xattrs = found.xattrs
        assert place.parent.children is not None
        self._made(self._put(place, place.parent.children))
        return node


def _weight(member: Member) -> int:
    """Bytes that are kept of ``member`` until the end."""
    size = len(member.name) + len(member.link)
    return size + sum(len(k) + len(v) for k, v in member.xattrs) if member.xattrs else size
