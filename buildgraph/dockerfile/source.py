"""Where in the text? The physical lines of a Dockerfile, and what an error shows of them.

An excerpt has all lines of the instruction, marked, and two lines around it::

       3 |     FROM box
       4 | >>> RUN one \\
       5 | >>>     two
       6 |     CMD ["x"]
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from buildgraph.errors import Location, UsageError

SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000")
)
"""What Go's unicode.IsSpace says; Python's own set has four control characters more."""

_AROUND: Final = 2
_MOST: Final = 40
_FIRST: Final = 32
_WIDTH: Final = 200
_LONGEST: Final = 500
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Lines(NamedTuple):
    """The physical lines of one instruction, counted from 1, heredocs included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Source:
    """``lines`` keep their ends, as the content of a heredoc does; a byte order mark is no part of them."""

    __slots__ = ("_told", "lines", "name")

    def __init__(self, text: str | bytes, name: str) -> None:
        self.name = name
        self.lines: list[str] = decode(text).removeprefix("\ufeff").split("\n")
        last = self.lines.pop()
        self.lines = [line + "\n" for line in self.lines]
        if last:
            self.lines.append(last)
        self._told = Lines(0, 0), Location(name)

    def location(self, where: Lines) -> Location:
        """The whole file for line 0. Asked often for one instruction of any length, it costs the same each time."""
        if self._told[0] != where:
            self._told = where, self._location(where)
        return self._told[1]

    def _location(self, where: Lines) -> Location:
        first, last = where
        if not first:
            return Location(self.name)
        shown = range(max(1, first - _AROUND), min(len(self.lines), last + _AROUND) + 1)
        parts = [shown] if len(shown) <= _MOST else [shown[:_FIRST], shown[_FIRST - _MOST + 1 :]]
        marked = range(first, last + 1)
        told = ("\n".join(self._row(at, marked=at in marked) for at in part) for part in parts)
        return Location(self.name, first, "\n     …\n".join(told), last)

    def error(
        self, where: Lines, code: str, message: str, *, hint: str = "", detail: Iterable[str] = ()
    ) -> UsageError:
        message, hint = shortened(message), shortened(hint)
        return UsageError(code, message, hint=hint, where=self.location(where), detail=detail)

    def _row(self, number: int, *, marked: bool) -> str:
        line = self.lines[number - 1][: 2 * _WIDTH].rstrip("\r\n")
        if len(line) > _WIDTH:
            line = line[: _WIDTH - 1] + "…"
        return f"{number:4} | {'>>>' if marked else '   '} {visible(line)}".rstrip()


def shortened(text: str) -> str:
    """What an error says of a value of any length."""
    text = visible(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def visible(text: str) -> str:
    """A terminal shows it and does nothing else: what would move its cursor is escaped, and so are odd blanks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def decode(text: str | bytes) -> str:
    """Bytes that are no UTF-8, and lone surrogates, become U+FFFD, as BuildKit reads them."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    return _SURROGATE.sub("\ufffd", text)
