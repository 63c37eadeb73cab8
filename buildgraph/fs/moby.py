"""Does an ignore file exclude this path? The patterns of ``.dockerignore``, ``--exclude`` and ``--parents``.

As moby's patternmatcher walks a context: a pattern is compared with the whole path from the root; ``*`` and ``?`` stop
at a slash, ``**`` stands for any number of folders; a pattern that matches a folder means all below it; a leading ``!``
takes back what earlier patterns matched, and the last one that has something to say decides. A leading or trailing
slash and ``./`` change nothing.

Patterns are cut at their slashes. A folder has a node, the places that patterns have reached there; nodes are shared,
so a path costs a look-up by folder, one by name and a test for each wildcard that can end there. Patterns that cannot
be cut (``a**b``, classes that hold a slash) run as automata over whole paths. Nothing backtracks.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from buildgraph.errors import UsageError
from buildgraph.fs.mobypattern import (
    ANY_FOLDERS,
    MobyPattern,
    Test,
    bad_exception,
    clean,
    parse,
)

_Place = tuple[int, int]
"""A pattern's number, and how many of its parts the folders above have used up."""

_LONGEST = 65_535
"""Bytes of a line, as Go's ``bufio.Scanner`` takes them."""

_SPACES = "\t\n\v\f\r \x85\xa0"


class _Node:
    """``always``, ``names`` and ``tests`` say which patterns (bits) match an entry; ``down`` and ``wild`` lead on.

    ``suffixes`` are compared all at once; ``entered`` remembers the nodes of folders by name.
    """

    __slots__ = (
        "_by_suffix",
        "_suffixes",
        "always",
        "below",
        "down",
        "entered",
        "names",
        "tests",
        "wild",
    )

    def __init__(self, patterns: tuple[MobyPattern, ...], places: Iterable[_Place]) -> None:
        self.always = self.below = 0
        self.names: dict[str, int] = {}
        self.tests: list[tuple[int, Test]] = []
        self.down: dict[str, list[_Place]] = {}
        self.wild: list[_Place] = []
        self.entered: dict[str, tuple[_Node, int]] = {}
        self._by_suffix: dict[str, int] = {}
        for place in places:
            number, at = place
            parts = patterns[number].parts
            part, bit = parts[at], 1 << number
            self.below |= bit
            last = at == len(parts) - 1
            if part is ANY_FOLDERS:
                self.always |= bit if last else 0
                self.wild.append(place)
            elif not last and part.literal is not None:
                self.down.setdefault(part.literal, []).append(place)
            elif not last:
                self.wild.append(place)
            elif part.test is None:
                name = part.literal or ""
                self.names[name] = self.names.get(name, 0) | bit
            elif part.suffix:
                self._by_suffix[part.suffix] = self._by_suffix.get(part.suffix, 0) | bit
            else:
                self.tests.append((bit, part.test))
        self._suffixes = tuple(self._by_suffix)

    def match(self, name: str) -> int:
        found = self.always | self.names.get(name, 0)
        if name.endswith(self._suffixes):
            for suffix, bits in self._by_suffix.items():
                if name.endswith(suffix):
                    found |= bits
        for bit, test in self.tests:
            if test(name):
                found |= bit
        return found


def _read(line: str) -> str:
    if len(line) > _LONGEST or len(line.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(
            "bad-pattern",
            f"the line that begins with {line[:40]!r} is longer than {_LONGEST:,} bytes",
            hint="write several patterns",
        )
    return line


def check_line(line: str) -> None:
    """Raises :class:`UsageError` (``bad-pattern``) for a line of an ignore file that says nothing."""
    Patterns.of_lines((line,))


class _Folder(NamedTuple):
    """``said`` are the patterns that had a say about the folder or one above it."""

    node: _Node
    said: int
    out: bool


class Patterns:
    """Answers are remembered by folder. Threads may share one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises :class:`UsageError` (``bad-pattern``)."""
        found: list[MobyPattern] = []
        self._negated = 0
        for text in patterns:
            pattern = text.strip(_SPACES)
            negated = pattern.startswith("!")
            written = pattern.removeprefix("!").strip(_SPACES)
            bare = clean(written)
            if negated and not bare and written[:1] in ("", "/"):
                raise bad_exception(text)
            if bare:
                self._negated |= negated << len(found)
                found.append(parse(bare))
        self._patterns = tuple(found)
        self._whole = [(1 << at, each.whole) for at, each in enumerate(found) if each.whole]
        self.reopens = bool(self._negated)
        """Whether something below a folder that matches may not match."""
        self._nodes: dict[frozenset[_Place], _Node] = {}
        starts = [(at, 0) for at, each in enumerate(found) if each.parts]
        self._folders = {"": _Folder(self._node(starts), 0, out=False)}

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Self:
        """Those of an ignore file, which may have comments and begin with a byte order mark.

        Raises :class:`UsageError` (``bad-pattern``), also for a line that is longer than moby reads.
        """
        without_mark = (
            line.removeprefix("\ufeff") if number == 0 else line
            for number, line in enumerate(lines)
        )
        return cls(_read(line) for line in without_mark if not line.startswith("#"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """The text of an ignore file."""
        return cls.of_lines(text.split("\n"))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def matches(self, path: str) -> bool:
        """Whether ``path`` (from the root, without leading slash) or a folder above it is meant."""
        if not self._patterns:
            return False
        above, _, name = path.rpartition("/")
        folder = self._folders.get(above) or self._enter(above)
        found = folder.node.match(name)
        if self._whole:
            found |= self._match_whole(path)
        if not found and not folder.said:
            return False
        return self._decide(folder.said, found)[1]

    def may_contain(self, path: str) -> bool:
        """Whether anything below the folder ``path`` may not match; False means that it need not be looked into."""
        folder = self._folders.get(path) or self._enter(path)
        if not folder.out:
            return True
        last = (folder.said & ~self._negated).bit_length()
        later = self._negated >> last << last
        whole = sum(bit for bit, _ in self._whole)
        return bool((folder.node.below | whole) & later)

    def _match_whole(self, path: str) -> int:
        found = 0
        for bit, test in self._whole:
            if test(path):
                found |= bit
        return found

    def _decide(self, said: int, found: int) -> tuple[int, bool]:
        """In order: a pattern is only asked when its answer would change something, or a folder above had it match."""
        out, asked = False, 0
        rest = said | found
        while rest:
            bit = rest & -rest
            rest ^= bit
            negated = bool(self._negated & bit)
            if said & bit or negated == out:
                asked |= bit
                out = not negated
        return asked, out

    def _enter(self, path: str) -> _Folder:
        at = path.rfind("/")
        while at >= 0 and path[:at] not in self._folders:
            at = path.rfind("/", 0, at)
        above = path[:at] if at >= 0 else ""
        folder = self._folders[above]
        start = at + 1
        while start <= len(path):
            end = path.find("/", start)
            end = len(path) if end < 0 else end
            folder = self._folders[path[:end]] = self._below(folder, path[start:end], path[:end])
            start = end + 1
        return folder

    def _below(self, folder: _Folder, name: str, path: str) -> _Folder:
        node = folder.node
        known = node.entered.get(name)
        if known is None:
            known = node.entered[name] = self._step(node, name), node.match(name)
        below, found = known
        if self._whole:
            found |= self._match_whole(path)
        said, out = self._decide(folder.said, found) if found or folder.said else (0, False)
        return _Folder(below, said, out)

    def _step(self, node: _Node, name: str) -> _Node:
        places: list[_Place] = []
        for number, at in (*node.down.get(name, ()), *node.wild):
            part = self._patterns[number].parts[at]
            if part is ANY_FOLDERS:
                places.append((number, at))
            elif part.test is None or part.test(name):
                places.append((number, at + 1))
        return self._node(places)

    def _node(self, places: Iterable[_Place]) -> _Node:
        """With what comes behind a ``**`` that stands for no folder."""
        reached: set[_Place] = set()
        for number, start in places:
            parts, at = self._patterns[number].parts, start
            reached.add((number, at))
            while parts[at] is ANY_FOLDERS and at < len(parts) - 1:
                at += 1
                reached.add((number, at))
        key = frozenset(reached)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Node(self._patterns, sorted(key))
        return node
