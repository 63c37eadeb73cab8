"""Which strings of a table wait for the config of the stack that it stands on, and how is it completed with them?

``${env.NAME}`` is known only once bases are: after the model, before the graph. What is free text waits as a ``Text``.
Anything else has rules of its own (a port, a tag, a path …), so a table with such a string is read twice: first
without it, which finds every other mistake and all that the table stands on; then, from a ``Late`` that remembers
what was written, with every string filled in, by the same rules as ever. What the table is made of, the names of other
tables and of files, is therefore nothing that may wait.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buildgraph.errors import Location, UsageError
from buildgraph.spec.expand import Holed, text_of
from buildgraph.spec.position import Path
from buildgraph.spec.problems import mean, near
from buildgraph.spec.terms import Text

_FREE = frozenset({"run", "env", "entrypoint", "cmd", "labels"})
"""Free text: no value is wrong."""
_TEXT = _FREE | {"workdir", "user", "mounts", "healthcheck", "tags", "repository"}
"""Keys whose strings the first reading can leave as they are."""
_NAMED = frozenset({"env", "labels", "annotations", "hosts", "write", "dirs", "links"})
"""Tables whose keys people choose."""
_MADE_OF = frozenset({"on", "with", "checks", "platforms", "platform"})


class Hole(NamedTuple):
    """A string with a variable. ``stays``: the first reading understands it; ``free``: any value is right."""

    path: Path
    text: Text
    stays: bool
    free: bool


def holes(table: Mapping[str, Any], path: Path) -> Iterator[Hole]:
    for place, text, key in _holed(table, path):
        stays = not key and _stays(place)
        yield Hole(place, text_of(text), stays, stays and place[2] in _FREE)


def may_wait(path: Path, *, key: bool = False) -> bool:
    """Whether the string at ``path``, or the key that it ends with, may depend on the config of the stack below."""
    if key:
        return len(path) == 4 and path[2] in _NAMED
    made_of = (path[2], path[-1]) in (("copy", "from"), ("mounts", "bind"), ("run", "file"))
    return path[2] not in _MADE_OF and not made_of


def unknown_env(
    name: str, known: Mapping[str, str], owner: str, where: Location | None
) -> UsageError:
    """``owner`` is the table, or the key, that uses a variable which is none of ``known``."""
    names = ", ".join(sorted(known)) or "nothing, none is set"
    close = [f"${{env.{one}}}" for one in near(name, known)]
    return UsageError(
        "unknown-env",
        f"{owner} uses ${{env.{name}}}, but what it stands on sets no {name}",
        hint=mean(close) or f"it may use: {names}",
        where=where,
    )


def _holed(value: Any, path: Path) -> Iterator[tuple[Path, Holed, bool]]:
    """The strings that wait; True for a key."""
    match value:
        case Holed():
            yield path, value, False
        case dict():
            for key, item in value.items():
                if isinstance(key, Holed):
                    yield (*path, key), key, True
                else:
                    yield from _holed(item, (*path, key))
        case list():
            for at, item in enumerate(value):
                yield from _holed(item, (*path, at))
        case _:
            pass


def _stays(path: Path) -> bool:
    match path[2:]:
        case ("mounts", *_, last):
            return last == "target"
        case ("healthcheck", key, *_):
            return key == "test"
        case (key, *_):
            return key in _TEXT
        case _:
            return False
