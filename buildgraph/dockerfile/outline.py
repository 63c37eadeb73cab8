"""What can be asked of a Dockerfile before it is built? Its targets, and what one of them takes.

The answers to ``--call=targets`` and ``--call=outline``, as values, as text and as BuildKit's JSON documents. What a
target takes are the arguments, secrets and agents of its own stage and of those that it needs; the comment
``# name description`` above an ARG or FROM describes it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from posixpath import basename

from buildgraph.dockerfile.instructions import Arg, ArgPair, Env, Run
from buildgraph.dockerfile.mounts import MountSpec, read_mount
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.parse import parse
from buildgraph.dockerfile.source import Lines
from buildgraph.dockerfile.stages import StageNode, Stages, blaming
from buildgraph.dockerfile.words import expand, expansion
from buildgraph.values import dataclass, field

Json = str | bool | int | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Target:
    """``name`` is empty where there is no ``AS``; ``default``: what is built when no target is named."""

    name: str
    index: int
    base: str
    where: Lines
    platform: str = ""
    description: str = ""
    default: bool = False


@dataclass(frozen=True, slots=True)
class TakenArg:
    name: str
    value: str
    where: Lines
    description: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A secret or an agent, by its id."""

    name: str
    where: Lines
    required: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    name: str
    description: str
    args: tuple[TakenArg, ...] = ()
    secrets: tuple[Taken, ...] = ()
    ssh: tuple[Taken, ...] = ()

    def text(self) -> str:
        """Tables, each with an empty line behind it."""
        head = [["TARGET:", self.name or "default"]]
        if self.description:
            head.append(["DESCRIPTION:", self.description])
        args = [["BUILD ARG", "VALUE", "DESCRIPTION"]]
        args += [[each.name, each.value, each.description] for each in self.args]
        tables = [table(head, 1), table(args, 3)] if self.args else [table(head, 1)]
        for title, taken in (("SECRET", self.secrets), ("SSH", self.ssh)):
            rows = [[each.name, "true" if each.required else ""] for each in taken]
            tables += [table([[title, "REQUIRED"], *rows], 3)] if rows else []
        return "\n".join(tables)

    def document(self) -> dict[str, Json]:
        args = [
            _full(name=a.name, description=a.description, value=a.value) | _location(a.where)
            for a in self.args
        ]
        found: dict[str, Json] = _full(name=self.name, description=self.description)
        found |= {"args": args} if args else {}
        for key, taken in (("secrets", self.secrets), ("ssh", self.ssh)):
            if taken:
                found[key] = [
                    _full(name=each.name, required=each.required) | _location(each.where)
                    for each in taken
                ]
        return found


def targets(text: str | bytes, *, file: str = "Dockerfile") -> tuple[Target, ...]:
    """Every stage, in the file's order. Raises :class:`UsageError`."""
    stages = parse(text, file).stages
    return tuple(
        Target(
            name=origin.stage,
            index=stage.index,
            base=origin.base,
            where=origin.where,
            platform=origin.platform,
            description=origin.description,
            default=stage is stages[-1],
        )
        for stage in stages
        for origin in (stage.origin,)
    )


def targets_text(found: Iterable[Target]) -> str:
    rows = [["TARGET", "DESCRIPTION"]]
    for each in found:
        name = each.name or ("" if each.default else str(each.index))
        rows.append([f"{name} (default)".lstrip() if each.default else name, each.description])
    return table(rows, 1)


def targets_document(found: Iterable[Target]) -> dict[str, Json]:
    return {
        "targets": [
            _full(
                name=each.name,
                default=each.default,
                description=each.description,
                base=each.base,
                platform=each.platform,
            )
            | _location(each.where)
            for each in found
        ]
    }


def outline(
    text: str | bytes, options: Options | None = None, *, file: str = "Dockerfile"
) -> Outline:
    """What ``options.target`` takes, with the values that it gets from ``options.args``. Raises :class:`UsageError`."""
    stages = Stages.of(parse(text, file), options or Options())
    target = stages.target()
    for node in stages.nodes:
        stages.fire(node, {} if node.base else {node.stage.index: ()})
    needed = stages.needed(target)
    before = {pair.name: (pair, arg.where) for arg in stages.file.args for pair in arg.pairs}
    scopes: dict[int, _Scope] = {}
    children = Counter(node.base.stage.index for node in needed if node.base)
    for node in needed:
        base = scopes.get(node.base.stage.index) if node.base else None
        variables = base.variables if base else {}
        if node.base and children[node.base.stage.index] > 1:
            stages.budget.spend(len(variables))
            variables = dict(variables)
        scope = _Scope(stages, before, variables)
        scope.read(node)
        scopes[node.stage.index] = scope
    args: dict[str, TakenArg] = {}
    secrets: dict[str, Taken] = {}
    ssh: dict[str, Taken] = {}
    for node in reversed(needed):  # the target's own come first
        scope = scopes[node.stage.index]
        for name, arg in scope.args.items():
            args.setdefault(name, arg)
        for name, taken in scope.secrets.items():
            secrets.setdefault(name, taken)
        for name, taken in scope.ssh.items():
            ssh.setdefault(name, taken)
    origin = target.stage.origin
    return Outline(
        origin.stage,
        origin.description,
        tuple(sorted(args.values(), key=lambda arg: arg.where)),
        tuple(sorted(secrets.values(), key=lambda taken: taken.where)),
        tuple(sorted(ssh.values(), key=lambda taken: taken.where)),
    )


@dataclass(slots=True)
class _Scope:
    """What one stage takes: what its FROM mentions, what it declares, what its mounts name."""

    stages: Stages
    before: Mapping[str, tuple[ArgPair, Lines]]
    """The ARGs from before the first FROM."""
    variables: dict[str, str]
    args: dict[str, TakenArg] = field(default_factory=dict)
    secrets: dict[str, Taken] = field(default_factory=dict)
    ssh: dict[str, Taken] = field(default_factory=dict)

    def read(self, node: StageNode) -> None:
        stages = self.stages
        escape = stages.file.escape
        for word in (node.stage.origin.base, node.stage.origin.platform):
            for name in expansion(word, stages.arguments, escape).used:
                self._use(name)
        for each in node.instructions:
            with blaming(stages.file, each.where):
                match each:
                    case Arg(pairs=pairs):
                        for pair in pairs:
                            self._declare(pair, each.where)
                    case Env(pairs=named):
                        values = [(self._word(p.name), self._word(p.value or "")) for p in named]
                        self.variables.update(values)
                    case Run():
                        self._mounts(each)
                    case _:
                        pass

    def _word(self, word: str) -> str:
        made = expand(word, self.variables, self.stages.file.escape)
        self.stages.budget.spend(len(made))
        return made

    def _use(self, name: str) -> None:
        """An ARG from before the first FROM, with those that its default mentions."""
        todo = [name]
        while todo:
            name = todo.pop()
            if name in self.args or name not in self.before:
                continue
            pair, where = self.before[name]
            value = self.stages.arguments.get(name, "")
            self.args[name] = TakenArg(name, value, where, pair.description)
            if name not in self.stages.options.args and pair.default is not None:
                mentioned = expansion(pair.default, self.stages.arguments, self.stages.file.escape)
                todo += mentioned.used

    def _declare(self, pair: ArgPair, where: Lines) -> None:
        given = self.stages.options.args.get(pair.name)
        if given is None and pair.default is not None:
            given = self._word(pair.default)
        elif given is None and pair.name in self.stages.arguments:
            self.variables[pair.name] = self.stages.arguments[pair.name]
            self._use(pair.name)
            return
        if given is not None:
            self.variables[pair.name] = given
        self.args[pair.name] = TakenArg(pair.name, given or "", where, pair.description)

    def _mounts(self, run: Run) -> None:
        for flag in run.mounts:
            spec = read_mount(flag, self._word)
            if spec.type == "secret":
                name = _secret(spec)
                self.secrets.setdefault(name, Taken(name, run.where, spec.required))
            elif spec.type == "ssh":
                name = spec.id or "default"
                self.ssh.setdefault(name, Taken(name, run.where, spec.required))


def _secret(spec: MountSpec) -> str:
    return spec.id or spec.source or basename(spec.target)


def table(rows: Sequence[Sequence[str]], gap: int) -> str:
    """Columns as wide as their widest cell and ``gap``; every line ends."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    lines = (
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _full(**values: str | bool) -> dict[str, Json]:
    """Without what is empty, as Go's ``omitempty``."""
    return {key: value for key, value in values.items() if value}


def _location(where: Lines) -> dict[str, Json]:
    return {"location": location_document(where)}


def location_document(where: Lines) -> dict[str, Json]:
    return {"ranges": [{"start": {"line": where.first}, "end": {"line": where.last}}]}
