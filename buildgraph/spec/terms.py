"""Small values that everything in a model is made of: texts with environment names, references, owners, modes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from buildgraph.names import Platform
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    from buildgraph.spec.model import Image, Step


@dataclass(frozen=True, slots=True)
class EnvName:
    """A ``${env.NAME}`` that only the config of the stack below can fill in."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string of a table with ``on``; ``parts`` are literal text and environment names in turn."""

    parts: tuple[str | EnvName, ...]

    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, EnvName))

    def fill(self, env: Mapping[str, str]) -> str:
        """Raises ``KeyError`` with the name that ``env`` lacks."""
        return "".join(env[part.name] if isinstance(part, EnvName) else part for part in self.parts)


@dataclass(frozen=True, slots=True)
class Late:
    """A table of which strings with rules of their own wait for the config of its stack.

    ``written`` is the table, ``parts`` what each of its strings that wait is made of. ``read``: the table once more,
    with what the config's variables make of it; raises ErrorGroup.
    """

    written: Mapping[str, Any]
    parts: tuple[Text, ...]
    read: "Callable[[Mapping[str, Any], Mapping[str, str]], Step | Image]" = field(compare=False)


RefKind = Literal["base", "step", "image", "group"]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A resolved name; ``str()`` is unique in the workspace, e.g. ``step:deps``."""

    kind: RefKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


Variants = tuple[tuple[Platform, Ref], ...]
"""What one table became for several platforms, in their order."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Numbers, or names that are looked up in the stack that the copy step stands on."""

    user: int | str
    group: int | str


@dataclass(frozen=True, slots=True)
class Mode:
    """``octal`` as given (directories get x where r), or ``symbolic`` clauses such as ``u=rwX,go=rX``."""

    octal: int | None = None
    symbolic: str = ""
