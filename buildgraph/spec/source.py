"""One table of the Buildfile while it becomes a value of the model: what it says, and where it says it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from buildgraph.errors import Location, UsageError
from buildgraph.names import Platform
from buildgraph.spec.expand import Holed, text_of
from buildgraph.spec.model import Late, Mode, Owner, Ref, RefKind, Selection, Text
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems
from buildgraph.spec.resolve import Names
from buildgraph.spec.values import has_names, image_path, mode, owner, source_glob, source_path
from buildgraph.values import dataclass, field

T = TypeVar("T")
K = TypeVar("K", bound=str)


@dataclass(slots=True)
class Surroundings:
    """What a table is understood in. ``exists`` answers for paths of the context; ``asked`` remembers the questions.
    ``glob`` raises UsageError for what is no pattern."""

    problems: Problems
    names: Names
    machine: Platform
    platform: Platform
    exists: Callable[[str], bool]
    secrets: frozenset[str] = frozenset()
    asked: dict[str, bool] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    glob: Callable[[str], object] = str
    """Names of tables whose stack is not known in full."""

    def has(self, path: str) -> bool:
        if path not in self.asked:
            self.asked[path] = self.exists(path)
        return self.asked[path]


class Places(Mapping[str, Location]):
    """Where each key of a table stands, looked up when asked: few of a thousand tables ever are.

    ``key[2]`` is where the third item of an array stands.
    """

    __slots__ = ("_keys", "_path", "_problems")

    def __init__(self, path: Path, keys: tuple[str, ...], problems: Problems) -> None:
        self._path = path
        self._keys = keys
        self._problems = problems

    def __getitem__(self, key: str) -> Location:
        name, _, at = key.removesuffix("]").partition("[")
        if name not in self._keys:
            raise KeyError(key)
        place = (*self._path, name, int(at)) if at else (*self._path, name)
        return self._problems.location(place)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __reduce__(self) -> tuple[type[dict[str, Location]], tuple[dict[str, Location]]]:
        return dict, (dict(self),)


@dataclass(slots=True)
class Source:
    """``table`` fits its shape; ``broken`` paths were reported before and count as present."""

    table: Mapping[str, Any]
    path: Path
    around: Surroundings
    broken: set[Path] = field(default_factory=set)
    late: Late | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.table or self.is_broken(key)

    def is_broken(self, key: str) -> bool:
        """As a whole, or in a part of it."""
        place = (*self.path, key)
        return any(path[: len(place)] == place for path in self.broken)

    def written(self, keys: Iterable[K]) -> list[K]:
        """Those of ``keys`` that are there, in the order of their lines."""
        found = [key for key in keys if key in self]
        locate = self.around.problems.location
        return sorted(found, key=lambda key: locate((*self.path, key)).line) if found[1:] else found

    def has_riddles(self) -> bool:
        """Has it keys that nobody understands, or that are not supported yet? They may say what seems to be missing."""
        from buildgraph.spec.shape import NOT_YET, keys

        kind = str(self.path[0])
        known = keys(kind) - NOT_YET.get(kind, frozenset())
        return any(path[len(self.path)] not in known for path in self.broken if len(path) == 3)

    @property
    def where(self) -> Location:
        return self.around.problems.location(self.path)

    def at(self, key: str) -> Location:
        return self.around.problems.location((*self.path, key))

    def fields(self) -> "Places":
        return Places(self.path, tuple(self.table), self.around.problems)

    def inside(self, *places: str | int) -> "Source":
        """The table at ``places``; empty where nothing is written."""
        table: Any = self.table
        for place in places:
            table = table.get(place, {}) if isinstance(table, Mapping) else table[place]
        return Source(table, (*self.path, *places), self.around, self.broken)

    def wrong(self, code: str, message: str, *places: str | int, hint: str = "") -> None:
        self.around.problems.add(code, message, (*self.path, *places), hint=hint)

    def get(self, key: str, parse: Callable[[Any], T]) -> T | None:
        """What ``parse`` makes of the value; None where it is absent, or wrong and then reported."""
        if key not in self.table:
            return None
        return self.parse(self.table[key], parse, key)

    def items(self, key: str) -> Iterator[tuple[int, Any]]:
        """Of an array, with their places; but for those that did not fit, which have left a blank."""
        for at, value in enumerate(self.table.get(key, ())):
            if (*self.path, key, at) not in self.broken:
                yield at, value

    def parse(self, value: Any, parse: Callable[[Any], T], *places: str | int) -> T | None:
        try:
            return parse(value)
        except UsageError as error:
            self.around.problems.adopt(error, (*self.path, *places))
            self.broken.add((*self.path, *places))
            return None

    def each(self, key: str, parse: Callable[[Any], T]) -> tuple[T, ...]:
        found = [self.parse(value, parse, key, at) for at, value in self.items(key)]
        return tuple(value for value in found if value is not None)

    def globs(self, key: str, shape: Callable[[str], str] = str) -> tuple[str, ...]:
        def checked(value: str) -> str:
            pattern = shape(value)
            self.around.glob(pattern)
            return pattern

        return self.each(key, checked)

    def text(self, key: str) -> Text | None:
        return text_of(self.table[key]) if key in self.table else None

    def filled(self, key: str) -> Text | None:
        """A text that must not be empty."""
        if self.table.get(key) == "":
            hint = f"leave it out to inherit the {key}"
            self.wrong("wrong-value", f"{key} is empty", key, hint=hint)
        return self.text(key)

    def shell(self) -> tuple[str, ...] | None:
        if "shell" not in self.table:
            return None
        shell = tuple(self.table["shell"])
        if not shell or not shell[0]:
            self.wrong("wrong-value", "shell is empty", "shell", hint='write ["/bin/sh", "-euc"]')
        return shell

    def texts(self, key: str) -> dict[str, Text]:
        return {name: text_of(value) for name, value in self.table.get(key, {}).items()}

    def command(self, key: str) -> Text | tuple[Text, ...] | None:
        """Shell form or argv; an empty one is reported only where that means nothing (``run``)."""
        value = self.table.get(key)
        if isinstance(value, list):
            return tuple(text_of(item) for item in value)
        return None if value is None else text_of(value)

    def absolute(self, key: str, what: str) -> Text | None:
        """A path in the image that may begin with a variable of the stack."""
        value = self.table.get(key)
        if value is None or (isinstance(value, Holed) and not isinstance(value.parts[0], str)):
            return self.text(key)
        if isinstance(value, Holed):
            checked = self.get(key, lambda text: image_path(str(text), what))
            return text_of(value) if checked else None
        path = self.get(key, lambda text: image_path(text, what))
        return Text((path.rstrip("/") or "/",)) if path else None

    def mode(self) -> Mode | None:
        raw = self.around.problems.positions.raw(self.around.problems.origin((*self.path, "mode")))
        return self.get("mode", lambda value: mode(value, raw))

    def owner(self) -> Owner | None:
        return self.get("owner", owner)

    def numbers(self) -> Owner | None:
        """An owner where names are not looked up."""
        found = self.owner()
        if found and has_names(found):
            told = (
                f"the owner {self.table['owner']!r} is a name, and only a copy step looks names up"
            )
            self.wrong("owner-names", told, "owner", hint="write numbers")
        return found

    def platform(self, key: str) -> Platform | None:
        """``"build"`` is the machine's own."""
        if self.table.get(key) == "build":
            return self.around.machine
        return self.get(key, Platform.parse)

    def refs(self, key: str, kinds: Sequence[RefKind]) -> tuple[Ref, ...]:
        """Distinct, in order."""
        found: dict[Ref, None] = {}
        for at, name in self.items(key):
            ref = self.around.names.resolve(name, (*self.path, key, at), kinds, f"'{key}'")
            if ref:
                found[ref] = None
            elif key != "checks":
                self.around.unsure.add(str(self.path[1]))
        if self.is_broken(key) and key != "checks":
            self.around.unsure.add(str(self.path[1]))
        return tuple(found)

    def selection(self, key: str, default: str = "") -> Selection | None:
        """``from`` of a copy or ``bind`` of a mount, with the keys beside it that narrow it."""
        include = self.globs("include", source_glob)
        exclude = self.globs("exclude", source_glob)
        text = str(self.table.get(key, default))
        ref, known = self._reference(text, key)
        if not known or self.is_broken(key):
            self.broken.add((*self.path, key))
            return None
        if self.is_broken("include") or self.is_broken("exclude"):
            include, exclude = (), ("**",)  # which files, nobody knows; only where they would be
        if ref is None:
            if "path" in self.table:
                self.wrong(
                    "path-in-context",
                    f"'path' narrows what comes from a step, image or base, and {text!r} is a path",
                    "path",
                    hint=f'write {key} = "{text.rstrip("/")}/{str(self.table["path"]).lstrip("/")}"',
                )
            path = self.parse(text, source_path, key)
            return Selection(path, None, include, exclude) if path else None
        if "path" not in self.table:
            return Selection("/", ref, include, exclude)
        path = self.get("path", lambda value: image_path(value, f"a path in {ref}"))
        return Selection(path.rstrip("/") or "/", ref, include, exclude) if path else None

    def _reference(self, text: str, key: str) -> tuple[Ref | None, bool]:
        """The step, image or base meant by ``text``, if any; False when it was wrong and is reported."""
        names, place = self.around.names, (*self.path, key)
        kinds: tuple[RefKind, ...] = ("base", "step", "image")
        if text.startswith("//") or text.partition(":")[0] in (*kinds, "group"):
            ref = names.resolve(text, place, kinds, f"'{key}'")
            return ref, ref is not None
        ref = names.refs.get(text)
        # A step cannot mean itself: it means a path, which whoever reads it will miss.
        if ref is None or ref.kind not in kinds or text == self.path[1]:
            if text in names.off and not self.around.has(text):
                return names.resolve(text, place, kinds, f"'{key}'"), False
            return None, True
        return (None if self.around.has(text) else ref), True
