"""Does an ignore file exclude this path? The patterns of ``.dockerignore``, ``--exclude`` and ``--parents``.

As moby's patternmatcher: a pattern is compared with the whole path from the root; ``*`` and ``?`` stop at a slash,
``**`` stands for any number of folders; a pattern that matches a folder means all below it; a leading ``!`` takes back
what earlier patterns matched. The last one that has something to say decides. A leading or trailing slash and ``./``
change nothing.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple, Self

from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import one

_Test = Callable[[str], object]


class _Pattern(NamedTuple):
    test: _Test
    negated: bool


class Patterns:
    """Answers are remembered by folder: a path costs a test per pattern that no folder above it has answered."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises :class:`UsageError` (``bad-pattern``)."""
        found = [pattern for text in patterns if (pattern := _parse(text))]
        self._patterns = tuple(found)
        self.reopens = any(pattern.negated for pattern in found)
        """Whether something below a folder that matches may not match."""
        self._folders: dict[str, tuple[bool, ...]] = {"": (False,) * len(found)}

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Self:
        """Those of an ignore file, which may have comments."""
        return cls(line for line in lines if not line.startswith("#"))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def matches(self, path: str) -> bool:
        """Whether ``path`` (from the root, without leading slash) or a folder above it is meant."""
        if not self._patterns:
            return False
        above = self._said(path.rpartition("/")[0])
        result = False
        for said, (test, negated) in zip(above, self._patterns, strict=True):
            if negated == result and (said or test(path)):
                result = not negated
        return result

    def _said(self, folder: str) -> tuple[bool, ...]:
        """Which patterns match ``folder`` or one above it."""
        known = self._folders.get(folder)
        if known is None:
            above = self._said(folder.rpartition("/")[0])
            known = self._folders[folder] = tuple(
                said or bool(pattern.test(folder))
                for said, pattern in zip(above, self._patterns, strict=True)
            )
        return known


def _parse(text: str) -> _Pattern | None:
    text = text.strip()
    negated = text.startswith("!")
    if negated:
        text = text[1:].strip()
        if not text:
            raise UsageError("bad-pattern", "'!' alone takes nothing back", hint="write !PATTERN")
    if not text:
        return None
    parts: list[str] = []
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", ".") and not (part == ".." and text.startswith("/")):
            parts.append(part)
    return _Pattern(_test("/".join(parts)), negated) if parts else None


@lru_cache(maxsize=1024)
def _test(pattern: str) -> _Test:
    if not re.search(r"[*?\[\\]", pattern):
        return pattern.__eq__
    source, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
            source += ".*" if at == len(pattern) else "(?:.*/)?"
        elif pattern[at] == "*":
            source += "[^/]*"
            at += 1
        else:
            piece, at = one(pattern, at)
            source += piece
    return re.compile(source, re.DOTALL).fullmatch
