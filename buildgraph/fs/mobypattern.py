"""One pattern of an ignore file: from its text to the parts that names are compared with.

What the characters mean stands in :mod:`buildgraph.fs.moby` and :mod:`buildgraph.fs.gomatch`. Where ``**`` is not a
whole part, moby's own reading is kept: ``**name`` is every path that ends so, ``name**`` every path that begins so, and
in between ``**`` is nothing or anything up to a slash.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import matcher, one

Test = Callable[[str], bool]


class Part(NamedTuple):
    """One name: ``literal`` if it is that very name, else ``test``; neither for ``**``.

    ``suffix``: all that ``test`` asks is that a name ends so.
    """

    literal: str | None = None
    test: Test | None = None
    suffix: str = ""


ANY_FOLDERS: Final = Part()


class MobyPattern(NamedTuple):
    """``whole`` tests whole paths, where ``parts`` cannot say it."""

    parts: tuple[Part, ...]
    whole: Test | None = None


_WILD: Final = re.compile(r"[*?\[\]\\]")
_HEAD: Final = re.compile(r"[^*?\[\]\\]*")
_TAIL: Final = re.compile(r"(?<=[*?])/?([^*?\[\]\\]+)$")


def clean(text: str) -> str:
    """Go's ``filepath.Clean``, without the leading slash; empty for the root itself."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", ".") and not (part == ".." and text.startswith("/")):
            parts.append(part)
    return "/".join(parts)


@lru_cache(maxsize=4096)
def parse(text: str) -> MobyPattern:
    """``text`` is clean. Raises :class:`UsageError` (``bad-pattern``)."""
    if not _WILD.search(text):
        return MobyPattern(tuple(Part(part) for part in text.split("/")))
    cuts = _cut(text)
    if cuts is None:
        return MobyPattern((), _whole(text))
    again = zip(cuts, ["", *cuts], strict=False)
    return MobyPattern(tuple(_part(part) for part, before in again if not part == before == "**"))


def _cut(text: str) -> list[str] | None:
    """The parts between the slashes; None where one cannot be told from the next."""
    parts, start, at, whole = [], 0, 0, False
    while at < len(text):
        char = text[at]
        if char == "/":
            parts.append(text[start:at])
            start = at = at + 1
        elif char == "*":
            at += 1
        elif text.startswith("\\/", at):
            parts.append(text[start:at])
            start = at = at + 2
        else:
            piece, at = one(text, at, ordered=True)
            whole = whole or (char == "[" and re.fullmatch(piece, "/") is not None)
    parts.append(text[start:])
    whole = whole or any("**" in part and part != "**" for part in parts)
    return None if whole else parts


def _part(text: str) -> Part:
    if text == "**":
        return ANY_FOLDERS
    if not _WILD.search(text):
        return Part(text)
    if text == "*":
        return Part(test=lambda _: True)
    if text[0] == "*" and not _WILD.search(text[1:]):
        suffix = text[1:]
        return Part(test=lambda name: name.endswith(suffix), suffix=suffix)
    if text[-1] == "*" and not _WILD.search(text[:-1]):
        prefix = text[:-1]
        return Part(test=lambda name: name.startswith(prefix))
    return Part(test=matcher(text))


def _whole(text: str) -> Test:
    if text.startswith("**") and not _WILD.search(text[2:]):
        suffix = text[2:]
        return lambda path: path.endswith(suffix)
    if text.endswith("**") and not _WILD.search(text[:-2]):
        prefix = text[:-2]
        return lambda path: path.startswith(prefix)
    head, tail = _HEAD.match(text), _TAIL.search(text)
    test = _Automaton(text).matches
    return _between(head[0] if head else "", tail[1] if tail else "", test)


def _between(head: str, tail: str, test: Test) -> Test:
    """What is plain at both ends is compared before ``test`` looks at every character."""
    return lambda path: path.startswith(head) and path.endswith(tail) and test(path)


class _Automaton:
    """The states are bits: a bit at ``n`` says that the first ``n`` tokens are matched.

    ``stays``: tokens that a character other than a slash may repeat (``*``), ``rests`` any character (a last ``**``),
    ``skips`` those that may be nothing, ``leaps`` ``**`` that end behind any slash.
    """

    def __init__(self, text: str) -> None:
        self._count = 0
        self._plain: dict[str, int] = {}
        """The tokens that are this very character; others by their expression."""
        self._others: dict[str, int] = {}
        self._stays = self._rests = self._leaps = 0
        at = 0
        while at < len(text):
            at = self._token(text, at)
        self._skips = self._stays | self._rests | self._leaps
        self._masks: dict[str, int] = {}

    def _token(self, text: str, at: int) -> int:
        bit = 1 << self._count
        self._count += 1
        if text.startswith("**", at):
            at += 3 if text.startswith("/", at + 2) else 2
            if at >= len(text):
                self._rests |= bit
            else:
                self._leaps |= bit
        elif text[at] == "*":
            at += 1
            self._stays |= bit
        elif text[at] in "?[":
            piece, at = one(text, at)
            self._others[piece] = self._others.get(piece, 0) | bit
        else:
            _, at = one(text, at)
            char = text[at - 1]
            self._plain[char] = self._plain.get(char, 0) | bit
        return at

    def matches(self, path: str) -> bool:
        states, leaping = self._skipped(1), 0
        for char in path:
            leaping |= states & self._leaps
            if not states and not leaping:
                return False
            moved = (states & self._mask(char)) << 1 | states & self._rests
            if char == "/":
                moved |= leaping << 1
            else:
                moved |= states & self._stays
            states = self._skipped(moved)
        return bool(states >> self._count & 1)

    def _skipped(self, states: int) -> int:
        while True:
            more = (states & self._skips) << 1 | states
            if more == states:
                return states
            states = more

    def _mask(self, char: str) -> int:
        """The tokens that ``char`` is."""
        mask = self._masks.get(char)
        if mask is None:
            mask = self._plain.get(char, 0)
            for piece, bits in self._others.items():
                if re.fullmatch(piece, char, re.DOTALL):
                    mask |= bits
            self._masks[char] = mask
        return mask


def bad_exception(text: str) -> UsageError:
    return UsageError(
        "bad-pattern", f"{text[:99]!r} alone takes nothing back", hint="write !PATTERN"
    )
