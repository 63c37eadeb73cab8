"""What is wrong with a Buildfile? Every mistake found so far, each with its place.

The steps of loading go on after a mistake wherever what is left still makes sense, and add what they find here;
nothing of the model is handed out unless this list is empty. A mistake seen twice (in the defaults that forty
images inherit) is told once.
"""

from collections.abc import Iterable, Mapping, Sequence

from buildgraph.errors import BuildgraphError, ErrorGroup, Location, UsageError
from buildgraph.spec.position import Path, Positions

_MOST = 1000
"""Mistakes shown in one run: more than this is no Buildfile."""
_ALIKE = 100
"""Mistakes for which near names are looked for (difflib is quadratic)."""


class Problems:
    """``moved`` tells where a value was written that now stands somewhere else (inherited defaults)."""

    def __init__(self, positions: Positions) -> None:
        self.positions = positions
        self.moved: dict[Path, Path] = {}
        self.tables: set[Path] = set()
        """The tables, by kind and name, that have mistakes."""
        self._found: dict[tuple[str, str, str, int], UsageError] = {}
        self._unshown = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(
        self,
        code: str,
        message: str,
        path: Path = (),
        *,
        hint: str = "",
        detail: Iterable[str] = (),
        written: str = "",
    ) -> None:
        """``written`` is the part of the value at ``path`` that is wrong: in a long text, its line is shown."""
        self.tables.add(path[:2])
        if len(self._found) >= _MOST:
            self._unshown += 1
            return
        where = self.positions.location(self.origin(path), written)
        key = (code, message, where.file, where.line)
        if key not in self._found:
            self._found[key] = UsageError(code, message, hint=hint, where=where, detail=detail)

    def adopt(self, error: BuildgraphError, path: Path = (), *, said: str = "") -> None:
        """Add what a parser of a single value raised, at the place where the value stands."""
        self.add(error.code, said or error.message, path, hint=error.hint, detail=error.detail)

    def location(self, path: Path) -> Location:
        return self.positions.location(self.origin(path))

    def origin(self, path: Path) -> Path:
        """The path as written."""
        if not self.moved:
            return path
        for known in range(len(path), 0, -1):
            if path[:known] in self.moved:
                return self.moved[path[:known]] + path[known:]
        return path

    def near(self, name: str, known: Iterable[str]) -> tuple[str, ...]:
        """Up to three of ``known`` that look like ``name``; none once enough was said."""
        return () if len(self._found) >= _ALIKE else near(name, known)

    def raise_all(self) -> None:
        """Raises :class:`ErrorGroup`, if there is anything to tell."""
        if self._found:
            raise ErrorGroup(self.errors())

    def errors(self) -> list[BuildgraphError]:
        """In the order of the lines."""
        errors = in_order(self._found.values())
        if self._unshown:
            more = f"{self._unshown:,} more mistakes are not shown"
            errors.append(UsageError("too-many-mistakes", more))
        return errors


def in_order(errors: Iterable[BuildgraphError]) -> list[BuildgraphError]:
    """By file and line; what has no place comes first."""
    return sorted(errors, key=lambda e: (e.where.file, e.where.line) if e.where else ("", 0))


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three of ``known`` that look like ``name``, the most similar first."""
    from difflib import get_close_matches

    names = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), list(names), n=3, cutoff=0.6)
    return tuple(names[word] for word in close)


def mean(words: Sequence[str]) -> str:
    """A hint such as ``did you mean "deps"?``; empty when there are no words."""
    return f"did you mean {either(words)}?" if words else ""


def either(words: Sequence[str], *, quote: str = '"') -> str:
    """``"a"``, ``"a" or "b"``, ``"a", "b" or "c"``."""
    quoted = [f"{quote}{word}{quote}" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def dotted(path: Path) -> str:
    """``step.deps.mounts[0].target``, as people write it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _bare(part) else f'"{part}"')
    return text


def _bare(key: str) -> bool:
    return bool(key) and all(char.isalnum() or char in "-_" for char in key)


Table = Mapping[str, object]
