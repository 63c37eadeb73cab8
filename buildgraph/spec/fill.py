"""What does a ``${…}`` stand for in this table, in this key? Variables, with the rules of the place applied."""

from collections.abc import Callable
from typing import Any

from buildgraph.errors import UsageError
from buildgraph.spec import when
from buildgraph.spec.expand import Holed, Parts, Use, expand_all, join
from buildgraph.spec.late import may_wait
from buildgraph.spec.model import EnvName
from buildgraph.spec.position import Path
from buildgraph.spec.problems import mean
from buildgraph.spec.variables import GIT, PLATFORM, Target, Variables, platform_value
from buildgraph.values import dataclass, field

_SHELL = ("run", "write")


@dataclass(slots=True)
class Filling:
    """One table's strings. ``on``: it stands on something, so that ``${env.NAME}`` means something.

    ``failed``: paths of strings that could not be filled in; their values mean nothing. ``waits``: some string holds
    a variable of the config.
    """

    variables: Variables
    target: Target
    on: bool
    failed: set[Path] = field(default_factory=set)
    waits: bool = False

    def all(self, table: dict[str, Any], path: Path) -> dict[str, Any]:
        filled: dict[str, Any] = expand_all(table, path, self._fill, self._refuse)
        return filled

    def _fill(self, use: Use, path: Path) -> Parts:
        parts = self._parts(use, path)
        if parts is None:
            self.failed.add(path)
        return parts or ()

    def _parts(self, use: Use, path: Path) -> Parts | None:
        key = path[2] if len(path) > 2 else ""
        if use.name is None:
            self._malformed(use, path, shell=key in _SHELL)
            return None
        if use.name == "key" and "tags" in path[2:3]:
            return ("${key}",)
        parts = self.variables.lookup(use.name, self.target, path)
        if parts == ():
            return None
        if parts is None:
            hint = f"for the shell write ${use.name} or $${{{use.name}}}" if key in _SHELL else ""
            self.variables.undefined(use.name, path, hint=hint)
            return None
        if any(isinstance(part, EnvName) for part in parts):
            if not self._from_stack(use, path):
                return None
            self.waits = True
        return parts

    def _from_stack(self, use: Use, path: Path) -> bool:
        problems = self.variables.problems
        if not self.on:
            problems.add(
                "env-without-on",
                f"{use.written} is a variable of the stack below, and this table stands on nothing",
                path,
                hint="it can be used in tables with 'on'",
            )
            return False
        if may_wait(path):
            return True
        key = next(part for part in reversed(path) if isinstance(part, str))
        self._too_late(f"{use.written} in {key!r}", path, use.written)
        return False

    def _too_late(self, what: str, path: Path, written: str = "") -> None:
        self.variables.problems.add(
            "env-too-late",
            f"{what}: what a table is made of must be known before the config that it stands on is",
            path,
            hint="write it out, or use a variable of [vars]",
            written=written,
        )

    def _malformed(self, use: Use, path: Path, *, shell: bool) -> None:
        hint = "write ${name}, or $$ for a dollar sign"
        if shell:
            hint = f"for the shell write ${use.written}"
        self.variables.problems.add(
            "bad-variable",
            f"{use.written!r} is not a variable of the Buildfile",
            path,
            hint=hint,
            written=use.written,
        )

    def _refuse(self, key: str, path: Path) -> None:
        if not isinstance(key, Holed):
            told = f"the key {key!r} stands twice in this table"
            hint = "keep one of them"
            self.variables.problems.add("duplicate-key", told, path, hint=hint)
        elif not may_wait(path, key=True):
            self._too_late(f"the key {str(key)!r}", path)
            self.failed.add(path)


@dataclass(slots=True)
class Conditions:
    variables: Variables

    def hold(self, text: object, target: Target, path: Path) -> bool | None:
        """None when nobody can tell, because something in it is wrong, which is then reported."""
        problems = self.variables.problems
        if text is None:
            return True
        if not isinstance(text, str):
            return None
        try:
            condition = when.parse(text)
        except UsageError as error:
            problems.adopt(error, path)
            return None
        known = [self._known(name, path) for name in dict.fromkeys(when.names(condition))]
        if not all(known):
            return None
        failed: list[str] = []
        held = when.holds(condition, self._lookup(target, path, failed))
        return None if failed else held

    def _known(self, name: str, path: Path) -> bool:
        space, _, rest = name.partition(".")
        if space == "matrix":
            self.variables.undefined(name, path)
            return False
        declared = self.variables.declared
        known = [f"vars.{key}" for key in declared] + [f"git.{key}" for key in GIT] + [*PLATFORM]
        if name in known:
            return space != "vars" or rest not in self.variables.lost
        if self.variables.open_ended or rest in self.variables.lost:
            return False
        hint = mean(self.variables.problems.near(name, known))
        if space in declared:
            hint = f"write vars.{space}"
        elif not rest:
            hint = f"{hint}; " if hint else ""
            hint += f"text stands in quotes: '{name}'"
        self.variables.problems.add(
            "undefined-variable", f"a condition knows no {name!r}", path, hint=hint
        )
        return False

    def _lookup(self, target: Target, path: Path, failed: list[str]) -> Callable[[str], str]:
        """``failed`` grows by the names that have no value, which is then reported."""

        def lookup(name: str) -> str:
            space, _, rest = name.partition(".")
            if space == "platform":
                return platform_value(target.platform or self.variables.machine, name)
            parts = self.variables.lookup(name if space == "git" else rest, target, path)
            value = join(parts or ())
            if not parts or isinstance(value, Holed):
                failed.append(name)
            if isinstance(value, Holed):
                message = f"{name} depends on the stack below, which a condition cannot"
                hint = "use a variable that has its value from [vars]"
                self.variables.problems.add("env-without-on", message, path, hint=hint)
            return value

        return lookup
