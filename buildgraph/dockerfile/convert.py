"""What does a Dockerfile mean for one target? Its text and the configs of its bases → tables of a model. Pure.

Conversion asks for what it lacks: :func:`convert` returns :class:`Needs` as long as a stage begins with an image whose
config it was not given, and is called again with it. What the target does not need is not asked for.
"""

from collections import Counter
from collections.abc import Mapping

from buildgraph.dockerfile.fragment import Fragment
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.origins import SCRATCH, Origin, resolve
from buildgraph.dockerfile.parse import parse
from buildgraph.dockerfile.source import Lines
from buildgraph.dockerfile.stages import StageNode, Stages, blaming
from buildgraph.dockerfile.state import StageState, empty_config, of_platform, with_labels
from buildgraph.dockerfile.unused import unused_arguments
from buildgraph.dockerfile.walk import Walk, main_context, stage_name
from buildgraph.oci.config import Config, History
from buildgraph.spec import model as m
from buildgraph.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Known:
    """An image that a stage can begin with; ``history`` is what follows the history of the base that it stands on."""

    config: Config
    history: tuple[m.HistoryLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What to look up: configs of ``bases``, and of images of the workspace itself."""

    bases: Mapping[m.Ref, m.Base]
    images: tuple[m.Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Converted:
    """``on`` and ``image`` are the target's stack and config; ``contexts`` have no ignore rules yet.

    ``images`` are those of stages that others take files from.
    """

    on: tuple[m.Ref, ...]
    image: m.DockerImage
    bases: Mapping[str, m.Base]
    steps: Mapping[str, m.Step]
    images: Mapping[str, m.Image]
    contexts: Mapping[str, m.FileContext]
    epoch: int | None = None
    unused_args: tuple[str, ...] = ()


_FOLDER = Known(Config("", ""))
"""A folder of files, where an image might stand: it has no triggers."""


def convert(
    text: str | bytes,
    options: Options,
    configs: Mapping[m.Ref, Known],
    *,
    file: str = "Dockerfile",
) -> Converted | Needs:
    """Raises UsageError with the lines of the mistake."""
    conversion = _Conversion(Stages.of(parse(text, file), options), configs)
    target = conversion.stages.target()
    needed = conversion.explore(target)
    if conversion.missing:
        return Needs(
            {ref: base for ref, base in conversion.missing.items() if base is not None},
            tuple(ref for ref, base in conversion.missing.items() if base is None),
        )
    conversion.count(target, needed)
    for node in needed:
        conversion.walk(node)
    return conversion.result(target, needed)


def image_config(
    text: str | bytes,
    base: Config | None = None,
    options: Options | None = None,
    *,
    file: str = "Dockerfile",
) -> tuple[Config, tuple[History, ...]]:
    """The config and the history that building it would give, without building; the layers are left out.

    ``base`` stands for every image that a stage begins with; None is that of ``scratch``. The history is the base's
    and then one entry for each instruction. Raises UsageError.
    """
    options = options or Options()
    known = Known(base or Config.empty(options.platform))
    configs: dict[m.Ref, Known] = {}
    while True:
        match convert(text, options, configs, file=file):
            case Needs(bases, images):
                configs |= dict.fromkeys((*bases, *images), known)
            case Converted() as found:
                break
    own = tuple(
        History(
            created_by=line.created_by,
            author=line.author,
            comment=line.comment,
            empty_layer=line.step is None,
        )
        for line in found.image.history
    )
    return found.image.config, (*known.config.history, *own)


@dataclass(slots=True)
class _Conversion:
    stages: Stages
    configs: Mapping[m.Ref, Known]
    fragment: Fragment = field(default_factory=Fragment)
    missing: dict[m.Ref, m.Base | None] = field(default_factory=dict)
    states: dict[int, StageState] = field(default_factory=dict)
    """Without those that have become their only child."""
    uses: Counter[int] = field(default_factory=Counter)
    """How many look at each stage: those that begin with it or take files from it, and who asked for the target."""

    def explore(self, target: StageNode) -> list[StageNode]:
        """The stages that are needed, until neither triggers nor configs add any."""
        while True:
            needed = self.stages.needed(target)
            triggers = {n.stage.index: t for n in needed if (t := self._triggers(n)) is not None}
            for node in needed:
                self.stages.fire(node, triggers)
            after = self.stages.needed(target)
            if len(after) == len(needed):
                return needed

    def _triggers(self, node: StageNode) -> tuple[str, ...] | None:
        """Those of the image that a stage begins with; None while its config is missing."""
        if node.base is not None:
            return ()
        origin = self._origin(node)
        known = _FOLDER if origin.ref is None else self._known(origin)
        return None if known is None else known.config.onbuild

    def _known(self, origin: Origin) -> Known | None:
        assert origin.ref is not None
        if origin.base is not None and origin.base.kind == SCRATCH:
            return Known(empty_config(origin.base.platform or self.stages.options.platform))
        if origin.ref not in self.configs:
            self.missing[origin.ref] = origin.base
        return self.configs.get(origin.ref)

    def _origin(self, node: StageNode) -> Origin:
        name = node.stage.origin.stage if node.replaced is not None else node.base_name
        where = self.stages.file.location(node.where)
        with blaming(self.stages.file, node.where):
            return self._told(resolve(self.stages.options, name, node.platform, where))

    def _told(self, origin: Origin) -> Origin:
        """An image of a registry knows the stages whose names might have been meant."""
        base = origin.base
        if base is None or base.kind != "image":
            return origin
        return replace(origin, base=replace(base, stages=self.stages.names))

    # -- stages, in the file's order

    def count(self, target: StageNode, needed: list[StageNode]) -> None:
        self.uses.update(each.stage.index for node in needed for each in self.stages.needs(node))
        self.uses[target.stage.index] += 1

    def walk(self, node: StageNode) -> None:
        state = self._child(node.base) if node.base else self._beginning(node)
        self.states[node.stage.index] = state
        Walk(self.stages, node, state, self.fragment, self._find).run()

    def _child(self, base: StageNode) -> StageState:
        at = base.stage.index
        last = self.uses[at] == 1
        return (self.states.pop(at) if last else self.states[at]).child(last=last)

    def _beginning(self, node: StageNode) -> StageState:
        origin = self._origin(node)
        if origin.ref is None:
            return self._of_folder(node, self._context(origin))
        known = self._known(origin)
        assert known is not None, "explore() has asked for it"
        if origin.base is not None:
            self.fragment.add_base(origin.base)
        budget = self.stages.budget
        state = StageState.of_image(known.config, node.platform, (origin.ref,), budget)
        budget.spend(len(known.history))
        state.history = list(known.history)
        return state

    def _of_folder(self, node: StageNode, origin: Origin) -> StageState:
        """A stage that begins with the files of a named context."""
        platform, where = node.platform, self.stages.file.location(node.where)
        base = m.Base(f"{SCRATCH} {platform}", "scratch", where, platform=platform)
        ref = self.fragment.add_base(base)
        copy = m.DockerCopy((m.DockerSource("/", context=origin.folder),), "/")
        step = self.fragment.add_step(
            m.Step(
                f"{origin.folder}/files", copy, where, on=(ref,), title=f"files of {origin.folder}"
            )
        )
        config = empty_config(platform)
        return StageState.of_image(config, platform, (ref, step), self.stages.budget)

    def _find(self, name: str, user: StageNode, at: Lines) -> Origin:
        """What ``--from=name`` takes files from."""
        options = self.stages.options
        node = self.stages.find(name, user)
        if node is not None:
            return Origin(ref=self._filesystem(node))
        origin = self._told(resolve(options, name, options.platform, self.stages.file.location(at)))
        if origin.base is not None:
            self.fragment.add_base(origin.base)
        return self._context(origin)

    def _context(self, origin: Origin) -> Origin:
        if origin.ref is None:
            self.fragment.contexts[origin.folder] = m.FileContext(origin.root)
        return origin

    def _filesystem(self, node: StageNode) -> m.Ref:
        """One name for all layers of a stage: an image of its own, where no step or base has them all."""
        state = self.states[node.stage.index]
        if len(state.stack) == 1:
            return state.stack[0]
        options = self.stages.options
        return self.fragment.add_image(
            m.Image(
                f"{options.prefix}{stage_name(self.stages, node)}",
                tuple(state.stack),
                self.stages.file.location(node.where),
                description=f"the stage {node.stage.name}",
                docker=m.DockerImage(_bare(state.image_config()), tuple(state.history)),
            )
        )

    def result(self, target: StageNode, needed: list[StageNode]) -> Converted:
        options, fragment = self.stages.options, self.fragment
        state = self.states[target.stage.index]
        config = with_labels(_bare(state.image_config()), options.labels)
        if options.platform_asked:
            config = of_platform(config, options.platform)
        context = main_context(options)
        fragment.contexts[context] = m.FileContext(options.context)
        return Converted(
            on=tuple(state.stack),
            image=m.DockerImage(config, tuple(state.history)),
            bases=fragment.bases,
            steps=fragment.steps,
            images=fragment.images,
            contexts=fragment.contexts,
            epoch=self.stages.epoch,
            unused_args=unused_arguments(self.stages, needed),
        )


def _bare(config: Config) -> Config:
    """Without layers, history and time, which belong to the base."""
    return replace(config, diff_ids=(), history=(), created="")
