"""A checked model becomes a build graph: references turn into stacks, inherited settings into every step's own.

Flattening: a base contributes itself, a run step its own stack and then itself, any other step itself, an image its
stack; what is met twice counts once, at its first place. The config of a stack is that of its first entry. Pure: what
is known of bases and pins comes in as values.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from buildgraph.errors import BuildgraphError, ErrorGroup, Location, UsageError
from buildgraph.graph.configure import configure
from buildgraph.graph.graph import BaseFacts, BuildGraph, ImageTarget
from buildgraph.graph.step import (
    BaseStep,
    BindFiles,
    CacheDir,
    ContextFiles,
    CopyPart,
    CopyStep,
    Files,
    PackagesStep,
    RunStep,
    SecretFile,
    Stack,
    StackFiles,
    Step,
    StepId,
    StepMount,
    TmpfsDir,
    WriteStep,
)
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.spec.cycles import walk
from buildgraph.spec.stacks import needs
from buildgraph.values import dataclass, replace

FIXED_TIME = 315532800
"""1980-01-01T00:00:00Z: the time of every file in every layer, and SOURCE_DATE_EPOCH of every run step."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-euc")
SCRIPT_DIRECTORY = "/run/buildgraph"


def lower(
    model: m.Model,
    bases: Mapping[str, BaseFacts],
    pins: Mapping[str, tuple[str, ...]],
    platform: Platform,
) -> BuildGraph:
    """Raises :class:`ErrorGroup` with every mistake that only the configs of bases can show."""
    lowering = _Lowering(model, bases, pins, platform)
    for name in model.bases:
        lowering.step(m.Ref("base", name))
    tables: dict[str, m.Step | m.Image] = {**model.steps, **model.images}
    needed = {name: [ref.name for ref, _ in needs(table)] for name, table in tables.items()}
    for name in walk(needed).order:  # inputs first, so that a long chain is no deep recursion
        lowering.attempt(m.Ref("image" if name in model.images else "step", name))
    if lowering.errors:
        raise ErrorGroup(dict.fromkeys(lowering.errors))
    return lowering.graph()


@dataclass(frozen=True, slots=True)
class _Lowered:
    """What a reference stands for: its contribution to a stack, and the config that it hands on."""

    stack: Stack
    config: Config


class _Lowering:
    def __init__(
        self,
        model: m.Model,
        bases: Mapping[str, BaseFacts],
        pins: Mapping[str, tuple[str, ...]],
        platform: Platform,
    ) -> None:
        self.model = model
        self.bases = bases
        self.pins = pins
        self.platform = platform
        self.empty = Config.empty(platform)
        self.done: dict[m.Ref, _Lowered] = {}
        self.steps: dict[StepId, Step] = {}
        self.images: dict[str, ImageTarget] = {}
        self.errors: list[BuildgraphError] = []

    def graph(self) -> BuildGraph:
        return BuildGraph(
            steps=self.steps,
            images=self.images,
            groups={g.name: tuple(map(str, g.targets)) for g in self.model.groups.values()},
            default=tuple(map(str, self.model.workspace.default)),
            descriptions=self._descriptions(),
        )

    def _descriptions(self) -> dict[str, str]:
        out = {f"step:{s.name}": s.description for s in self.model.steps.values()}
        out |= {f"image:{i.name}": i.description for i in self.model.images.values()}
        out |= {f"group:{g.name}": g.description for g in self.model.groups.values()}
        return {target: text for target, text in out.items() if text}

    def attempt(self, ref: m.Ref) -> None:
        try:
            self.step(ref)
        except BuildgraphError as error:
            self.errors.append(error)

    def step(self, ref: m.Ref) -> _Lowered:
        if ref not in self.done:
            match ref.kind:
                case "base":
                    self.done[ref] = self._base(ref)
                case "image":
                    self.done[ref] = self._image(ref)
                case _:
                    self.done[ref] = self._step(ref)
        return self.done[ref]

    # -- what each kind of table becomes

    def _base(self, ref: m.Ref) -> _Lowered:
        facts = self.bases[ref.name]
        step_id = StepId(str(ref))
        base = self.model.bases[ref.name]
        self.steps[step_id] = BaseStep(step_id, base, facts.layers, facts.config)
        return _Lowered((step_id,), facts.config)

    def _step(self, ref: m.Ref) -> _Lowered:
        step = self.model.steps[ref.name]
        if step.platforms and self.platform not in step.platforms:
            return _Lowered((), self.empty)
        step_id = StepId(str(ref))
        match step.kind:
            case m.Run():
                stack, config = self._stack(step.on, step.where)
                made: Step = self._run(step_id, step, step.kind, stack, config)
                lowered = _Lowered((*stack, step_id), config)
            case m.Copy():
                made = self._copy(step_id, step, step.kind)
                lowered = _Lowered((step_id,), self.empty)
            case m.Write():
                made = WriteStep(step_id, step.kind.items, step.where)
                lowered = _Lowered((step_id,), self.empty)
            case m.Packages():
                made = self._packages(step_id, step, step.kind)
                config = replace(self.empty, env=(("PATH", DEFAULT_PATH),))
                lowered = _Lowered((step_id,), config)
            case m.DockerCopy() | m.Workdir():
                raise UsageError(
                    "unsupported", "Dockerfiles are not supported yet", where=step.where
                )
        self.steps[step_id] = made
        return lowered

    def _image(self, ref: m.Ref) -> _Lowered:
        image = self.model.images[ref.name]
        stack, inherited = self._stack(image.on, image.where)
        config = configure(inherited, image.config, image.fields)
        self.done[ref] = lowered = _Lowered(stack, config)
        # a check may stand on this very image, so its checks come after the image is known
        checks: dict[StepId, None] = {}
        for check in image.checks:
            self.step(check)
            checks[StepId(str(check))] = None
        self.images[image.name] = ImageTarget(
            name=image.name,
            stack=stack,
            config=config,
            tags=image.tags,
            annotations=image.annotations,
            checks=tuple(c for c in checks if c in self.steps),
            squash=image.squash,
            compression=image.compression,
            level=image.level,
            merge_strict=image.merge_strict,
            where=image.where,
            description=image.description,
            epoch=self.model.workspace.epoch,
        )
        return lowered

    # -- stacks

    def _stack(self, on: Iterable[m.Ref], where: Location) -> tuple[Stack, Config]:
        entries = [self.step(ref) for ref in on]
        found: dict[StepId, None] = {}
        for entry in entries:
            found.update(dict.fromkeys(entry.stack))
        stack = tuple(found)
        self._check_order(stack, where)
        return stack, entries[0].config if entries else self.empty

    def _check_order(self, stack: Stack, where: Location) -> None:
        """No two layers may stand the other way round than under a run step that saw them (``stack-order``)."""
        place = {step: index for index, step in enumerate(stack)}
        for step_id in stack:
            step = self.steps[step_id]
            if not isinstance(step, RunStep):
                continue
            seen = [s for s in step.stack if s in place]
            for lower_one, upper_one in pairwise(seen):
                if place[lower_one] > place[upper_one]:
                    raise UsageError(
                        "stack-order",
                        f"{_bare(upper_one)} would lie below {_bare(lower_one)} here, but {_bare(step_id)} was run "
                        f"with {_bare(upper_one)} above {_bare(lower_one)}",
                        hint=f'write "{_bare(lower_one)}" before "{_bare(upper_one)}" in `on`',
                        where=where,
                    )

    def _files(self, source: m.Selection, *, follow: bool = False) -> Files:
        if source.ref is None:
            return ContextFiles(source.path, source.include, source.exclude, follow)
        stack = self.step(source.ref).stack
        return StackFiles(stack, source.path, source.include, source.exclude, str(source.ref))

    # -- kinds of steps

    def _copy(self, step_id: StepId, step: m.Step, copy: m.Copy) -> CopyStep:
        parts = tuple(
            CopyPart(
                self._files(item.source, follow=item.follow),
                item.to,
                item.owner,
                item.mode,
                item.where,
            )
            for item in copy.items
        )
        names = self._stack(step.on, step.where)[0] if step.on else ()
        keep = None if step.normalize.mode is None else step.normalize.mode == "keep"
        keep_time = step.normalize.time == "keep"
        return CopyStep(step_id, parts, names, keep, keep_time, step.where)

    def _packages(self, step_id: StepId, step: m.Step, kind: m.Packages) -> PackagesStep:
        return PackagesStep(
            step_id,
            tuple(sorted(set(kind.packages))),
            kind.suite,
            str(self.platform),
            self.pins.get(step.name, ()),
            kind.mirror,
            kind.keyring,
            step.where,
        )

    def _run(
        self, step_id: StepId, step: m.Step, run: m.Run, stack: Stack, config: Config
    ) -> RunStep:
        fill = _Filler(config, step)
        env = {"PATH": DEFAULT_PATH, **dict(config.env)}
        env |= {name: fill(text, f"env.{name}") for name, text in run.env.items()}
        env.setdefault("SOURCE_DATE_EPOCH", str(FIXED_TIME))
        env.setdefault("PYTHONDONTWRITEBYTECODE", "1")
        mounts = [self._mount(mount, fill) for mount in run.mounts]
        shell = run.shell or config.shell or DEFAULT_SHELL
        match run.command:
            case m.Text():
                argv: tuple[str, ...] = (*shell, fill(run.command, "run"))
            case m.Script():
                target = f"{SCRIPT_DIRECTORY}/{run.command.file.rpartition('/')[2]}"
                mounts.append(BindFiles(ContextFiles(run.command.file), target, executable=True))
                argv = (target, *(fill(arg, "run") for arg in run.command.args))
            case _:
                argv = tuple(fill(part, "run") for part in run.command)
        tools: dict[StepId, None] = {}
        for ref in run.tools:
            tools.update(dict.fromkeys(self.step(ref).stack))
        workdir = fill(run.workdir, "workdir") if run.workdir else ""
        return RunStep(
            id=step_id,
            stack=stack,
            tools=tuple(tools),
            argv=argv,
            env=tuple(sorted(env.items())),
            user=fill(run.user, "user") if run.user else config.user,
            workdir=workdir or config.workdir or "/",
            network=run.network,
            mounts=tuple(mounts),
            outputs=run.outputs,
            discard=run.discard,
            hosts=tuple(sorted(run.hosts.items())),
            platform=str(self.platform),
            keep_time=step.normalize.time == "keep",
            where=step.fields.get("run", step.where),
            merge_strict=step.merge_strict,
            timeout=run.timeout,
            retry=run.retry,
            reuse=run.reuse,
            cpus=run.cpus,
            memory=run.memory,
            pool=run.pool,
        )

    def _mount(self, mount: m.Mount, fill: "_Filler") -> StepMount:
        match mount:
            case m.BindMount():
                files = self._files(mount.source)
                return BindFiles(files, fill(mount.target, "mounts"), mount.write)
            case m.CacheMount():
                target = fill(mount.target, "mounts")
                return CacheDir(mount.id, target, mount.sharing, mount.owner, mount.mode)
            case m.TmpfsMount():
                return TmpfsDir(fill(mount.target, "mounts"), mount.size, mount.owner, mount.mode)
            case m.SecretMount():
                target = fill(mount.target, "mounts") if mount.target else ""
                return SecretFile(
                    mount.id, target, mount.env, mount.required, mount.owner, mount.mode
                )


@dataclass(frozen=True, slots=True)
class _Filler:
    """Fills ``${env.NAME}`` from the config that a step stands on; an unknown name is an error at its line."""

    config: Config
    step: m.Step

    def __call__(self, text: m.Text, key: str) -> str:
        env = {"PATH": DEFAULT_PATH, **dict(self.config.env)}
        try:
            return text.fill(env)
        except KeyError as error:
            name = str(error.args[0])
            known = ", ".join(sorted(env)) or "nothing"
            raise UsageError(
                "unknown-env",
                f"${{env.{name}}}: the config that {self.step.name} stands on has no variable {name}",
                hint=f"it has {known}",
                where=self.step.fields.get(key.partition(".")[0], self.step.where),
            ) from error


def _bare(step: StepId) -> str:
    return step.partition(":")[2]
