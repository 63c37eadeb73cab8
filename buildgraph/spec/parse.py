"""What does a file of TOML say, and where? Bytes → values and positions, or one error that names the line.

Refused before or instead of meaning: more than 16 MiB, not UTF-8, nested deeper than tomli (or anything after it)
can follow. Time is linear in the size.
"""

import re
from typing import Any, NamedTuple

from buildgraph.errors import Location, UsageError
from buildgraph.spec.position import Path, Positions

LARGEST = 16 * 1024 * 1024
DEEPEST = 24
"""Levels of tables and arrays; the language needs eight."""

_PLACE = re.compile(r" \(at (?:line \d+, column \d+|end of document)\)$")

_NUL = re.compile(r"\\(?:u0000|U00000000|x00)")
"""TOML's escapes for it; the character itself is no TOML."""

_HINTS = (
    ("Cannot overwrite a value", "the same key stands twice in this table"),
    ("Cannot declare", "this table was already written above; keep one of the two headers"),
    ("Cannot mutate immutable", "an inline table { … } is complete where it is written"),
    ("Expected '='", "write key = value; a key with other signs than A-Za-z0-9_- needs quotes"),
    ("Invalid value", 'strings need quotes: key = "value"'),
    ("Invalid statement", "write [table] or key = value"),
    ("Unescaped '\\'", "write '…' for text without escapes, or \\\\ for a backslash"),
    ("Illegal character '\\n'", "a string that spans lines is written with three quotes"),
    ("Illegal character", "take the control character out, or write it as an escape: \\u001b"),
    ("Unclosed array", "the array lacks its ]"),
    ("Unclosed inline table", "the table lacks its }"),
    ("Expected newline or end", "one statement a line; is a quote or a comma missing?"),
)


class Written(NamedTuple):
    """``nul`` are the paths of keys and values that hold a NUL character where none can be."""

    document: dict[str, Any]
    positions: Positions
    nul: tuple[Path, ...] = ()


def parse(file: str, content: bytes) -> tuple[dict[str, Any], Positions]:
    """As :func:`parse_all`; a NUL character is refused as well (``nul-character``)."""
    document, positions, nul = parse_all(file, content)
    for path in nul:
        error = nul_character()
        error.where = positions.location(path)
        raise error
    return document, positions


def nul_character() -> UsageError:
    return UsageError(
        "nul-character",
        "a NUL character can be in no path, command or variable",
        hint="only the text of a written file may hold one",
    )


def parse_all(file: str, content: bytes) -> Written:
    """Raises :class:`UsageError` with code ``bad-toml``; ``file`` is the name shown in messages."""
    if len(content) > LARGEST:
        raise UsageError(
            "bad-toml",
            f"the file has {len(content):,} bytes; at most {LARGEST:,} are read",
            where=Location(file),
        )
    text = _decode(file, content)
    import tomli

    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _refused(file, text, error) from error
    except (RecursionError, OverflowError) as error:
        raise _deep(file) from error
    except ValueError as error:
        # Python refuses integers of thousands of digits with a plain ValueError.
        raise UsageError("bad-toml", f"this is not TOML: {error}", where=Location(file)) from error
    if _deeper_than(document, DEEPEST):
        raise _deep(file)
    nul = _with_nul(document) if _NUL.search(text) else ()
    return Written(document, Positions(file, text), nul)


def _with_nul(document: dict[str, Any]) -> tuple[Path, ...]:
    """No path, command or variable can hold a NUL character; what is written into a file can."""
    found = list[Path]()
    pending: list[tuple[Path, object]] = [((), document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += (((*path, key), below) for key, below in value.items())
        elif isinstance(value, list):
            pending += (((*path, at), below) for at, below in enumerate(value))
        written = path[2:3] == ("write",) and path[4:] in ((), ("text",))
        named = bool(path) and isinstance(path[-1], str) and "\0" in path[-1]
        if named or (isinstance(value, str) and "\0" in value and not written):
            found.append(path)
    return tuple(found)


def _decode(file: str, content: bytes) -> str:
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        start = content.rfind(b"\n", 0, error.start) + 1
        excerpt = content[start : error.start + 20].split(b"\n")[0].decode("utf-8", "replace")
        raise UsageError(
            "bad-toml",
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            hint="save the file as UTF-8",
            where=Location(file, line, excerpt),
        ) from error


def _refused(file: str, text: str, error: ValueError) -> UsageError:
    # Older versions of tomli give the place only in the message, so it is read from there if need be.
    said = str(error)
    message = getattr(error, "msg", "") or _PLACE.sub("", said)
    line = getattr(error, "lineno", 0)
    if not line:
        place = re.search(r"\(at line (\d+), column \d+\)$", said)
        line = int(place[1]) if place else text.count("\n") + 1
    lines = text.split("\n")
    while line > 1 and line >= len(lines) and not lines[min(line, len(lines)) - 1].strip():
        line -= 1
    excerpt = lines[line - 1].strip()[:120] if line <= len(lines) else ""
    hint = next((hint for start, hint in _HINTS if message.startswith(start)), "")
    return UsageError(
        "bad-toml",
        f"this is not TOML: {message[:1].lower()}{message[1:]}",
        hint=hint,
        where=Location(file, line, excerpt),
    )


def _deep(file: str) -> UsageError:
    return UsageError(
        "bad-toml",
        f"tables and arrays are nested deeper than {DEEPEST} levels",
        where=Location(file),
    )


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(v for v in item.values() if isinstance(v, (dict, list)))
            elif isinstance(item, list):
                below.extend(v for v in item if isinstance(v, (dict, list)))
        if not below:
            return False
        level = below
    return True
