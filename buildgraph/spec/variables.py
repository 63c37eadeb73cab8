"""What is a variable worth, and where does that value come from?

Precedence: ``--set``, then ``BUILDGRAPH_VAR_NAME`` in the environment, then the variable that ``env`` names, then
``default``. Values from outside are taken as they are; a default may mention other variables and built-ins. Asked
for lazily: only what the Buildfile mentions is looked up, and every environment variable that was consulted is
remembered, absent ones included, because the answer holds only while they stay as they are.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from buildgraph.errors import BuildgraphError
from buildgraph.names import Platform
from buildgraph.spec.cycles import walk
from buildgraph.spec.expand import Parts, Use, join, parse, uses
from buildgraph.spec.gitfacts import GitFacts
from buildgraph.spec.model import EnvName
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems, mean
from buildgraph.values import dataclass, field

GIT = ("commit", "short", "branch", "tag", "dirty")
PLATFORM = ("platform", "platform.os", "platform.arch", "platform.uname")
BUILTINS = (
    *(f"git.{name}" for name in GIT),
    *PLATFORM,
    "build.platform",
    "target.name",
    "target.dir",
    "target.dirname",
    "epoch",
    "key",
)
RESERVED = ("platform", "epoch", "key")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DEEPEST = 40
_LONGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry of ``[vars]`` as written; ``default`` is a template, None where there is none."""

    path: Path
    default: str | None = None
    env: str = ""
    choices: tuple[str, ...] = ()


class Target(NamedTuple):
    """The table that a string belongs to. ``platform`` is what it is built for."""

    name: str = ""
    platform: Platform | None = None
    epoch: int | None = None


@dataclass(slots=True)
class Variables:
    """``consulted`` and ``used_git`` grow as values are asked for.

    ``lost``: variables that are written, but whose value is not what it should be: who uses one is told nothing.
    """

    declared: Mapping[str, Declared]
    sets: Mapping[str, str]
    environ: Mapping[str, str]
    git: Callable[[], GitFacts]
    machine: Platform
    workspace: str
    problems: Problems
    lost: set[str] = field(default_factory=set)
    open_ended: bool = False
    """Some variables are not understood, so an unknown one is no mistake of its own."""
    consulted: dict[str, None] = field(default_factory=dict)
    used_git: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    _parts: dict[tuple[str, Target], Parts] = field(default_factory=dict)
    _facts: GitFacts | None = None
    _failed: bool = False

    def known(self) -> tuple[str, ...]:
        return (*self.declared, *BUILTINS)

    def check(self) -> None:
        """Report what is wrong whether or not it is mentioned: unknown names in defaults, cycles, ``--set``."""
        for name, declared in self.declared.items():
            for use in uses(declared.default or ""):
                self._check_use(use, declared.path)
            if declared.default is not None and "$" not in declared.default:
                self._choose(name, declared.default, "")
        edges = {
            name: [use.name or "" for use in uses(declared.default or "")]
            for name, declared in self.declared.items()
        }
        for cycle in walk(edges).cycles:
            self.lost.update(cycle)
            drawn = " → ".join([*cycle, cycle[0]])
            self.problems.add(
                "variable-cycle",
                f"variables that need each other: {drawn}",
                self.declared[cycle[0]].path,
                hint="give one of them a value that needs none of the others",
            )
        for name, value in self.sets.items():
            if name in self.declared:
                self._choose(name, value, "--set")
            else:
                hint = mean(self.problems.near(name, self.declared)) or "add it to [vars]"
                self.problems.add(
                    "unknown-variable", f"--set {name}=… names no variable of [vars]", hint=hint
                )

    def lookup(self, name: str, target: Target, path: Path, depth: int = 0) -> Parts | None:
        """None when there is no such variable; whatever else is wrong is reported, and yields ``()``."""
        if name.startswith("env."):
            return (EnvName(name.removeprefix("env.")),)
        if name in self.declared:
            return self._declared(name, target, path, depth)
        if name in BUILTINS:
            return self._builtin(name, target, path)
        return () if self.open_ended or name in self.lost else None

    def git_fact(self, name: str, path: Path) -> str:
        """``time`` too. Empty, and reported once, where git has no answer."""
        self.used_git.add(name)
        if self._facts is None and not self._failed:
            try:
                self._facts = self.git()
            except BuildgraphError as error:
                self._failed = True
                self.problems.adopt(error, path)
        if self._facts is None:
            return ""
        value = getattr(self._facts, name)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def undefined(self, name: str, path: Path, *, hint: str = "") -> None:
        if name.startswith("matrix."):
            hint = "write a table for each, and the value instead"
            self.problems.add(
                "unsupported", f"${{{name}}}: matrix is not supported yet", path, hint=hint
            )
            return
        near = mean(self.problems.near(name, self.known()))
        hints = "; ".join(text for text in (near, hint) if text)
        if not hints:
            hints = f'add it to [vars]: {name} = "…"'
        message = f"there is no variable ${{{name}}}"
        self.problems.add("undefined-variable", message, path, hint=hints, written="${" + name)

    def _check_use(self, use: Use, path: Path) -> None:
        if use.name is None:
            self.problems.add(
                "bad-variable",
                f"{use.written!r} is not a variable",
                path,
                hint="write ${name}, or $$ for a dollar sign",
            )
        elif not self._may_be(use.name):
            self.undefined(use.name, path)

    def _may_be(self, name: str) -> bool:
        known = name.startswith("env.") or name in self.known()
        return known or self.open_ended or name in self.lost

    def _declared(self, name: str, target: Target, path: Path, depth: int) -> Parts:
        declared = self.declared[name]
        value, source = self._outside(name, declared)
        if value is not None:
            self.values[name] = value
            self._choose(name, value, source)
            return (value,)
        if name in self.lost:
            return ()
        if declared.default is None:
            self.lost.add(name)  # one value is missing, however often it is used
            places = f"--set {name}=… or BUILDGRAPH_VAR_{_upper(name)}"
            self.problems.add(
                "unset-variable",
                f"the variable ${{{name}}} has no value",
                path,
                hint=f"give it a default, or a value with {places}",
            )
            return ()
        if (name, target) not in self._parts:
            self._parts[name, target] = self._default(name, declared, target, depth)
        return self._parts[name, target]

    def _default(self, name: str, declared: Declared, target: Target, depth: int) -> Parts:
        parts: list[str | EnvName] = []
        for part in parse(declared.default or ""):
            if isinstance(part, str):
                parts.append(part)
            elif part.name and depth < _DEEPEST:
                # Unknown names and cycles were reported by check().
                found = self.lookup(part.name, target, declared.path, depth + 1)
                if not found:
                    return ()
                parts.extend(found)
        if (
            depth >= _DEEPEST
            or sum(len(part) for part in parts if isinstance(part, str)) > _LONGEST
        ):
            message = f"the value of ${{{name}}} is too long, or made of too many others"
            hint = "write it out, or make it of fewer"
            self.problems.add("bad-variable", message, declared.path, hint=hint)
            return ()
        if not any(isinstance(part, EnvName) for part in parts):
            self.values[name] = join(tuple(parts))
            self._choose(name, self.values[name], "")
        return tuple(parts) or ("",)

    def _outside(self, name: str, declared: Declared) -> tuple[str | None, str]:
        if name in self.sets:
            return self.sets[name], "--set"
        candidates = [f"BUILDGRAPH_VAR_{name}", f"BUILDGRAPH_VAR_{_upper(name)}", declared.env]
        for variable in filter(None, dict.fromkeys(candidates)):
            self.consulted[variable] = None
            if variable in self.environ:
                return self.environ[variable], variable
        return None, ""

    def _choose(self, name: str, value: str, source: str) -> None:
        declared = self.declared[name]
        if not declared.choices or value in declared.choices:
            return
        told = f" (from {source})" if source else ""
        choices = ", ".join(f'"{choice}"' for choice in declared.choices)
        self.problems.add(
            "bad-choice",
            f'the variable ${{{name}}} is "{value}"{told}, which is none of its choices',
            declared.path,
            hint=f"choices are {choices}",
        )

    def _builtin(self, name: str, target: Target, path: Path) -> Parts | None:
        if name.startswith("git."):
            fact = self.git_fact(name.removeprefix("git."), path)
            return () if self._failed else (fact,)
        if name.startswith("platform"):
            if target.platform is None:
                return self._unavailable(name, path)
            return (platform_value(target.platform, name),)
        match name:
            case "build.platform":
                return (str(self.machine),)
            case "target.name" if target.name:
                return (target.name,)
            case "target.dir":
                return (".",)
            case "target.dirname":
                return (self.workspace,)
            case "epoch" if target.epoch is not None:
                return (str(target.epoch),)
            case _:
                return self._unavailable(name, path)

    def _unavailable(self, name: str, path: Path) -> Parts:
        hint = "it is known in tags only" if name == "key" else "write the value itself"
        self.problems.add(
            "undefined-variable", f"${{{name}}} has no value in this place", path, hint=hint
        )
        return ()


def platform_value(platform: Platform, name: str) -> str:
    """The value of a name of ``PLATFORM``."""
    match name.removeprefix("platform").removeprefix("."):
        case "os":
            return platform.os
        case "arch":
            return platform.arch
        case "uname":
            return platform.uname
        case _:
            return str(platform)


def declare(table: Iterable[tuple[str, str | Mapping[str, object]]]) -> dict[str, Declared]:
    """``[vars]`` after its shape was checked."""
    found = {}
    for name, value in table:
        path: Path = ("vars", name)
        if isinstance(value, str):
            found[name] = Declared(path, value)
            continue
        default, choices = value.get("default"), value.get("choices")
        found[name] = Declared(
            (*path, "default") if default is not None else path,
            str(default) if default is not None else None,
            str(value.get("env") or ""),
            tuple(str(choice) for choice in choices) if isinstance(choices, list) else (),
        )
    return found


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
