"""Walks a context for selections: which files, folders and links they take. Nothing is read but links.

Paths that are named (``from``) are followed through links as long as they stay inside the context. Links below a
selected folder are taken as links, unless the selection says ``follow``.
"""

import os
from collections.abc import Sequence
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final, NamedTuple

from buildgraph.errors import UsageError
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import show, special, unreadable
from buildgraph.fs.folder import Folder
from buildgraph.fs.ignore import Globs, Node
from buildgraph.fs.rows import Row, prove_bytes, row_of

_MOST_LINKS: Final = 40
_ANYWHERE: Final = frozenset((b".git",))
"""Of the names that are always ignored, those that are so in every folder."""


class Selection(NamedTuple):
    """``path`` is relative to the context; ``include`` and ``exclude`` are globs below it."""

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: bool = False


class Batch(NamedTuple):
    """Files ``names`` of ``folder`` that are selected as ``prefix/name``."""

    prefix: bytes
    folder: Folder
    names: list[bytes]


class _Place(NamedTuple):
    """A folder to be visited; ``above`` are the folders whose links led here."""

    prefix: bytes
    folder: Folder
    node: Node
    above: tuple[bytes, ...] = ()


class Found:
    """What a selection takes, paths relative to it. Sources are on the host, ``single`` is below the context."""

    __slots__ = ("_places", "batches", "files", "folders", "links", "single", "source")

    def __init__(self) -> None:
        self.single: bytes | None = None
        """Set if the selection is one file."""
        self.source = b""
        """The selection's folder."""
        self.batches: list[Batch] = []
        self.files: list[tuple[bytes, bytes]] = []
        """Path, and where the link at that path leads below the context."""
        self.folders: dict[bytes, bytes] = {}
        """Source by path."""
        self.links: list[tuple[bytes, bytes, bytes]] = []
        """Path, target and source."""
        self._places: dict[bytes, bytes] = {}

    def visit(self, path: bytes, source: bytes, *, taken: bool) -> None:
        self._places[path] = source
        if taken:
            self.reach(path)

    def reach(self, path: bytes) -> None:
        """The folder ``path`` and those above it are part of the selection."""
        while path and path not in self.folders:
            self.folders[path] = self._places[path]
            path = path.rpartition(b"/")[0]


class Scan:
    """One look at the folders below ``root``, which is a real path; each is listed at most once."""

    def __init__(
        self, root: bytes, ignore: Sequence[str], always_ignored: Sequence[bytes], facts: Facts
    ) -> None:
        self._root = root
        self._ignore = Globs.compile((), ignore)
        self._everywhere = _ANYWHERE & frozenset(always_ignored)
        self._hidden: dict[bytes, frozenset[bytes]] = {}
        for path in always_ignored:
            parent, _, name = path.strip(b"/").rpartition(b"/")
            self._hidden[parent] = self._hidden.get(parent, self._everywhere) | {name}
        self._globs: dict[tuple[tuple[str, ...], tuple[str, ...]], Globs] = {}
        self._facts = facts
        self.folders: dict[bytes, Folder] = {}

    def collect(self, selection: Selection) -> Found:
        """Raises :class:`UsageError` as :meth:`Context.select` says."""
        real, row = self.resolve(os.fsencode(selection.path))
        if real and not self._ignore.matches(real, S_ISDIR(row[3])):
            raise UsageError(
                "source-ignored",
                f"{selection.path} is never selected: the workspace's ignore matches it",
                hint="change ignore under [workspace]",
            )
        found = Found()
        if S_ISREG(row[3]):
            if selection.include or selection.exclude:
                raise globs_of_a_file(selection.path)
            found.single = real
        elif S_ISDIR(row[3]):
            folder = self._folder(real)
            found.source = folder.full
            todo = [_Place(b"", folder, self._compiled(selection).root)]
            while todo:
                todo += self._visit(todo.pop(), found, follow=selection.follow)
        else:
            raise special(selection.path)
        return found

    def resolve(self, path: bytes, start: bytes = b"") -> tuple[bytes, Row]:
        """Where ``path`` from the folder ``start`` leads, below the context, and its row; links are remembered."""
        at, links = start, 0
        todo = path.split(b"/")[::-1]
        while todo:
            name = todo.pop()
            if name == b"..":
                if not at:
                    raise _escapes(path, start)
                at = at.rpartition(b"/")[0]
            elif name not in (b"", b"."):
                here = at + b"/" + name if at else name
                row = self._lstat(here, os.path.join(start, path))
                if not S_ISLNK(row[3]):
                    at = here
                    continue
                links += 1
                if links > _MOST_LINKS:
                    raise _loops(here)
                target = self._target(here, row)
                if target.startswith(b"/"):
                    at, target = b"", self._inside(target, path, start)
                todo += target.split(b"/")[::-1]
        return at, self._lstat(at, os.path.join(start, path))

    def _inside(self, target: bytes, path: bytes, start: bytes) -> bytes:
        if target != self._root and not target.startswith(self._root + b"/"):
            raise _escapes(path, start)
        return target[len(self._root) :]

    def _lstat(self, path: bytes, wanted: bytes) -> Row:
        try:
            return row_of(os.lstat(os.path.join(self._root, path)))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing(show(wanted), self._near(path, wanted)) from error
        except OSError as error:
            raise unreadable(show(path), error) from error

    def _near(self, path: bytes, wanted: bytes) -> list[str]:
        """``path`` is the part of ``wanted``, or of where its links lead, that is not there. Asks nothing outside."""
        parent, slash, name = path.rpartition(b"/")
        rest = name + wanted[len(path) :] if wanted.startswith(path + b"/") else name
        above = show(parent) + "/" if slash else ""
        return [above + near for near in near_paths(self._root + b"/" + parent, rest)]

    def _target(self, path: bytes, row: Row) -> bytes:
        try:
            target = os.readlink(os.path.join(self._root, path))
        except OSError as error:
            raise unreadable(show(path), error) from error
        self._facts.add(path, row, prove_bytes(target))
        return target

    def _compiled(self, selection: Selection) -> Globs:
        key = selection.include, selection.exclude
        if key not in self._globs:
            self._globs[key] = Globs.compile(*key)
        return self._globs[key]

    def _folder(self, path: bytes) -> Folder:
        found = self.folders.get(path)
        if found is None:
            hidden = self._hidden.get(path, self._everywhere)
            found = self.folders[path] = Folder(self._root, path, self._ignore.at(path), hidden)
        return found

    def _visit(self, place: _Place, found: Found, *, follow: bool) -> list[_Place]:
        """Takes what is selected in one folder; returns the folders to go on with."""
        prefix, folder, node, _ = place
        names = folder.within(node)
        for name in node.files(names.others):
            raise special(show(os.path.join(folder.path, name)))
        files = node.files(names.files)
        if files:
            found.batches.append(Batch(prefix, folder, files))
            found.reach(prefix)
        more = []
        for name in names.folders:
            taken, below = node.takes(name, is_dir=True), node.enter(name)
            if taken or not below.dead:
                path = prefix + b"/" + name if prefix else name
                found.visit(path, folder.full + b"/" + name, taken=taken)
            if not below.dead:
                inner = folder.path + b"/" + name if folder.path else name
                more.append(_Place(path, self._folder(inner), below, place.above))
        for name in names.links:
            if follow:
                more += self._follow(place, name, found)
            elif node.takes(name):
                self._take_link(place, name, found)
        return more

    def _take_link(self, place: _Place, name: bytes, found: Found) -> None:
        path = os.path.join(place.folder.path, name)
        row = self._lstat(path, path)
        source = place.folder.full + b"/" + name
        found.links.append((os.path.join(place.prefix, name), self._target(path, row), source))
        found.reach(place.prefix)

    def _follow(self, place: _Place, name: bytes, found: Found) -> list[_Place]:
        """Takes what the link ``name`` leads to, as if it were in the folder itself."""
        taken = place.node.takes(name, is_dir=True)
        below = place.node.enter(name)
        if not taken and below.dead and not place.node.takes(name):
            return []
        here = place.folder.path
        real, row = self.resolve(name, here)
        path = os.path.join(place.prefix, name)
        if S_ISREG(row[3]) and place.node.takes(name):
            found.files.append((path, real))
            found.reach(place.prefix)
        elif S_ISDIR(row[3]):
            above = (*place.above, here)
            if any(one == real or not real or one.startswith(real + b"/") for one in above):
                raise _loops(os.path.join(here, name))
            found.visit(path, os.path.join(self._root, real), taken=taken)
            if not below.dead:
                return [_Place(path, self._folder(real), below, above)]
        elif not S_ISREG(row[3]) and place.node.takes(name):
            raise special(show(os.path.join(here, name)))
        return []


def missing(path: str, near: Sequence[str]) -> UsageError:
    return UsageError(
        "source-missing",
        f"{path} does not exist",
        hint=f"did you mean {' or '.join(near)}?" if near else "",
    )


def near_paths(folder: bytes, wanted: bytes) -> list[str]:
    """Up to two that are there and look like ``wanted``, which is not, as they would be written in its place."""
    found = [b"/" if wanted.startswith(b"/") else b""]
    for name in filter(None, wanted.split(b"/")):
        below = [os.path.join(one, n) for one in found for n in _near(folder, one, name)]
        if not below:
            break
        found = below[:2]
    return [show(one) for one in found if not (wanted + b"/").startswith(one.rstrip(b"/") + b"/")]


def _near(folder: bytes, inside: bytes, name: bytes) -> list[bytes]:
    """The name itself, if it is there."""
    here = os.path.join(folder, inside)
    if os.path.lexists(os.path.join(here, name)):
        return [name]
    try:
        names = {show(entry).lower(): entry for entry in os.listdir(here)}
    except OSError:
        return []
    import difflib

    return [names[near] for near in difflib.get_close_matches(show(name).lower(), names, 2)]


def _escapes(path: bytes, start: bytes) -> UsageError:
    shown = show(os.path.join(start, path))
    return UsageError(
        "source-escapes",
        f"{shown} leads out of the context",
        hint="copy what it leads to into the workspace, or exclude it",
    )


def _loops(path: bytes) -> UsageError:
    return UsageError(
        "source-loop",
        f"the link {show(path)} leads back to itself",
        hint="remove or exclude the link, or select without follow",
    )


def globs_of_a_file(path: str) -> UsageError:
    return UsageError(
        "globs-of-a-file",
        f"{path} is a file, and 'include' and 'exclude' choose among what is in a folder",
        hint="leave them out, or name the folder that the file is in",
    )
