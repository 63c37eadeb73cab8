"""Does a name match one of Go's patterns? The wildcards of COPY and ADD (``path/filepath``, "Match").

::

    *  any run of characters but /      ?  one of them      [a-z] [^a-z]  one (not) of a class      \\x  x itself

A pattern is compared as a whole, and a leading dot is like any other character.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from buildgraph.errors import UsageError

_WILD = re.compile(r"(?:[^\\]|\\.)*?[*?\[]", re.DOTALL)


def is_wild(text: str) -> bool:
    """Whether anything in ``text`` stands for more than itself."""
    return _WILD.match(text) is not None


def literal(text: str) -> str:
    """What a pattern without wildcards means."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def escaped(text: str) -> str:
    """The pattern that means ``text`` itself."""
    return re.sub(r"([*?\[\\])", r"\\\1", text)


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Raises :class:`UsageError` (``bad-pattern``). What comes between two stars is found leftmost and kept."""
    chunks, at = [""], 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            chunks += [""] if chunks[-1] or len(chunks) == 1 else []
            at += 1
        else:
            piece, at = one(pattern, at)
            chunks[-1] += piece
    if len(chunks) == 1:
        source = chunks[0]
    else:
        middle = "".join(f"(?>[^/]*?{chunk})" for chunk in chunks[1:-1])
        source = f"{chunks[0]}{middle}[^/]*{chunks[-1]}"
    found = re.compile(source, re.DOTALL).fullmatch
    return lambda name: found(name) is not None


def one(pattern: str, at: int, *, ordered: bool = False) -> tuple[str, int]:
    """The regular expression of the one character that ``pattern`` means at ``at``, and what follows it.

    ``ordered`` refuses ranges that are the wrong way round, which match nothing otherwise.
    """
    char = pattern[at]
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _class(pattern, at, ordered=ordered)
    if char == "\\":
        if at + 1 == len(pattern):
            raise _bad(pattern)
        return re.escape(pattern[at + 1]), at + 2
    return re.escape(char), at + 1


def _class(pattern: str, at: int, *, ordered: bool) -> tuple[str, int]:
    start = at
    at += 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while at < len(pattern) and (pattern[at] != "]" or not ranges):
        low, at = _bound(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _bound(pattern, at + 1)
        if ordered and low > high:
            raise _bad(pattern)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    if at >= len(pattern) or not ranges or start == at:
        raise _bad(pattern)
    body = "".join(ranges)
    if not body:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{body}]", at + 1


def _bound(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char in ("", "-", "]"):
        raise _bad(pattern)
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
        if not char:
            raise _bad(pattern)
    return char, at + 1


def _bad(pattern: str) -> UsageError:
    return UsageError(
        "bad-pattern",
        f"{pattern[:99]!r} is no pattern: a class is not closed, is empty or has a wrong '-', or a \\ is its end",
        hint="\\[ and \\\\ stand for the characters themselves",
    )
