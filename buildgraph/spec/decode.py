"""Does a table have the shape that the language gives it? Untyped values → typed tables, or mistakes told well.

A wrong key is reported and left out, so that the rest of its table is still checked; what was left out is listed,
so that nobody then complains that it is missing.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from buildgraph.spec.defaults import KINDS
from buildgraph.spec.omit import without
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems, dotted, either, mean
from buildgraph.spec.words import elsewhere
from buildgraph.values import dataclass, field

_EXPECTED = {
    "string_type": "a string",
    "is_instance_of": "a string",
    "string_unicode": "a string",
    "int_type": "an integer",
    "bool_type": "true or false",
    "float_type": "a number",
    "list_type": "an array",
    "dict_type": "a table",
    "typed_dict_type": "a table",
}
_EITHER = {
    "run": "a string, an array of strings or a table { file, args }",
    "reuse": '"always", "never" or a table { max-age }',
    "write": "a string or a table { text, mode, owner }",
    "tags": "a string or a table { tag, when }",
    "vars": "a string or a table { default, env, choices, description }",
}
_ITEMS = {
    "copy": '{{ from = "{}", to = "/…" }}',
    "mounts": '{{ bind = "{}", target = "/…" }}',
}
"""What an array holds that is not of strings."""
_CURES: dict[Path, str] = {
    (
        "mounts",
        "type",
    ): 'the kind of a mount is a key: cache = "ID", bind = "PATH", secret = "NAME", tmpfs = true',
}
"""Of keys inside the items of an array."""
TOP = frozenset(
    {"buildfile", "workspace", "vars", "secret", "base", "step", "image", "group", "fragment"}
)
_ONE_OF = (
    frozenset(KINDS),
    frozenset({"image", "layout", "archive", "rootfs", "scratch"}),
    frozenset({"file", "env"}),
    frozenset({"bind", "cache", "tmpfs", "secret", "ssh"}),
)
"""Kinds of steps, bases, secrets and mounts."""
_DOWNLOAD = 'get it in a run step with network = "host", and keep what is needed with outputs'
_INSTEAD = {
    "members": "build each folder by itself: buildgraph -C FOLDER build",
    "extends": "write the keys into each table, or into [workspace.defaults.step] and [workspace.defaults.image]",
    "fetch": _DOWNLOAD,
    "git": _DOWNLOAD,
    "rekey": "leave it out: a secret's value is in no key",
    "": "write a table for each",
}
"""What can be done without a key that is not supported yet."""
_FREE = ("env", "labels", "annotations", "hosts", "write", "dirs", "links")
"""Tables whose keys people choose."""


@dataclass(slots=True)
class Decoded:
    """``table`` fits its shape; ``broken`` are the paths of what was left out of it."""

    table: Any
    broken: set[Path] = field(default_factory=set)


class Decoder:
    def __init__(self, problems: Problems) -> None:
        from buildgraph.spec import shape
        from buildgraph.spec.fits import fits

        self._problems = problems
        self._shape = shape
        self._fits = fits

    def decode(
        self,
        kind: str,
        table: object,
        path: Path,
        *,
        raw: bool = False,
        failed: Collection[Path] = (),
    ) -> Decoded:
        """``raw``: variables are not filled in yet, so a word may still become one of those allowed.

        ``failed``: paths whose strings could not be filled in, which count as reported.
        """
        if not isinstance(table, dict):
            self._wrong(path, "a table", table)
            return Decoded({}, {path})
        table, broken = self._supported(kind, table, path)
        landed = self._landed(table, path)
        broken.update((*path, place[-1]) for place in landed)
        broken.update(failed)
        table = without(table, landed | {place[len(path) :] for place in failed})
        if self._fits(self._shape.SHAPES[kind], table):
            return Decoded(table, broken)
        return self._told(kind, table, path, broken, raw=raw)

    def _told(
        self, kind: str, table: object, path: Path, broken: set[Path], *, raw: bool
    ) -> Decoded:
        """By pydantic, until nothing is left that does not fit."""
        from pydantic import ValidationError

        adapter = self._shape.adapter(kind)
        for _ in range(8):
            try:
                return Decoded(adapter.validate_python(table), broken)
            except ValidationError as error:
                problems = error.errors(include_url=False, include_context=True)
                bad = self._report(problems, table, path, broken, raw=raw)
            table = without(table, bad)
        return Decoded({}, {path})

    def refused(self, kind: str, table: Mapping[str, Any]) -> bool:
        """Has the table a key that is not supported yet?"""
        return not self._shape.NOT_YET.get(kind, frozenset()).isdisjoint(table)

    def known(self, path: Path) -> frozenset[str]:
        """The keys of the table at ``path``; empty where they are free or unknown."""
        match path:
            case ():
                return TOP
            case ("workspace",):
                return self._shape.keys("workspace")
            case ("workspace", "defaults"):
                return frozenset({"step", "image"})
            case ("workspace", "defaults", str(kind)) | (str(kind), _):
                return (
                    self._shape.keys(kind)
                    if kind in ("step", "image", "base", "group", "secret")
                    else frozenset()
                )
            case _:
                return frozenset()

    def knows(self, path: Path) -> bool:
        """Are all keys on the way to ``path``, below its table, of the language or people's own?"""
        kind, place = str(path[0]), path[2:]
        for end, part in enumerate(place):
            free = end == 1 and place[0] in _FREE
            known = self._shape.keys_below(kind, place[:end])
            if isinstance(part, str) and not free and known and part not in known:
                return False
        return True

    def landed(self, path: Path) -> str:
        """Where the last key of ``path`` belongs, if it stands below the header of a sub-table by mistake."""
        positions, origin = self._problems.positions, self._problems.origin(path)
        key, parent = str(origin[-1]), origin[:-1]
        if self._is_own(key, parent):
            return ""
        for at in range(len(parent) - 1, -1, -1):
            if key not in self.known(parent[:at]):
                continue
            header = next(
                (
                    found
                    for end in range(len(parent), at, -1)
                    if (found := positions.header(parent[:end]))
                ),
                None,
            )
            if header:
                owner = f"[{dotted(parent[:at])}]" if at else "the top of the file"
                return (
                    f"{key} belongs to {owner}, but stands below {header.excerpt} (line {header.line});"
                    " move it above that line"
                )
        return ""

    def _is_own(self, key: str, table: Path) -> bool:
        """Is the key one of the language's in the table where it stands?"""
        if len(table) < 3 or table[0] not in ("step", "image", "base"):
            return key in self.known(table)
        return table[2] not in _FREE and key in self._shape.keys_below(str(table[0]), table[2:])

    def unknown(self, path: Path, known: Collection[str], *, cure: str = "") -> Path | None:
        """Report the last key of ``path`` as none of ``known``; the path of the key that was probably meant."""
        key, parent = str(path[-1]), dotted(self._problems.origin(path)[:-1])
        moved = self.landed(path)
        code = "misplaced-key" if moved else "unknown-key"
        where = f"[{parent}]" if parent else "the file"
        meant = () if moved else elsewhere(key, known) or self._problems.near(key, known)
        listed = f"its keys are {', '.join(sorted(known))}" if known else ""
        hint = moved or mean(meant) or cure or listed
        self._problems.add(code, f"{where} has no key {key!r}", path, hint=hint)
        return (*path[:-1], meant[0]) if meant else None

    def unsupported(self, path: Path, what: str, key: str) -> None:
        message = f"{what} is not supported yet"
        self._problems.add("unsupported", message, path, hint=_INSTEAD.get(key, _INSTEAD[""]))

    def _supported(
        self, kind: str, table: dict[str, Any], path: Path
    ) -> tuple[dict[str, Any], set[Path]]:
        refused = self._shape.NOT_YET.get(kind, frozenset()).intersection(table)
        for key in refused:
            self.unsupported(
                (*path, key), f"{key!r} in [{kind}{'.NAME' if kind != 'workspace' else ''}]", key
            )
        kept = {key: value for key, value in table.items() if key not in refused}
        broken: set[Path] = {(*path, key) for key in refused}
        mounts = kept.get("mounts")
        if kind == "step" and isinstance(mounts, list):
            kept["mounts"] = [
                self._mount(mount, (*path, "mounts", at), broken) for at, mount in enumerate(mounts)
            ]
        return kept, broken

    def _mount(self, mount: object, path: Path, broken: set[Path]) -> object:
        refused = self._shape.NOT_YET["mount"].intersection(
            mount if isinstance(mount, dict) else ()
        )
        if not isinstance(mount, dict) or not refused:
            return mount
        for key in refused:
            self.unsupported((*path, key), f"{key!r} in a mount", key)
        broken.add(path)
        return {key: value for key, value in mount.items() if key not in refused}

    def _landed(self, table: Mapping[str, Any], path: Path) -> set[Path]:
        """Keys of the table that stand among the names that people choose in one of its sub-tables."""
        found: set[Path] = set()
        for name in _FREE:
            below = (*path, name)
            inner = table.get(name)
            if not isinstance(inner, dict) or not self._problems.positions.header(below):
                continue
            for key in self.known(path).intersection(inner) - {"description", "name"}:
                hint = self.landed((*below, key))
                if hint:
                    found.add((name, key))
                    inline = f"{name} = {{ {key} = … }}"
                    self._problems.add(
                        "misplaced-key",
                        f"{key!r} stands in [{dotted(below)}]",
                        (*below, key),
                        hint=f"{hint}; if it is meant, write {inline}",
                    )
        return found

    def _report(
        self,
        errors: Iterable[Mapping[str, Any]],
        table: Any,
        path: Path,
        broken: set[Path],
        *,
        raw: bool,
    ) -> set[Path]:
        """Returns the places, relative to ``table``, of what is wrong.

        An unknown key counts as the one that was probably meant, which then is no missing one.
        """
        expected: dict[Path, list[str]] = {}
        bad: set[Path] = set()
        for error in errors:
            place, value = _place(error["loc"], table)
            bad.add(place)
            if error["type"] == "extra_forbidden":
                cure = _CURES.get(place[0:3:2], "")
                meant = self.unknown((*path, *place), self._keys_at(place[:-1], path), cure=cure)
                if meant and not _second_kind(meant, _value(table, place[:-1])):
                    broken.add(meant)
                    continue
            elif error["type"] == "literal_error":
                words = re.findall(r"'([^']*)'", error["ctx"]["expected"])
                if not (raw and isinstance(value, str) and "${" in value):
                    self._literal((*path, *place), words, value)
            elif error["type"].startswith("union_tag"):
                names = [part for part in (*path, *place) if isinstance(part, str)]
                word = next((_EITHER[name] for name in reversed(names) if name in _EITHER), "")
                expected[place] = [word or "a string or an array of strings"]
            else:
                word = _EXPECTED.get(error["type"], error["msg"])
                expected.setdefault(place, []).append(word)
            broken.add((*path, *place))
        for place, words in expected.items():
            self._wrong((*path, *place), " or ".join(dict.fromkeys(words)), _value(table, place))
        return bad

    def _keys_at(self, place: Path, path: Path) -> dict[str, None]:
        kind = "vars" if path == ("vars",) else str(path[0])
        if path[:2] == ("workspace", "defaults"):
            kind = str(path[2])
        return dict.fromkeys(sorted(self._shape.keys_below(kind, place)))

    def _literal(self, path: Path, words: list[str], value: object) -> None:
        if not isinstance(value, str):
            self._wrong(path, either(words), value)
            return
        hint = mean(self._problems.near(value, words))
        message = f'{path[-1]} is {either(words)}, not "{value}"'
        self._problems.add("wrong-value", message, path, hint=hint)

    def _wrong(self, path: Path, expected: str, value: object) -> None:
        hint = self.landed(path) if path else ""
        code = "misplaced-key" if hint else "wrong-type"
        if not hint and isinstance(value, str) and expected.startswith("an array"):
            item = _ITEMS.get(str(path[-1]), '"{}"').format(value)
            hint = f"write {path[-1]} = [{item}]" if isinstance(path[-1], str) else ""
        elif not hint and isinstance(value, (int, float)) and "a string" in expected:
            written = str(value).lower() if isinstance(value, bool) else str(value)
            hint = f'put quotes around it: "{written}"'
        elif not hint and isinstance(value, dict) and expected == "an array":
            hint = f"write {path[-1]} = [{{ … }}]"
        message = f"{dotted(self._problems.origin(path)) or 'the file'} must be {expected}, not {_named(value)}"
        self._problems.add(code, message, path, hint=hint)


def _named(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case int():
            return "an integer"
        case float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "a time"


def _place(loc: Iterable[str | int], table: object) -> tuple[Path, object]:
    """pydantic's location without its names of union members; the innermost value it leads to."""
    place: list[str | int] = []
    value = table
    for part in loc:
        inside = isinstance(value, dict) and part in value
        inside = inside or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:
            place.append(part)
            value = value[part]  # type: ignore[index]
    return tuple(place), value


def _value(table: Any, place: Path) -> object:
    for part in place:
        table = table[part]
    return table


def _second_kind(meant: Path, table: Any) -> bool:
    """Would the key be one too many? Then nobody knows whether it was meant."""
    return any(meant[-1] in kinds and not kinds.isdisjoint(table) for kinds in _ONE_OF)
