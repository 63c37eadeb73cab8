"""What do ``${v#p}``, ``${v##p}``, ``${v%p}``, ``${v%%p}``, ``${v/p/r}`` and ``${v//p/r}`` leave of a value?

In a pattern ``*`` is any text and ``?`` any character, neither a line end; ``\\`` quotes ``*``, ``?`` and itself, and
before ``}`` and ``/`` it only keeps them from ending the pattern. A pattern runs as an automaton whose states are the
bits of one integer, so the time is the value's length times the pattern's, whatever they hold.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

_MOST_WILD: Final = 1000
_ANY: Final = None

Token = str | None
"""A character, or None for ``?``; stars are kept apart."""


class PatternError(ValueError):
    """The pattern cannot be used; the text says why."""


class Pattern:
    """``tokens`` without the stars, and before which of them (or at the end) a star stands."""

    __slots__ = ("_literal", "_masks", "_stars", "_tokens", "_wild")

    def __init__(self, tokens: Sequence[Token], stars: frozenset[int]) -> None:
        if len(tokens) > _MOST_WILD and (stars or _ANY in tokens):
            raise PatternError(f"a pattern with wildcards has at most {_MOST_WILD} characters")
        self._tokens = tokens
        self._literal = None if stars or _ANY in tokens else "".join(filter(None, tokens))
        self._stars = sum(1 << at for at in stars)
        self._wild = sum(1 << at for at, token in enumerate(tokens) if token is _ANY)
        self._masks: dict[str, int] = {}
        if self._literal is None:
            for at, token in enumerate(tokens):
                if token is not _ANY:
                    self._masks[token] = self._masks.get(token, self._wild) | 1 << at

    @classmethod
    def parse(cls, text: str, *, reverse: bool = False) -> "Pattern":
        """Raises :class:`PatternError`."""
        tokens: list[Token] = []
        stars: set[int] = set()
        chars = iter(text)
        for char in chars:
            if char == "*":
                stars.add(len(tokens))
            elif char == "?":
                tokens.append(_ANY)
            elif char == "\\":
                tokens.append(_quoted(next(chars, "")))
            else:
                tokens.append(char)
        if reverse:
            stars = {len(tokens) - at for at in stars}
            tokens.reverse()
        return cls(tokens, frozenset(stars))

    def reversed(self) -> "Pattern":
        count = len(self._tokens)
        stars = {count - at for at in range(count + 1) if self._stars >> at & 1}
        return Pattern(self._tokens[::-1], frozenset(stars))

    def end(self, value: str, start: int = 0, *, longest: bool) -> int | None:
        """Where a match that begins at ``start`` ends."""
        if self._literal is not None:
            return start + len(self._literal) if value.startswith(self._literal, start) else None
        accept = len(self._tokens)
        states, found = 1, None
        for at in range(start, len(value) + 1):
            if states >> accept & 1:
                found = at
                if not longest:
                    break
            if not states or at == len(value):
                break
            states = self._step(states, value[at])
        return found

    def starts(self, value: str) -> list[int]:
        """Every position where some match begins."""
        if self._literal is not None:
            return [
                match.start() for match in re.finditer(f"(?={re.escape(self._literal)})", value)
            ]
        back = self.reversed()
        accept = 1 << len(self._tokens)
        states, found = 1, []
        for at in range(len(value), -1, -1):
            if states & accept:
                found.append(at)
            if at:
                states = back._step(states, value[at - 1]) | 1  # noqa: SLF001 - a pattern of its own kind
        found.reverse()
        return found

    def _step(self, states: int, char: str) -> int:
        if char == "\n":
            return (states & self._masks.get(char, self._wild) & ~self._wild) << 1
        return (states & self._masks.get(char, self._wild)) << 1 | states & self._stars


def _quoted(char: str) -> str:
    if char in ("*", "?", "\\", "}", "/") and char:
        return char
    raise PatternError(f"\\{char} is no escape in a pattern" if char else "a pattern ends in \\")


def trim_prefix(value: str, pattern: str, *, longest: bool) -> str:
    return value[Pattern.parse(pattern).end(value, longest=longest) or 0 :]


def trim_suffix(value: str, pattern: str, *, longest: bool) -> str:
    back = value[::-1]
    end = Pattern.parse(pattern, reverse=True).end(back, longest=longest) or 0
    return value[: len(value) - end]


def replace(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """The longest match at the leftmost place, or every one; then ``$0`` and ``$name`` mean what Go's regexp says."""
    parts, at = [], 0
    for start, end in _matches(Pattern.parse(pattern), value):
        parts.append(value[at:start])
        parts.append(_templated(replacement, value[start:end]) if every else replacement)
        at = end
        if not every:
            break
    return "".join((*parts, value[at:]))


def _matches(pattern: Pattern, value: str) -> Iterator[tuple[int, int]]:
    at, abutting = 0, -1
    for start in pattern.starts(value):
        if start < at:
            continue
        end = pattern.end(value, start, longest=True)
        if end is None or (end == start == abutting):
            continue
        yield start, end
        at, abutting = max(end, start), end


_TEMPLATE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


def _templated(replacement: str, matched: str) -> str:
    """There are no groups, so every name but ``0`` is empty."""
    if "$" not in replacement:
        return replacement

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return matched if (match[2] or match[3]) == "0" else ""

    return _TEMPLATE.sub(one, replacement)
