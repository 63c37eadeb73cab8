"""A checked model becomes a build graph: references turn into stacks, inherited settings into every step's own.

Flattening: a base contributes itself, a run step its own stack and then itself, any other step itself, an image its
stack; what is met twice counts once, at its first place. The config of a stack is that of its first entry. Pure: what
is known of bases and pins comes in as values.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from buildgraph.errors import BuildgraphError, ErrorGroup, Location, UsageError
from buildgraph.graph.complete import completed_image, completed_step
from buildgraph.graph.configure import configure
from buildgraph.graph.families import common_tags, families, own_tags
from buildgraph.graph.graph import BaseFacts, BuildGraph, Family, ImageTarget, Skipped
from buildgraph.graph.lowerdocker import (
    docker_config,
    docker_copy,
    docker_names,
    remote_steps,
    user_names,
)
from buildgraph.graph.lowerrun import DEFAULT_PATH, RunLowering, environment
from buildgraph.graph.step import (
    BaseStep,
    ContextFiles,
    CopyPart,
    CopyStep,
    Files,
    PackagesStep,
    RunStep,
    Stack,
    StackFiles,
    Step,
    StepId,
    WorkdirStep,
    WriteStep,
)
from buildgraph.names import Platform, unlabelled
from buildgraph.oci.config import Config
from buildgraph.oci.manifest import BASE_DIGEST, BASE_NAME
from buildgraph.spec import model as m
from buildgraph.spec.cycles import walk
from buildgraph.spec.linking import same_tag
from buildgraph.spec.stacks import needs
from buildgraph.spec.values import has_names
from buildgraph.values import dataclass, replace


def lower(
    model: m.Model,
    bases: Mapping[str, BaseFacts],
    pins: Mapping[str, tuple[str, ...]],
    platform: Platform,
) -> BuildGraph:
    """Raises :class:`ErrorGroup` with every mistake that only the configs of bases can show, or what opening one of
    them raised."""
    lowering = _Lowering(model, bases, pins, platform)
    for name in model.bases:
        lowering.attempt(m.Ref("base", name))
    unopened = [*lowering.errors]
    tables: dict[str, m.Step | m.Image] = {**model.steps, **model.images}
    late = any(image.late for image in model.images.values())
    needed = {name: [ref.name for ref, _ in needs(table)] for name, table in tables.items()}
    for name in walk(needed).order:  # inputs first, so that a long chain is no deep recursion
        lowering.attempt(m.Ref("image" if name in model.images else "step", name))
    if late and not lowering.errors:
        lowering.errors += [error for _, error in same_tag(lowering.image_tables)]
    if lowering.errors:
        told = {(str(e.where), e.code, e.message): e for e in reversed(lowering.errors)}
        distinct = [*told.values()][::-1]  # of several platforms the first
        raise distinct[0] if distinct == unopened[:1] else ErrorGroup(distinct)
    return lowering.graph()


def config_of(
    model: m.Model, bases: Mapping[str, BaseFacts], platform: Platform, ref: m.Ref
) -> Config:
    """The config of what ``ref`` names, whose bases must be known; nothing else of the model is looked at."""
    return _Lowering(model, bases, {}, platform).step(ref).config


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
        self.step_tables = dict(model.steps)
        self.image_tables = dict(model.images)
        """Complete once they are lowered."""
        self.bases = bases
        self.pins = pins
        self.platform = platform
        self.empty = Config.empty(platform)
        self.done: dict[m.Ref, _Lowered] = {}
        self.steps: dict[StepId, Step] = {}
        self.images: dict[str, ImageTarget] = {}
        self.errors: list[BuildgraphError] = []
        self.failed: dict[m.Ref, BuildgraphError] = {}
        """Told once, not once more by each that stands on them."""

    def graph(self) -> BuildGraph:
        common = common_tags(self.model.variants, self.image_tables)
        found = families(self.model.variants, self.steps, common)
        skipped = self._skipped(found)

        def here(targets: tuple[m.Ref, ...]) -> tuple[str, ...]:
            return tuple(str(ref) for ref in targets if str(ref) not in skipped)

        return BuildGraph(
            steps=self.steps,
            images={name: own_tags(image, common) for name, image in self.images.items()},
            groups={g.name: here(g.targets) for g in self.model.groups.values()},
            default=here(self.model.workspace.default),
            descriptions=self._descriptions(),
            families=found,
            off=self.model.off,
            skipped=skipped,
            bases=frozenset(self.model.bases),
        )

    def _skipped(self, families: Mapping[str, Family]) -> dict[str, Skipped]:
        """By target; what takes part on one of several platforms does."""
        named = {f"step:{unlabelled(name)}": step for name, step in self.model.steps.items()}
        return {
            target: Skipped(
                type(step.kind).__name__.lower(),
                step.platforms,
                step.fields.get("platforms", step.where),
            )
            for target, step in named.items()
            if step.platforms and StepId(target) not in self.steps and target not in families
        }

    def _descriptions(self) -> dict[str, str]:
        out = {f"step:{s.name}": s.description or s.title for s in self.step_tables.values()}
        out |= {f"image:{i.name}": i.description for i in self.image_tables.values()}
        out |= {f"group:{g.name}": g.description for g in self.model.groups.values()}
        for ref, variants in self.model.variants.items():
            out[str(ref)] = out.get(str(variants[0][1]), "")
        return {target: text for target, text in out.items() if text}

    def attempt(self, ref: m.Ref) -> None:
        try:
            self.step(ref)
        except BuildgraphError as error:
            self.failed[ref] = error
            self.errors += error.errors if isinstance(error, ErrorGroup) else [error]

    def step(self, ref: m.Ref) -> _Lowered:
        if ref in self.failed:
            raise self.failed[ref].with_traceback(None)
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
        step = self.step_tables[ref.name]
        if step.platforms and (step.platform or self.platform) not in step.platforms:
            return _Lowered((), self.empty)
        if step.late:
            env = environment(self._stack(step.on, step.where)[1])
            step = self.step_tables[ref.name] = completed_step(step, env)
        step_id = StepId(str(ref))
        match step.kind:
            case m.Run():
                stack, config = self._stack(step.on, step.where)
                made: Step = RunLowering(self, step, step.kind, config).run(step_id, stack)
                lowered = _Lowered((*stack, step_id), config)
            case m.Copy():
                made = self._copy(step_id, step, step.kind)
                lowered = _Lowered((step_id,), self.empty)
            case m.Write():
                made = WriteStep(step_id, step.kind.items, step.where)
                lowered = _Lowered((step_id,), self.empty)
            case m.Packages():
                made = self._packages(step_id, step, step.kind)
                empty = Config.empty(step.platform or self.platform)
                config = replace(empty, env=(("PATH", DEFAULT_PATH),))
                lowered = _Lowered((step_id,), config)
            case m.DockerCopy():
                names = self._names(step, docker_names(step.kind.owner))
                self.steps |= {remote.id: remote for remote in remote_steps(step, step.kind)}
                made = docker_copy(step_id, step, step.kind, names, self.stack_of)
                lowered = _Lowered((step_id,), self.empty)
            case m.Workdir():
                names = self._names(step, user_names(step.kind.user))
                made = WorkdirStep(step_id, step.kind.path, step.kind.user, names, step.where)
                lowered = _Lowered((step_id,), self.empty)
        self.steps[step_id] = made
        return lowered

    def _image(self, ref: m.Ref) -> _Lowered:
        image = self.image_tables[ref.name]
        stack, inherited = self._stack(image.on, image.where)
        if image.late:
            image = self.image_tables[ref.name] = completed_image(image, inherited.environment)
        config = configure(inherited, image.config, image.fields)
        if image.docker is not None:
            config = docker_config(image.docker)
        elif image.platform is not None:
            _check_platform(image, image.platform, config.platform)
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
            annotations={**self._origin(stack), **image.annotations},
            checks=tuple(c for c in checks if c in self.steps),
            squash=image.squash,
            compression=image.compression,
            level=image.level,
            merge_strict=image.merge_strict,
            where=image.where,
            description=image.description,
            epoch=_epoch(image, self.model.workspace),
            history=image.docker.history if image.docker else None,
        )
        return lowered

    def _origin(self, stack: Stack) -> dict[str, str]:
        """What is said of the base of an image, if a registry has it."""
        kind, _, name = stack[0].partition(":") if stack else ("", "", "")
        facts = self.bases[name] if kind == "base" else None
        if facts is None or not facts.name:
            return {}
        return {BASE_NAME: facts.name, BASE_DIGEST: facts.manifest}

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

    def _names(self, step: m.Step, needed: bool) -> Stack:  # noqa: FBT001
        """The stack in which names of users are looked up, where that is ``needed``."""
        return self._stack(step.on, step.where)[0] if needed else ()

    def stack_of(self, ref: m.Ref) -> Stack:
        return self.step(ref).stack

    def files(self, source: m.Selection, *, follow: bool = False) -> Files:
        if source.ref is None:
            return ContextFiles(source.path, source.include, source.exclude, follow, source.context)
        stack = self.step(source.ref).stack
        name = str(source.ref)
        return StackFiles(stack, source.path, source.include, source.exclude, name, follow)

    # -- kinds of steps

    def _copy(self, step_id: StepId, step: m.Step, copy: m.Copy) -> CopyStep:
        parts = tuple(
            CopyPart(
                self.files(item.source, follow=item.follow),
                item.to,
                item.owner,
                item.mode,
                item.where,
            )
            for item in copy.items
        )
        named = any(part.owner and has_names(part.owner) for part in parts)
        names = self._names(step, named)
        keep = None if step.normalize.mode is None else step.normalize.mode == "keep"
        keep_time = step.normalize.time == "keep"
        return CopyStep(step_id, parts, names, keep, keep_time, step.where)

    def _packages(self, step_id: StepId, step: m.Step, kind: m.Packages) -> PackagesStep:
        return PackagesStep(
            step_id,
            tuple(sorted(set(kind.packages))),
            kind.suite,
            str(step.platform or self.platform),
            self.pins.get(step.name, ()),
            kind.mirror,
            kind.keyring,
            step.where,
            step.normalize.time == "keep",
            step.normalize.mode == "git",
        )


def _epoch(image: m.Image, workspace: m.Workspace) -> int | None:
    own = image.docker.epoch if image.docker else None
    return workspace.epoch if own is None else own


def _check_platform(image: m.Image, wanted: Platform, found: Platform) -> None:
    """An index must not say of an image what its config denies."""
    if (wanted.os, wanted.arch) != (found.os, found.arch):
        raise UsageError(
            "image-platform",
            f"the image {unlabelled(image.name)} is to be for {wanted}, but stands on what is for {found}",
            hint="take `platform` away from its base, and copy from what runs on this machine",
            where=image.where,
        )


def _bare(step: StepId) -> str:
    return step.partition(":")[2]
