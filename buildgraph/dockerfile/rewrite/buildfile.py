"""A Dockerfile as a Buildfile whose images have the same layers' trees. Pure.

A stage's instructions become steps that are named by what they do; the environment that all commands of a stage have is
kept by an image without layers, on which they stand. Commands run as docker runs them: ``[workspace.defaults.step]``
says how. What a Buildfile cannot say is an error at its line, or a comment where it hardly matters.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from posixpath import basename

from buildgraph.dockerfile.convert import Converted, Known
from buildgraph.dockerfile.parse import parse
from buildgraph.dockerfile.rewrite import commands, copies
from buildgraph.dockerfile.rewrite import folders as stacks
from buildgraph.dockerfile.rewrite.copies import Body
from buildgraph.dockerfile.rewrite.image import carried, config_keys
from buildgraph.dockerfile.rewrite.names import Names, purpose, slug
from buildgraph.dockerfile.rewrite.place import Around, Context, Problems
from buildgraph.dockerfile.rewrite.toml import Table, Value, document
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field, replace

_UNNAMED = re.compile(r"stage-[0-9]+")
_NO_CONFIG = Config("", "")


@dataclass(frozen=True, slots=True)
class Place:
    """``name`` is the workspace's and the image's; ``file`` what the Dockerfile is called.

    ``contexts`` are asked by the names that the conversion gave them; ``folder`` is the Buildfile's, absolute, and
    ``written`` its name there. ``network`` is what a RUN has that says nothing.
    """

    name: str
    file: str
    folder: str
    contexts: Mapping[str, Context]
    prefix: str = ""
    written: str = "Buildfile.toml"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    network: str = "private"
    platform: Platform = Platform("linux", "amd64")
    listed: Mapping[m.Ref, stacks.Listed] = field(default_factory=dict)
    """What bases have, as far as it is known."""


def buildfile(
    text: str | bytes, found: Converted, configs: Mapping[m.Ref, Known], place: Place
) -> str:
    """``configs`` are those that the conversion was given. Raises UsageError or ErrorGroup ``cannot-convert``."""
    writer = _Writer(text, found, configs, place)
    tables = [*writer.head(), *writer.body()]
    writer.problems.check()
    return document(tables)


class _Writer:
    def __init__(
        self, text: str | bytes, found: Converted, configs: Mapping[m.Ref, Known], place: Place
    ) -> None:
        self._found = found
        self._place = place
        self._names = Names()
        self._named: dict[m.Ref, str] = {}
        self.problems = Problems()
        self._around = Around(place.contexts, self._named, self.problems, self._names.take)
        self._folders = stacks.Known(found, place.listed)
        self._configs: dict[m.Ref, Config] = {r: carried(k.config) for r, k in configs.items()}
        """What each reference passes on to what stands on it, in the Buildfile."""
        self._comments = _comments_of(text, place.file)
        self._instead: dict[tuple[str, m.Ref], m.Ref] = {}
        """Images that carry an environment, by stage and what they stand on."""
        self._defaults: dict[str, Value] = {
            "shell": ["/bin/sh", "-c"],
            "network": place.network,
            "discard": [],
            "env": {commands.COMPILED: ""},
        }
        self._name_all()

    def _name_all(self) -> None:
        target = self._names.take(self._place.target or self._place.name)
        self._target = target
        for name in self._found.images:
            self._named[m.Ref("image", name)] = self._names.take(self._bare(name))
        for name, base in self._found.bases.items():
            wanted = basename(base.path or base.reference or base.kind)
            stem = slug(wanted.partition("@")[0].partition(":")[0]) or "base"
            whole = slug(wanted.partition("@")[0])
            self._named[m.Ref("base", name)] = self._names.take(
                whole if stem in self._names else stem
            )
        for name, step in self._found.steps.items():
            self._named[m.Ref("step", name)] = self._names.take(
                self._stage(name), purpose(step.kind)
            )

    def _bare(self, name: str) -> str:
        return name.removeprefix(self._place.prefix)

    def _stage(self, name: str) -> str:
        """The stage of a step; empty for that of the image, if it has no name of its own."""
        stage, last = _stage(self._bare(name)), self._found.on[-1]
        own = last.kind == "step" and _stage(self._bare(last.name)) == stage
        return "" if own and _UNNAMED.fullmatch(stage) else stage

    def _stage_of(self, stack: tuple[m.Ref, ...]) -> str:
        """The one that a stack was made in, as far as that matters: where it has steps."""
        return self._stage(stack[-1].name) if stack[-1].kind == "step" else ""

    # -- the head

    def head(self) -> Iterator[Table]:
        place = self._place
        told = [
            f"Converted from {place.file}" + (f", stage {place.target}." if place.target else ".")
        ]
        if place.args:
            given = ", ".join(f"{name}={value}" for name, value in place.args.items())
            told.append(f"Values of build arguments are those of the conversion: {given}".rstrip())
        told.append(
            "Files of the context have git's modes here, 0644 or 0755, where a copy gives no other."
        )
        yield Table((), {"buildfile": 1}, told)
        workspace: dict[str, Value] = {"name": place.name, "default": [self._target]}
        if self._found.epoch is not None:
            workspace["epoch"] = self._found.epoch
        workspace["ignore"] = [*self._ignore()]
        yield Table(("workspace",), workspace)
        if any(isinstance(step.kind, m.Run) for step in self._found.steps.values()):
            yield Table(
                ("workspace", "defaults", "step"),
                self._defaults,
                ["Commands run as docker runs them; without this, as buildgraph does."],
            )
        for secret in commands.secrets(self._found.steps):
            variable = slug(secret).upper().replace("-", "_")
            yield Table(("secret", secret), {"env": variable}, ["or a file; --secret wins"])

    def _ignore(self) -> list[str]:
        """Ignore files without ``!``; the others narrow each copy."""
        found = [self._place.written]
        for context in self._place.contexts.values():
            if context.path is not None and not context.takes_back:
                found += [context.at(rule.glob) for rule in context.rules]
        return list(dict.fromkeys(found))

    # -- bases, steps, images

    def body(self) -> Iterator[Table]:
        for name, base in self._found.bases.items():
            yield self._base(name, base)
        images = {self._stage(f"{name}/"): image for name, image in self._found.images.items()}
        several = len({self._stage(name) for name in self._found.steps}) > 1
        for stage, steps in groupby(self._found.steps.items(), lambda item: self._stage(item[0])):
            tables = [
                table
                for name, step in steps
                for table in (*self._environment(step), *self._step(name, step))
            ]
            if tables and several:
                tables[0].heading = f"stage {stage}" if stage else f"the image {self._target}"
            yield from tables
            if stage in images:
                yield self._stage_image(images[stage])
        yield self._image()

    def _base(self, name: str, base: m.Base) -> Table:
        ref = m.Ref("base", name)
        values: dict[str, Value] = {}
        match base.kind:
            case "scratch":
                values["scratch"] = True
                self._configs[ref] = _NO_CONFIG
            case "image":
                values["image"] = base.reference
            case _:
                path = base.path.removeprefix(self._place.folder.rstrip("/") + "/")
                values[base.kind] = f"{path}:{base.reference}" if base.reference else path
        if base.platform is not None and base.platform != self._place.platform:
            values["platform"] = str(base.platform)
        return Table(("base", self._named[ref]), values)

    def _step(self, name: str, step: m.Step) -> list[Table]:
        ref = m.Ref("step", name)
        step = replace(step, on=self._stack(step.on, self._stage(name)))
        match step.kind:
            case m.Run():
                config = self._configs[step.on[0]]
                self._configs[ref] = config
                made = [commands.body(step, step.kind, config, self._around, self._defaults)]
            case m.Workdir():
                made = [self._workdir(step, step.kind)]
            case m.DockerCopy():
                under = self._folders.under(ref)
                made = copies.bodies(step, step.kind, self._around, self._folders, under)
                folders = [folder for body in made for folder in body.folders]
                owned = any(body.owned for body in made)
                self._folders.made(ref, folders if made else None, owned=owned)
            case _:
                raise AssertionError(step.kind)
        tables: list[Table] = []
        told = list(self._comments.get(step.where.line, ()))
        names = [self._named[ref] if b.main else self._names.take(b.name) for b in made]
        if len(made) != 1:
            self._around.several[ref] = names
        for again, body in zip(names, made, strict=True):
            tables += [
                *body.tables,
                Table(("step", again), body.values, told + self._line(step, body)),
            ]
            told = []
        return tables

    def _line(self, step: m.Step, body: Body) -> list[str]:
        return [f"{self._place.file}:{step.where.line}: {comment}" for comment in body.comments]

    def _workdir(self, step: m.Step, workdir: m.Workdir) -> Body:
        under = self._folders.under(m.Ref("step", step.name))
        dirs = copies.workdir(workdir, under)
        if dirs is not None:
            return dirs
        user, _, group = workdir.user.partition(":")
        owner = workdir.user
        if user.isdecimal() and not group:  # a command of that user would have another group
            owner = f"{user}:{user}"
        run = m.Run(
            (m.Text(("/bin/sh",)), m.Text(("-c",)), m.Text((":",))),
            workdir=m.Text((workdir.path,)),
            user=m.Text((owner,)),
        )
        run = replace(run, network="none")
        config = self._configs[step.on[0]]
        body = commands.body(step, run, config, self._around, self._defaults)
        return replace(body, comments=["makes the working directory, as its user"])

    # -- environments

    def _stack(self, refs: tuple[m.Ref, ...], stage: str) -> tuple[m.Ref, ...]:
        return tuple(self._instead.get((stage, ref), ref) for ref in refs)

    def _environment(self, step: m.Step) -> list[Table]:
        """An image that carries what this command and those that follow have in common."""
        if not isinstance(step.kind, m.Run) or not step.on:
            return []
        stage = self._stage(step.name)
        first = self._stack(step.on, stage)[0]
        config = self._configs[first]
        shared = self._shared(step, config)
        if len(shared) < 2:
            return []
        name = self._names.take(stage, "env")
        ref = m.Ref("image", f"{name} (environment)")
        self._named[ref] = name
        table = Table(
            ("image", name),
            {
                "on": [self._named[first]],
                "env": commands.variables(shared, commands.inherited_environment(config)),
            },
            ["carries the environment of the steps that follow"],
        )
        self._configs[ref] = replace(config, env=tuple({**config.environment, **shared}.items()))
        self._instead[stage, step.on[0]] = ref
        return [table]

    def _shared(self, step: m.Step, config: Config) -> dict[str, str]:
        """Variables that the stack lacks and that every command from here on has; none for a single command."""
        inherited = commands.inherited_environment(config)
        assert isinstance(step.kind, m.Run)
        own = commands.environment(step.kind)
        shared = {name: value for name, value in own.items() if inherited.get(name) != value}
        above = {m.Ref("step", step.name)}
        runs = 1
        for name, other in self._found.steps.items():
            if other is step or not isinstance(other.kind, m.Run):
                continue
            if other.on[0] in above:
                above.add(m.Ref("step", name))
                env, runs = commands.environment(other.kind), runs + 1
                shared = {k: v for k, v in shared.items() if env.get(k) == v}
        if self._found.on[0] in above:
            env = self._found.image.config.environment
            shared = {k: v for k, v in shared.items() if env.get(k) == v}
        return shared if runs > 1 else {}

    # -- images

    def _stage_image(self, image: m.Image) -> Table:
        on: list[Value] = [*self._around.refs(self._stack(image.on, self._stage_of(image.on)))]
        told = [f"all files of {image.description}"]
        return Table(("image", self._named[m.Ref("image", image.name)]), {"on": on}, told)

    def _image(self) -> Table:
        on = self._stack(self._found.on, self._stage_of(self._found.on))
        keys, told = config_keys(self._found.image.config, self._configs[on[0]])
        values: dict[str, Value] = {"on": [*self._around.refs(on)], **keys}
        return Table(("image", self._target), values, told)


def _stage(name: str) -> str:
    return name.rpartition("/")[0]


def _comments_of(text: str | bytes, file: str) -> dict[int, tuple[str, ...]]:
    """What people wrote above instructions, by the first line of those."""
    return {
        each.where.first: each.comments
        for stage in parse(text, file).stages
        for each in stage.instructions
        if each.comments
    }
