"""What does a source word of COPY or ADD mean? Wildcards, links, ``--parents`` and ``--exclude``, on any kind of files.

A word is a path from the root of a context or of a filesystem; ``..`` stops there. Its wildcards are Go's, part by
part, and never see through links; what they match is taken in sorted order. A name that is a link stands for what it
leads to.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.dockercontext import DockerContext, Keep
from buildgraph.fs.gomatch import is_wild, literal, matcher
from buildgraph.fs.merge import Merged
from buildgraph.fs.moby import Patterns
from buildgraph.fs.printable import printable
from buildgraph.graph.dockerrecipe import Match
from buildgraph.graph.recipe import Found, Origin
from buildgraph.graph.step import DockerFiles, Stack


class View(Protocol):
    """Files to choose from; paths are relative to the root, which is the empty path."""

    def resolve(self, path: bytes) -> bytes | None:
        """With all links followed inside the root; None if it leads to nothing."""

    def names(self, folder: bytes) -> list[tuple[bytes, bool]]:
        """Sorted, each with whether it is a folder (and no link to one)."""

    def is_folder(self, path: bytes) -> bool: ...

    def below(self, path: bytes, keep: Keep | None = None) -> Sequence[Found]:
        """Itself, with the empty path, and all below it that is kept; sorted."""


class ContextView:
    def __init__(self, context: DockerContext) -> None:
        self.resolve = context.resolve
        self.names = context.names
        self.is_folder = context.is_folder
        self._context = context

    def below(self, path: bytes, keep: Keep | None = None) -> list[Found]:
        return [
            Found(entry, Origin(source) if source else Origin(data=b""))
            for entry, source in self._context.below(path, keep)
        ]


class StackView:
    def __init__(self, merged: Merged, stack: Stack) -> None:
        self._merged = merged
        self._stack = stack

    def resolve(self, path: bytes) -> bytes | None:
        found, _ = self._merged.resolve(path)
        return found if self._merged.lookup(found) is not None else None

    def names(self, folder: bytes) -> list[tuple[bytes, bool]]:
        start = len(folder) + 1 if folder else 0
        return sorted(
            (entry.path[start:], entry.kind == tree.DIRECTORY)
            for entry, _ in self._merged.subtree(folder)
            if len(entry.path) > start and b"/" not in entry.path[start:]
        )

    def is_folder(self, path: bytes) -> bool:
        found = self._merged.lookup(path)
        return found is not None and found.kind == tree.DIRECTORY

    def below(self, path: bytes, keep: Keep | None = None) -> list[Found]:
        wanted = None if keep is None else _Pruned(keep)
        start = len(path) + 1 if path else 0
        out = []
        for entry, layer in self._merged.subtree(path, wanted):
            link = entry.link[start:] if entry.kind == tree.HARDLINK else entry.link
            origin = Origin(stack=self._stack, layer=layer, path=entry.path)
            out.append(Found(entry._replace(path=entry.path[start:], link=link), origin))
        if not out or out[0].entry.path:  # a root that no layer lists
            out.insert(0, Found(tree.Entry(b"", tree.DIRECTORY, 0o755), Origin()))
        return out


class _Pruned:
    """``keep`` asked of every path in sorted order, but not below what it does not look into."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._closed: set[bytes] = set()

    def __call__(self, path: bytes, _is_dir: bool) -> bool:  # noqa: FBT001 - as Merged asks
        if path.rpartition(b"/")[0] in self._closed:
            self._closed.add(path)
            return False
        taken, entered = self._keep(path)
        if not entered:
            self._closed.add(path)
        return taken


def matches(files: DockerFiles, view: View) -> tuple[Match, ...]:
    """In the order in which they are copied. Raises UsageError ``source-missing`` where a plain name means nothing."""
    if files.parents:
        return tuple(_with_parents(files, view))
    excluded = Patterns(files.exclude)
    found = []
    for name, real in named(files.pattern, view):
        last = name.rpartition(b"/")[2]
        if view.is_folder(real):
            keep = _excluding(excluded) if excluded else None
            found.append(Match("folder", last, tuple(view.below(real, keep))))
        elif not excluded.matches(os.fsdecode(last)):
            found.append(Match("file", last, tuple(view.below(real))))
    return tuple(found)


def named(pattern: str, view: View) -> list[tuple[bytes, bytes]]:
    """The paths that a word means, and where they lead. Raises UsageError ``source-missing``."""
    found = []
    for name in _named(_parts(pattern), view):
        real = view.resolve(name)
        if real is None:
            raise _missing(name)
        found.append((name, real))
    return found


def _parts(pattern: str) -> list[str]:
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _named(parts: Sequence[str], view: View) -> Iterable[bytes]:
    """The paths that the parts of a pattern mean; a plain one means itself, whether or not it exists."""
    first = next((at for at, part in enumerate(parts) if is_wild(part)), len(parts))
    start = b"/".join(os.fsencode(literal(part)) for part in parts[:first])
    if first == len(parts):
        return [start]
    base = view.resolve(start)
    if base is None or not view.is_folder(base):
        return []
    found = [base]
    for at, part in enumerate(parts[first:], first + 1):
        test = matcher(part)
        found = [
            folder + b"/" + name if folder else name
            for folder in found
            for name, is_dir in view.names(folder)
            if (is_dir or at == len(parts)) and test(os.fsdecode(name))
        ]
    return found


def _excluding(excluded: Patterns) -> Keep:
    def keep(path: bytes) -> tuple[bool, bool]:
        out = excluded.matches(os.fsdecode(path))
        return not out, not out or excluded.reopens

    return keep


def _with_parents(files: DockerFiles, view: View) -> Iterable[Match]:
    """All that matches below the pivot, with the folders on the way; one match per folder that the pivot means."""
    before, pivot, after = files.pattern.partition("/./")
    if not pivot:
        before, after = "", files.pattern
    parts, below = _parts(before), _parts(after)
    wild = any(map(is_wild, (*parts, *below)))
    count = 0
    for name in _named(parts, view):
        base = view.resolve(name)
        if base is None or not view.is_folder(base):
            continue
        keep = _including(below, Patterns(files.exclude))
        found = view.below(base, keep)
        count += len(found) - 1
        wanted = Patterns(["/".join(below)])
        way = {
            one.entry.path
            for one in found
            if one.entry.path and below and not wanted.matches(os.fsdecode(one.entry.path))
        }
        yield Match("folder", b"", tuple(found), frozenset(way))
    if not wild and below and not count and not files.exclude:
        raise _missing(os.fsencode("/".join((*parts, *below))))
    if not count:
        yield Match("folder", b"", ())


def _including(parts: Sequence[str], excluded: Patterns) -> Keep:
    wanted = Patterns(["/".join(parts)])
    depth = None if any("**" in part for part in parts) else len(parts)
    first = [None if is_wild(part) else os.fsencode(literal(part)) for part in parts]

    def keep(path: bytes) -> tuple[bool, bool]:
        if excluded.matches(os.fsdecode(path)):
            return False, excluded.reopens
        if not parts or wanted.matches(os.fsdecode(path)):
            return True, True
        here = path.count(b"/")
        if depth is not None and here >= depth - 1:
            return False, False
        literally = first[here] if here < len(first) else None
        if literally is not None and "**" not in "".join(parts[:here]):
            return False, path.rpartition(b"/")[2] == literally
        return False, True

    return keep


def _missing(path: bytes) -> UsageError:
    shown = printable(path)
    return UsageError(
        "source-missing",
        f'"/{shown}": not found',
        hint="it is not there, or the ignore file excludes it",
    )
