"""Where does a value stand in the file that a person wrote?

tomli says what a document means, not where; every message and every step of the model names a line. So the text,
which tomli has already accepted, is scanned once for its statements (headers and ``key = value``); what lies
inside a value is looked for only when asked. Scanning is one pass, keeps one entry per statement, never recurses.

A path is the keys from the top, array items as integers: ``("step", "deps", "mounts", 0, "target")``.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from buildgraph.errors import Location

Path = tuple[str | int, ...]

# Groups are repeated a bounded number of times inside atomic groups: neither backtracking nor memory grows with the
# file, and possessive groups (``(…)*+``) lose their place in some releases of Python 3.11. What is longer, deeper or
# stranger than these patterns is left to skip(), which counts.
_GAP = r"(?>(?:[ \t\r\n]++|#[^\n]*+){0,200})"
_NAME = r"""(?>[A-Za-z0-9_-]++|"[^"\\\n]*+"|'[^'\n]*+')"""
_NAMES = rf"(?>{_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{0,30}})"
_QUOTED = (
    r'(?>"[^"\\\n]*+"(?!")'
    r"|'[^'\n]*+'(?!')"
    r'|"""[^"\\]*+"""(?!")'
    r"|'{3}[^']*+'{3}(?!')"
    r'|"(?!"")(?>(?:[^"\\\n]++|\\.){0,60})")'
)
_FLAT = rf"[^\[\]{{}}\"'#]++|{_QUOTED}|#[^\n]*+"
_ONE = rf"[\[{{](?>(?:{_FLAT}){{0,200}})[\]}}]"
_TWO = rf"[\[{{](?>(?:{_FLAT}|{_ONE}){{0,200}})[\]}}]"

_BLANK = re.compile(_GAP)
_SPACE = re.compile(r"[ \t]*+")
_KEY = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.){0,9999}"|'[^'\n]*+'""")
_PLAIN = re.compile(r"[A-Za-z0-9_-]++")
_SCALAR = re.compile(r"[^,\]}#\r\n]*+")
_STRING = re.compile(_QUOTED, re.DOTALL)
_INSIDE = re.compile(r"[^\[\]{}\"'#]*+")
_SEPARATOR = re.compile(r"(?>(?:[ \t\r\n,]++|#[^\n]*+){0,200})")
_STATEMENT = re.compile(
    rf"{_GAP}(?:(\[\[?)[ \t]*+({_NAMES})[ \t]*+\]\]?"
    rf"|({_NAMES})[ \t]*+=[ \t]*+({_QUOTED}|{_TWO}|(?![\[{{\"'])[^#\r\n]*+)?)",
    re.DOTALL,
)
_WIDTH = 120


class _Spot(NamedTuple):
    """Offsets of a key and its value; a table's header is both."""

    key: int
    value: int
    header: bool = False


class Positions:
    """The statements of one document; every question is answered, if need be with the nearest table's place."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text
        self._spots: dict[Path, _Spot] = {(): _Spot(0, 0)}
        self._line_at = [0, *(match.end() for match in re.finditer("\n", text))]
        self._arrays: dict[Path, int] = {}
        self._scan()

    def location(self, path: Path, within: str = "") -> Location:
        """The line of the key (or array item) at ``path``, else of what holds it; the whole file for ``()``.

        ``within``: text of the value; where it is found there, its own line.
        """
        offset = self._find(path)
        if offset is None:
            return Location(self.file)
        value = self._find(path, value=True) if within else None
        if value is not None:
            found = self._text.find(within, value, skip(self._text, value))
            offset = found if found >= 0 else offset
        return self.at(offset)

    def at(self, offset: int) -> Location:
        line = bisect_right(self._line_at, offset)
        end = self._line_at[line] if line < len(self._line_at) else len(self._text)
        excerpt = self._text[self._line_at[line - 1] : end].strip()
        if len(excerpt) > _WIDTH:
            excerpt = excerpt[: _WIDTH - 1] + "…"
        return Location(self.file, line, excerpt)

    def raw(self, path: Path) -> str:
        """The value's own text, up to the end of a scalar (``0o755``); empty where it has none."""
        offset = self._find(path, value=True)
        if offset is None:
            return ""
        match = _SCALAR.match(self._text, offset)
        return match[0].strip() if match else ""

    def header(self, path: Path) -> Location | None:
        """Where ``[a.b]`` stands, if the table at ``path`` was written with a header of its own."""
        spot = self._spots.get(path)
        return self.at(spot.key) if spot and spot.header else None

    def _scan(self) -> None:
        text, at = self._text, 0
        table: Path = ()
        while True:
            match = _STATEMENT.match(text, at)
            if match is None:
                at = _past_all(_BLANK, text, at)
                match = _STATEMENT.match(text, at)
            if match and match[4] is not None and _PLAIN.fullmatch(match[3]):
                self._spots[(*table, match[3])] = _Spot(match.start(3), match.start(4))
                at = match.end()
            elif match and match[2] is not None:
                keys = _split(match[2])
                table = self._open(keys, match.start(1), double=match[1] == "[[")
                at = match.end()
            elif (at := _past_all(_BLANK, text, at)) < len(text):
                table, at = self._slowly(table, at)
            else:
                return

    def _slowly(self, table: Path, start: int) -> tuple[Path, int]:
        """One statement of any length and depth at ``start``: the table that holds from there on, and its end."""
        text = self._text
        if text.startswith("[", start):
            double = text.startswith("[[", start)
            keys, at = _keys(text, start + (2 if double else 1))
            table = self._open(keys, start, double=double)
            return table, _past(_SCALAR, text, at) + (2 if double else 1)
        keys, at = _keys(text, start)
        value = _past(_SPACE, text, at + 1)
        for number in range(1, len(keys)):
            self._spots.setdefault((*table, *keys[:number]), _Spot(start, value))
        self._spots[(*table, *keys)] = _Spot(start, value)
        return table, max(skip(text, value), start + 1)

    def _open(self, keys: Path, start: int, *, double: bool) -> Path:
        table: Path = ()
        for number, key in enumerate(keys, 1):
            table = (*table, key)
            if number == len(keys) and double:
                self._spots.setdefault(table, _Spot(start, start, header=True))
                self._arrays[table] = self._arrays.get(table, -1) + 1
            if table in self._arrays:
                table = (*table, self._arrays[table])
            if number == len(keys):
                self._spots[table] = _Spot(start, start, header=True)
            else:
                self._spots.setdefault(table, _Spot(start, start))
        return table

    def _find(self, path: Path, *, value: bool = False) -> int | None:
        for known in range(len(path), 0, -1):
            spot = self._spots.get(path[:known])
            if spot is None:
                continue
            if known == len(path):
                return spot.value if value else spot.key
            inner = None if spot.header else _inside(self._text, spot.value, path[known:])
            if inner is not None:
                return inner.value if value else inner.key
            return None if value else spot.key
        return None


def skip(text: str, at: int) -> int:
    """The offset behind the value that begins at ``at``."""
    if text[at : at + 1] in ('"', "'"):
        return _skip_string(text, at)
    if text[at : at + 1] not in ("[", "{"):
        return _past(_SCALAR, text, at)
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
            if not depth:
                return at + 1
        elif char == "#":
            newline = text.find("\n", at)
            at = newline if newline >= 0 else len(text)
            continue
        elif char in "\"'":
            at = _skip_string(text, at)
            continue
        at = _past(_INSIDE, text, at + 1)
    return at


def _skip_string(text: str, at: int) -> int:
    match = _STRING.match(text, at)
    if match:
        return match.end()
    quote = text[at]
    closing = quote * 3 if text.startswith(quote * 3, at) else quote
    at += len(closing)
    end = -1
    while True:
        if end < at:
            end = text.find(closing, at)
        if end < 0:
            return len(text)
        escape = text.find("\\", at, end) if quote == '"' else -1
        if escape < 0:
            break
        at = escape + 2
    end += len(closing)
    # One or two quotes may stand directly before the closing three.
    while len(closing) == 3 and text.startswith(quote, end):
        end += 1
    return end


def _inside(text: str, at: int, path: Path) -> _Spot | None:
    """The place of ``path`` in the array or inline table at ``at``; the deepest part of it that is there."""
    best: _Spot | None = None
    while path:
        for keys, spot in _items(text, at):
            shared = min(len(keys), len(path))
            if keys[:shared] == path[:shared]:
                best, at, path = spot, spot.value, path[shared:]
                break
        else:
            return best
    return best


def _items(text: str, at: int) -> Iterator[tuple[Path, _Spot]]:
    opening = text[at : at + 1]
    if opening not in ("[", "{"):
        return
    at, count = at + 1, 0
    while True:
        at = _past_all(_SEPARATOR, text, at)
        if at >= len(text) or text[at] in "]}":
            return
        start = at
        keys: Path = (count,)
        if opening == "{":
            keys, at = _keys(text, at)
            at = _past_all(_BLANK, text, at + 1)
        yield keys, _Spot(start, at)
        at = skip(text, at)
        count += 1
        if at <= start:
            return


def _split(keys: str) -> Path:
    return (keys,) if _PLAIN.fullmatch(keys) else _keys(keys, 0)[0]


def _keys(text: str, at: int) -> tuple[Path, int]:
    """A dotted key at ``at``, and the offset of what follows it."""
    keys: list[str] = []
    while True:
        match = _KEY.match(text, _past(_SPACE, text, at))
        if not match:
            return tuple(keys), at
        keys.append(_unquoted(match[0]))
        at = _past(_SPACE, text, match.end())
        if text[at : at + 1] != ".":
            return tuple(keys), at
        at += 1


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    if "\\" not in key:
        return key[1:-1]
    import tomli

    return str(next(iter(tomli.loads(f"{key} = 0"))))


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _past_all(pattern: re.Pattern[str], text: str, at: int) -> int:
    """As often as it matches something."""
    while (end := _past(pattern, text, at)) > at:
        at = end
    return at
