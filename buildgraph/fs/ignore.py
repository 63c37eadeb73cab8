"""Globs: which paths below a folder are meant.

A pattern is relative to the folder that it is written for and anchored there, case-sensitive, and matches names
that begin with a dot like any others::

    *   any characters of one name      ?      one character
    **  as a whole part: any number of folders, none included
    [a-z] [!a-z]  one character (not) of a class          {a,b}  either
    \\x  the character x itself          name/  only if it is a folder

A pattern that matches a folder means everything below it, too; ``dir/**`` means all below ``dir``, not ``dir``
itself. A leading ``/`` or ``./`` changes nothing. What ``exclude`` matches is out, whatever includes it.

Patterns run as a set of positions that moves from folder to folder (:class:`Node`), so the cost is linear in
the length of a path, folders that cannot hold a match are never entered, and a folder that is meant as a whole
costs nothing per file.
"""

from collections.abc import Iterable, Sequence
from typing import Self

from buildgraph.fs.pattern import ANY_FOLDERS, Pattern, Test, parse_all

_State = tuple[int, int]
"""A pattern's index and the part of it that the next name has to match."""


class _Side:
    """The positions of one list of patterns in one folder; ``full``: everything below the folder matches."""

    __slots__ = ("_files", "_folders", "full", "literals", "patterns", "states")

    def __init__(self, patterns: Sequence[Pattern], states: frozenset[_State] | None) -> None:
        """``states`` None is a full side."""
        self.patterns = patterns
        self.full = states is None
        self.states: frozenset[_State] = states or frozenset()
        self.literals: frozenset[bytes] = frozenset(
            literal for i, p in self.states if (literal := patterns[i].parts[p].literal) is not None
        )
        self._folders = self._last(folders_only=True)
        self._files = self._last(folders_only=False)

    def _last(self, *, folders_only: bool) -> tuple[frozenset[bytes], tuple[Test, ...]]:
        """What the names of this folder are compared with: literal names, and tests."""
        parts = [
            self.patterns[i].parts[p]
            for i, p in sorted(self.states)
            if p == len(self.patterns[i].parts) - 1
            and (folders_only or not self.patterns[i].folders_only)
        ]
        literals = frozenset(part.literal for part in parts if part.literal is not None)
        return literals, tuple(part.test for part in parts if part.test is not None)

    def matches(self, name: bytes, *, is_dir: bool) -> bool:
        if self.full:
            return True
        literals, tests = self._folders if is_dir else self._files
        return name in literals or any(test(name) for test in tests)

    def only(self, names: list[bytes]) -> list[bytes]:
        """Those of the files ``names`` that match."""
        if self.full or not names:
            return names
        literals, tests = self._files
        if not tests:
            return [name for name in names if name in literals] if literals else []
        return [name for name in names if name in literals or any(test(name) for test in tests)]

    def without(self, names: list[bytes]) -> list[bytes]:
        """Those of the files ``names`` that do not match; mostly all."""
        if self.full:
            return []
        literals, tests = self._files
        if not literals.isdisjoint(names):
            names = [name for name in names if name not in literals]
        for test in tests:
            names = [name for name in names if not test(name)]
        return names

    def enter(self, name: bytes) -> frozenset[_State] | None:
        """The positions in the folder ``name``; None when everything in it matches."""
        if self.full:
            return None
        moved: set[_State] = set()
        for i, p in self.states:
            parts = self.patterns[i].parts
            if not parts[p].matches(name):
                continue
            if parts[p] is ANY_FOLDERS:
                moved.add((i, p))
            elif p == len(parts) - 1:
                return None
            else:
                moved.add((i, p + 1))
        return _closure(self.patterns, moved)


def _closure(patterns: Sequence[Pattern], states: Iterable[_State]) -> frozenset[_State] | None:
    """Adds what follows a ``**`` that stands for no folder; None when a pattern ends in ``**`` here."""
    found: set[_State] = set()
    for i, p in states:
        parts = patterns[i].parts
        at = p
        found.add((i, at))
        while parts[at] is ANY_FOLDERS:
            if at == len(parts) - 1:
                return None
            at += 1
            found.add((i, at))
    return frozenset(found)


class Node:
    """What the patterns mean in one folder. Nodes are shared: equal positions are one object."""

    __slots__ = ("_exclude", "_globs", "_include", "dead", "whole")

    def __init__(self, globs: "Globs", include: _Side, exclude: _Side) -> None:
        self._globs = globs
        self._include = include
        self._exclude = exclude
        self.dead = exclude.full or not (include.full or include.states)
        """Nothing below the folder is meant."""
        self.whole = include.full and not exclude.full and not exclude.states
        """Everything below the folder is meant."""

    def takes(self, name: bytes, *, is_dir: bool = False) -> bool:
        return self._include.matches(name, is_dir=is_dir) and not self._exclude.matches(
            name, is_dir=is_dir
        )

    def files(self, names: list[bytes]) -> list[bytes]:
        """Those of the files ``names`` that are meant."""
        return self._exclude.without(self._include.only(names))

    def names(self, name: bytes) -> bool:
        """Whether a pattern spells ``name`` out, here."""
        return name in self._include.literals

    def enter(self, name: bytes) -> "Node":
        """The node of the folder ``name`` in this one."""
        if self.whole or self.dead:
            return self
        exclude = self._exclude
        if not exclude.matches(name, is_dir=True):
            return self._globs.node(self._include.enter(name), exclude.enter(name))
        return self._globs.node(frozenset(), None)


class Globs:
    """Selects what ``include`` matches (everything, if it is empty) and ``exclude`` does not."""

    __slots__ = ("_exclude", "_include", "_nodes", "_places", "root")

    def __init__(self, include: Sequence[Pattern], exclude: Sequence[Pattern]) -> None:
        self._include = include
        self._exclude = exclude
        self._nodes: dict[tuple[frozenset[_State] | None, frozenset[_State] | None], Node] = {}
        self.root: Node = self.node(
            _closure(include, [(i, 0) for i in range(len(include))]) if include else None,
            _closure(exclude, [(i, 0) for i in range(len(exclude))]),
        )
        self._places: dict[bytes, Node] = {b"": self.root}

    @classmethod
    def compile(cls, include: Sequence[str], exclude: Sequence[str] = ()) -> Self:
        """Raises :class:`UsageError` (``bad-glob``) naming the pattern."""
        return cls(parse_all(tuple(include)), parse_all(tuple(exclude)))

    def node(self, include: frozenset[_State] | None, exclude: frozenset[_State] | None) -> Node:
        key = (include, exclude)
        found = self._nodes.get(key)
        if found is None:
            sides = _Side(self._include, include), _Side(self._exclude, exclude)
            found = self._nodes[key] = Node(self, *sides)
        return found

    def at(self, folder: bytes) -> Node:
        """The node of ``folder`` (``b""`` is the root)."""
        found = self._places.get(folder)
        if found is None:
            found, at = self.root, 0
            for name in folder.split(b"/"):
                at += len(name)
                known = self._places.get(folder[:at])
                found = self._places[folder[:at]] = known or found.enter(name)
                at += 1
        return found

    def matches(self, path: bytes, is_dir: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Whether ``path`` is selected, by itself or with a folder above it."""
        parent, _, name = path.rpartition(b"/")
        node = self.at(parent)
        return not node.dead and node.takes(name, is_dir=is_dir)

    def may_contain(self, folder: bytes) -> bool:
        """False only if nothing below ``folder`` can be selected."""
        return not self.at(folder).dead
