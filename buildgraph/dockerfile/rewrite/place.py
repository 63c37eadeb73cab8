"""Where a Dockerfile is rewritten to: what its contexts and stages are called there, and what cannot be said."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from posixpath import join, normpath
from typing import Literal, NamedTuple

from buildgraph.dockerfile.rewrite.ignore import Rule
from buildgraph.errors import ErrorGroup, Location, UsageError
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field

_HINT = "change it in the Buildfile by hand, or keep the image there with dockerfile = …"


class Inside(NamedTuple):
    """What lies below a folder that is copied, by its path from there; a link has no mode."""

    path: str
    kind: Literal["file", "folder", "link"]
    mode: int = 0o777


class Named(NamedTuple):
    """What a name of a context means now: ``path`` is where it leads, with every link followed.

    ``inside`` is what a folder or an archive holds.
    """

    name: str
    path: str
    kind: Literal["file", "folder", "archive"]
    mode: int = 0o644
    inside: tuple[Inside, ...] = ()


def _unknown(_pattern: str) -> tuple[Named, ...] | None:
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """``path`` is the folder from the Buildfile's own; None where that is not below it.

    ``whole`` are names at its root that a Buildfile never copies unless an include names them, and docker does.
    ``look`` says what a pattern matches, in docker's order; None where that is not known.
    """

    path: str | None
    rules: tuple[Rule, ...] = ()
    whole: tuple[str, ...] = ()
    look: Callable[[str], tuple[Named, ...] | None] = field(default=_unknown, compare=False)

    @property
    def takes_back(self) -> bool:
        return any(rule.back for rule in self.rules)

    def at(self, path: str) -> str:
        """A path of the context from the Buildfile's folder."""
        assert self.path is not None
        return normpath(join(self.path, path))


@dataclass(slots=True)
class Problems:
    """What the Buildfile cannot say; raised together."""

    found: list[UsageError] = field(default_factory=list)

    def add(self, where: Location, message: str, hint: str = _HINT) -> None:
        self.found.append(UsageError("cannot-convert", message, hint=hint, where=where))

    def check(self) -> None:
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise ErrorGroup(self.found)


@dataclass(slots=True)
class Around:
    """What a step is written in. ``names`` are those of tables; ``take`` gives a new one."""

    contexts: Mapping[str, Context]
    names: Mapping[m.Ref, str]
    problems: Problems
    take: Callable[..., str]
    archives: dict[str, str] = field(default_factory=dict)
    """The bases of archives that are unpacked, by path."""
    several: dict[m.Ref, list[str]] = field(default_factory=dict)
    """What became of steps that are not one table."""

    def refs(self, refs: Iterable[m.Ref]) -> list[str]:
        """A step that became several tables is all of these; a copy of nothing is none."""
        return [name for ref in refs for name in self.several.get(ref, [self.names[ref]])]

    def source(self, ref: m.Ref) -> str:
        return f"{ref.kind}:{self.names[ref]}"

    def context(self, name: str, where: Location) -> Context | None:
        found = self.contexts[name]
        if found.path is None:
            self.problems.add(
                where,
                f"the context {name.rpartition('/')[2]!r} does not lie below the Buildfile's folder",
                "write the Buildfile into a folder above both: --output FOLDER/Buildfile.toml",
            )
            return None
        return found


def owner_text(owner: m.Owner) -> str:
    return f"{owner.user}:{owner.group}" if owner.group != "" else f"{owner.user}"


def mode_text(mode: m.Mode) -> str:
    return mode.symbolic if mode.octal is None else f"{mode.octal:04o}"


def fixed(text: m.Text) -> str:
    """A text of a converted Dockerfile, which leaves nothing to fill in."""
    return text.fill({})


def words(texts: Sequence[m.Text]) -> list[str]:
    return [fixed(text) for text in texts]
