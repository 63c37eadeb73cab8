"""TOML as a person would write it: short values on one line, arrays that wrap, long texts in lines of their own.

Every string of a Buildfile is a template, so a ``$`` that would mean something there is doubled; what is meant as a
template is a :class:`Template`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Union

from buildgraph.values import dataclass, field

WIDTH = 100

Value = Union[str, bool, int, "list[Value]", "dict[str, Value]"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DOLLAR = re.compile(r"\$(?=[${])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"'}
_ESCAPES |= {"\\": "\\\\"}
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


class Template(str):
    """Text whose ``${…}`` are meant."""

    __slots__ = ()


@dataclass(slots=True)
class Table:
    """``path`` are the names of its header; ``comments`` stand above it, ``heading`` above those."""

    path: tuple[str, ...]
    values: dict[str, Value]
    comments: list[str] = field(default_factory=list)
    heading: str = ""

    def text(self) -> str:
        lines = [f"# ---- {self.heading}", ""] if self.heading else []
        lines += [f"# {comment}".rstrip() for comment in self.comments]
        return "\n".join([*lines, *_table(self.path, self.values)]) + "\n"


def document(tables: Iterable[Table]) -> str:
    return "\n".join(table.text() for table in tables)


def _table(path: tuple[str, ...], values: Mapping[str, Value]) -> Iterator[str]:
    inner = {name: value for name, value in values.items() if _needs_table(name, value)}
    if path and (len(inner) < len(values) or not values):
        yield f"[{'.'.join(map(_key, path))}]"
    for name, value in values.items():
        if name not in inner:
            yield from _assignment(name, value)
    for name, value in inner.items():
        assert isinstance(value, dict)
        yield from ([""] if len(inner) < len(values) else [])
        yield from _table((*path, name), value)


def _needs_table(name: str, value: Value) -> bool:
    if not isinstance(value, dict):
        return False
    line = f"{_key(name)} = {_inline(value)}"
    return len(line) > WIDTH or "\n" in line or _has_lines(value)


def _has_lines(value: Value) -> bool:
    if isinstance(value, dict):
        return any(map(_has_lines, value.values()))
    return isinstance(value, str) and "\n" in value


def _assignment(name: str, value: Value) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value:
        yield f"{_key(name)} = {_block(_escaped(value))}"
        return
    line = f"{_key(name)} = {_inline(value)}"
    if isinstance(value, list) and len(line) > WIDTH:
        yield f"{_key(name)} = ["
        yield from (f"  {_inline(item)}," for item in value)
        line = "]"
    yield line


def _inline(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _string(_escaped(value))
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case dict():
            pairs = (f"{_key(key)} = {_inline(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(_escaped(name))


def _escaped(text: str) -> str:
    return str(text) if isinstance(text, Template) else _DOLLAR.sub("$$", text)


def _string(text: str) -> str:
    if ('"' in text or "\\" in text) and "'" not in text and not _CONTROL.search(text):
        return f"'{text}'"
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _block(text: str) -> str:
    """A text of several lines, as it is where that can be."""
    if "'''" not in text and not text.endswith("'") and not _UNPRINTABLE.search(text):
        return f"'''\n{text}'''"
    lines = (_ESCAPED.sub(_escape, line) for line in text.split("\n"))
    return '"""\n' + "\n".join(lines) + '"""'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _ESCAPES.get(char) or f"\\u{ord(char):04x}"
