"""What does a string mean once its ``${…}`` are filled in?

Syntax (BUILDFILE.md, "[vars]"): ``${name}`` is a variable or built-in, ``$$`` a dollar, any other ``$`` itself.
A string whose value depends on the config of the stack below (``${env.NAME}``) becomes a :class:`Holed`: a ``str``
that still says what was written, with ``parts`` for the model. Nothing is expanded twice: values are values.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from buildgraph.spec.model import EnvName, Text
from buildgraph.spec.position import Path

_DOLLAR = re.compile(r"\$\$|\$\{([^${}\n]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")

Parts = tuple[str | EnvName, ...]


class Holed(str):
    """A string with at least one ``${env.NAME}``."""

    __slots__ = ("parts",)
    parts: Parts


def text_of(value: str) -> Text:
    return Text(value.parts if isinstance(value, Holed) else (value,) if value else ())


class Use(NamedTuple):
    """One ``${name}``; ``name`` is None where what stands in the braces is no name (``${X:-1}``, ``${``)."""

    name: str | None
    written: str


def parse(template: str) -> Iterator[str | Use]:
    """Literal text and uses in turn."""
    at = 0
    for match in _DOLLAR.finditer(template):
        if match.start() > at:
            yield template[at : match.start()]
        at = match.end()
        if match[0] == "$$":
            yield "$"
            continue
        inner = match[1].strip()
        good = match[2] and _NAME.fullmatch(inner)
        yield Use(inner if good else None, match[0])
    if at < len(template):
        yield template[at:]


def uses(template: str) -> Iterator[Use]:
    return (part for part in parse(template) if isinstance(part, Use))


def escape(text: str) -> str:
    """A template that means exactly ``text``."""
    return text.replace("$", "$$")


def join(parts: Parts, written: str = "") -> str:
    """A plain string, or a :class:`Holed` that shows as ``written``; neighbouring texts are merged."""
    merged: list[str | EnvName] = []
    literal: list[str] = []
    for part in (*parts, EnvName("")):
        if isinstance(part, str):
            literal.append(part)
            continue
        if text := "".join(literal):
            merged.append(text)
        literal.clear()
        if part.name:
            merged.append(part)
    if not any(isinstance(part, EnvName) for part in merged):
        return "".join(part for part in merged if isinstance(part, str))
    holed = Holed(written or "".join(_shown(part) for part in merged))
    holed.parts = tuple(merged)
    return holed


def _shown(part: str | EnvName) -> str:
    return part if isinstance(part, str) else f"${{env.{part.name}}}"


Fill = Callable[[Use, Path], Parts]
"""What one ``${…}`` at a path stands for; whatever is wrong is reported there, and yields ``()``."""


def expand(template: str, path: Path, fill: Fill) -> str:
    if "$" not in template:
        return template
    parts: list[str | EnvName] = []
    for part in parse(template):
        if isinstance(part, str):
            parts.append(part)
        else:
            parts.extend(fill(part, path))
    return join(tuple(parts), template)


def expand_all(value: Any, path: Path, fill: Fill, refuse: Callable[[str, Path], None]) -> Any:
    """``value`` (a table, array or scalar as tomli gives it) with every string filled in, keys of tables included.

    ``refuse`` is told of a key that depends on the stack, or that after filling in stands twice in its table.
    Conditions are no templates and stay as they are.
    """
    if isinstance(value, str):
        return expand(value, path, fill) if "$" in value else value
    if isinstance(value, dict):
        filled: dict[str, Any] = {}
        for key, item in value.items():
            below = (*path, key)
            name = expand(key, below, fill) if "$" in key else key
            if name in filled or isinstance(name, Holed):
                refuse(name, below)
            condition = key == "when" and (len(path) <= 2 or isinstance(path[-1], int))
            filled[name] = item if condition else expand_all(item, below, fill, refuse)
        return filled
    if isinstance(value, list):
        return [expand_all(item, (*path, at), fill, refuse) for at, item in enumerate(value)]
    return value
