"""Glob patterns as written: from their text to the parts that names are compared with.

What the characters mean stands in :mod:`buildgraph.fs.ignore`. Braces are multiplied out first, then a pattern is
split at its slashes; most parts are a plain name, a suffix or a prefix and need no regular expression.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from buildgraph.errors import UsageError

_MOST_ALTERNATIVES: Final = 1000
_SPECIAL: Final = frozenset("*?[{\\")

Test = Callable[[bytes], bool]


class Part(NamedTuple):
    """One name of a pattern: ``literal`` if it is that very name, else ``test``; neither for ``**``."""

    literal: bytes | None = None
    test: Test | None = None

    def matches(self, name: bytes) -> bool:
        if self.test is None:
            return self.literal is None or self.literal == name
        return self.test(name)


ANY_FOLDERS: Final = Part()


class Pattern(NamedTuple):
    parts: tuple[Part, ...]
    folders_only: bool


@lru_cache(maxsize=1024)
def parse_all(patterns: tuple[str, ...]) -> tuple[Pattern, ...]:
    return tuple(_parse(text, pattern) for pattern in patterns for text in _alternatives(pattern))


def check_glob(pattern: str) -> None:
    """Raises UsageError ``bad-glob``."""
    if not pattern or _SPECIAL.intersection(pattern) or ".." in pattern or pattern.startswith("!"):
        parse_all((pattern,))


def _parse(text: str, pattern: str) -> Pattern:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _bad(pattern, "it has a '..'", "patterns stay below the folder that they are for")
    if not text:
        raise _bad(pattern, "it is empty", "write ** for everything")
    if pattern.startswith("!"):
        raise _bad(pattern, "it begins with '!'", "list it under exclude or include; \\! is a '!'")
    folders_only = text.endswith("/") and bool(parts)
    if not parts:
        parts = ["**"]
    elif folders_only and parts[-1] == "**":
        parts.append("*")  # any folder, which is not all that is there
    return Pattern(tuple(_part(part, pattern) for part in parts), folders_only)


def _bad(pattern: str, why: str, hint: str) -> UsageError:
    return UsageError("bad-glob", f"the pattern {pattern!r} cannot be used: {why}", hint=hint)


def _part(text: str, pattern: str) -> Part:
    if text == "**":
        return ANY_FOLDERS
    if not _SPECIAL.intersection(text):
        return Part(literal=text.encode("utf-8", "surrogateescape"))
    star, rest = text[:1] == "*", text.lstrip("*")
    if star and not _SPECIAL.intersection(rest):
        suffix = rest.encode("utf-8", "surrogateescape")
        return Part(test=lambda name: name.endswith(suffix))
    rest = text.rstrip("*")
    if rest != text and not _SPECIAL.intersection(rest):
        prefix = rest.encode("utf-8", "surrogateescape")
        return Part(test=lambda name: name.startswith(prefix))
    return _regex(text, pattern)


def _regex(text: str, pattern: str) -> Part:
    """Chunks between stars are found leftmost first and kept (atomic groups): no backtracking to speak of."""
    chunks = [""]
    literal = True
    for piece, wild in _tokens(text, pattern):
        literal = literal and not wild
        if piece == "*":
            if len(chunks) == 1 or chunks[-1]:
                chunks.append("")
        else:
            chunks[-1] += piece if wild else re.escape(piece)
    if literal:
        plain = "".join(piece for piece, _ in _tokens(text, pattern))
        return Part(literal=plain.encode("utf-8", "surrogateescape"))
    source = chunks[0] + "".join(f"(?>.*?{chunk})" for chunk in chunks[1:-1])
    if len(chunks) > 1:
        source += ".*" + chunks[-1]
    matches = re.compile(source, re.DOTALL).fullmatch
    return Part(test=lambda name: bool(matches(name.decode("utf-8", "surrogateescape"))))


def _tokens(text: str, pattern: str) -> Iterator[tuple[str, bool]]:
    """``*``, regular expressions (True) and single literal characters (False)."""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            yield "*", True
        elif char == "?":
            yield ".", True
        elif char == "\\":
            yield text[at : at + 1] or "\\", False
            at += 1
        elif char == "[":
            end = text.find("]", at + 1 + (text[at : at + 1] in ("!", "^")))
            if end < 0:
                raise _bad(pattern, "a '[' is never closed", "\\[ is a '[' itself")
            yield _character_class(text[at:end], pattern), True
            at = end + 1
        else:
            yield char, False


def _character_class(body: str, pattern: str) -> str:
    negated = body[0] in "!^"
    body = body[1:] if negated else body
    out = ""
    at = 0
    while at < len(body):
        low = high = body[at]
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            high = body[at + 2]
            at += 2
        if low > high:
            raise _bad(pattern, f"the range {low}-{high} is the wrong way round", "write [a-z]")
        out += re.escape(low) + ("-" + re.escape(high) if high != low else "")
        at += 1
    return f"[{'^' if negated else ''}{out}]"


def _alternatives(pattern: str) -> list[str]:
    """``a{b,c}`` is ``ab`` and ``ac``; braces without a comma are themselves."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        text = todo.pop()
        group = _first_group(text, pattern)
        if group is None:
            done.append(text)
        else:
            start, end, options = group
            todo += [text[:start] + option + text[end + 1 :] for option in reversed(options)]
        if len(done) + len(todo) > _MOST_ALTERNATIVES:
            raise _bad(pattern, f"it has over {_MOST_ALTERNATIVES} alternatives", "use fewer {,}")
    return done


def _first_group(text: str, pattern: str) -> tuple[int, int, list[str]] | None:
    """Start, end and options of the first ``{…,…}`` of ``text``."""
    opened: list[tuple[int, list[int]]] = []
    best: tuple[int, int, list[str]] | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "{":
            opened.append((at, []))
        elif char == "," and opened:
            opened[-1][1].append(at)
        elif char == "}" and opened:
            start, commas = opened.pop()
            if commas and (best is None or start < best[0]):
                cuts = [start, *commas, at]
                options = [text[a + 1 : b] for a, b in pairwise(cuts)]
                best = (start, at, options)
        at += 1
    if opened:
        raise _bad(pattern, "a '{' is never closed", "\\{ is a '{' itself")
    return best
