"""Which stages does a target need, and what does each begin with?

A stage needs the one that it begins FROM and those that its COPY and mounts take files from; all of them stand before
it. Triggers (ONBUILD) of a base come before a stage's own instructions and can add to what it needs, so the answer may
depend on the configs of images.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.epoch import epoch
from buildgraph.dockerfile.instructions import Copy, Dockerfile, Instruction, Onbuild, Run, Stage
from buildgraph.dockerfile.mounts import mount_origin
from buildgraph.dockerfile.numbers import natural
from buildgraph.dockerfile.options import EPOCH_ARG, NamedContext, Options, predefined
from buildgraph.dockerfile.origins import SCRATCH, find_context
from buildgraph.dockerfile.parse import parse_trigger
from buildgraph.dockerfile.source import Lines, shortened
from buildgraph.dockerfile.words import expand, expansion
from buildgraph.errors import UsageError
from buildgraph.names import SYSTEMS, Platform
from buildgraph.spec.problems import mean, near
from buildgraph.values import dataclass, field

_A_TRIGGER = 1024
"""What each trigger that fires counts for besides its text, in characters."""


@dataclass(slots=True)
class StageNode:
    """``base`` is the stage that it begins FROM; ``replaced`` the named context that stands for the whole stage.

    ``triggers`` stand before the stage's own instructions; None until the config that holds them is known.
    """

    stage: Stage
    base_name: str
    platform: Platform
    base: "StageNode | None" = None
    replaced: NamedContext | None = None
    triggers: tuple[Instruction, ...] | None = None
    label: str = ""
    """What progress calls it; empty in a file of one stage."""
    onbuild: tuple[str, ...] = ()
    """The triggers of stages that begin FROM it."""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        if self.replaced is not None:
            return ()
        return (*(self.triggers or ()), *self.stage.instructions)

    @property
    def where(self) -> Lines:
        return self.stage.origin.where

    @property
    def from_image(self) -> bool:
        return self.base is None and self.replaced is None and self.base_name != SCRATCH


@dataclass(slots=True)
class Stages:
    """``arguments`` are the ARGs from before the first FROM, with what is predefined."""

    file: Dockerfile
    options: Options
    arguments: dict[str, str]
    nodes: list[StageNode] = field(default_factory=list)
    named: dict[str, list[StageNode]] = field(default_factory=dict)
    """By the name that ``AS`` gives, those of one name in the file's order."""
    names: tuple[str, ...] = ()
    """Those that ``AS`` gives."""
    epoch: int | None = None
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def of(cls, file: Dockerfile, options: Options) -> "Stages":
        """Raises UsageError for a FROM that says nothing or no platform."""
        stages = cls(file, options, {})
        stages._declare()
        for stage in file.stages:
            with blaming(file, stage.origin.where):
                node = stages._node(stage)
            stages.nodes.append(node)
            stages.named.setdefault(stage.origin.stage, []).append(node)
        stages.names = tuple(filter(None, stages.named))
        return stages

    def target(self) -> StageNode:
        """Raises UsageError ``unknown-stage``."""
        wanted = self.options.target
        if not wanted:
            return self.nodes[-1]
        if (named := self._named(wanted)) is not None:
            return named
        if (number := natural(wanted, len(self.nodes) - 1)) is not None:
            return self.nodes[number]
        raise self._unknown(f"there is no stage {wanted!r}", wanted)

    def find(self, name: str, user: StageNode) -> StageNode | None:
        """The stage that ``--from=name`` in ``user`` means; None for what is no stage.

        Raises UsageError ``stage-order``, ``unknown-stage``.
        """
        if name.isascii() and name.isdigit():
            number = natural(name, len(self.nodes) - 1)
            if number is None:
                raise self._unknown(f"there is no stage {name}: they count from 0", name)
            found: StageNode | None = self.nodes[number]
        else:
            found = self._named(name, user.stage.index) or self._named(name)
        if found is None or found.stage.index < user.stage.index:
            return found
        if found is user:
            message = f"the stage {found.stage.name} cannot take files from itself"
        else:
            message = f"the stage {found.stage.name} stands after {user.stage.name}, which needs it"
        raise UsageError(
            "stage-order", message, hint="a stage takes files from those that stand before it"
        )

    def needed(self, target: StageNode) -> list[StageNode]:
        """With ``target``, in the file's order; triggers count as far as they are known."""
        found = {target.stage.index}
        for node in reversed(self.nodes):  # what a stage needs stands before it
            if node.stage.index in found:
                found.update(other.stage.index for other in self.needs(node))
        return [node for node in self.nodes if node.stage.index in found]

    def fire(self, node: StageNode, triggers: Mapping[int, tuple[str, ...]]) -> None:
        """Make the triggers of the node's base instructions of its own; those of images are in ``triggers``."""
        if node.triggers is not None or node.replaced is not None:
            return
        if node.base is not None:
            texts: tuple[str, ...] | None = node.base.onbuild
        else:
            texts = triggers.get(node.stage.index)
        if texts is None:
            return
        with blaming(self.file, node.where):
            self.budget.spend(sum(_A_TRIGGER + len(text) for text in texts))
        node.triggers = tuple(self._trigger(text, node) for text in texts)

    def _trigger(self, text: str, node: StageNode) -> Instruction:
        try:
            return parse_trigger(text, self.file.source.name)
        except UsageError as error:
            raise UsageError(
                error.code,
                f"{error.message}, in the trigger {text!r} of its base",
                hint=error.hint,
                where=self.file.location(node.where),
            ) from error

    def needs(self, node: StageNode) -> Iterator[StageNode]:
        """The stages that it begins with or takes files from. Raises as :meth:`find` does, at the line."""
        if node.replaced is not None:
            return
        if node.base is not None:
            yield node.base
        own = len(node.triggers or ())
        for at, each in enumerate(node.instructions):
            with blaming(self.file, node.where if at < own else each.where):
                for name in origins_of(each):
                    found = self.find(name, node)
                    if found is not None:
                        yield found

    # -- the beginning of a stage

    def _declare(self) -> None:
        self.arguments = global_arguments(self.file, self.options, self.budget)
        self._date()

    def _date(self) -> None:
        self.epoch = epoch(self.file, self.options, self.arguments)
        if self.epoch is None:
            self.arguments.pop(EPOCH_ARG, None)
        elif EPOCH_ARG in self.arguments:
            self.arguments[EPOCH_ARG] = str(self.epoch)

    def _node(self, stage: Stage) -> StageNode:
        origin, escape = stage.origin, self.file.escape
        name = expand(origin.base, self.arguments, escape)
        self.budget.spend(len(name))
        if not name:
            raise UsageError(
                "blank-base",
                f"the base of a stage is blank: FROM {origin.base}",
                hint=self._variable_meant(origin.base),
            )
        onbuild = tuple(each.expression for each in stage.instructions if isinstance(each, Onbuild))
        node = StageNode(stage, name, self._platform(stage), label=stage.name, onbuild=onbuild)
        if len(self.file.stages) == 1:
            node.label = ""
        if origin.stage:
            node.replaced = find_context(self.options, origin.stage, node.platform)
            if node.replaced is not None:
                node.onbuild = ()
        node.base = None if node.replaced is not None else self._named(name)
        if node.base is not None:
            node.platform = node.base.platform
        elif name == SCRATCH and node.replaced is None:
            node.platform = self.options.platform  # nothing is there that another could be of
        return node

    def _platform(self, stage: Stage) -> Platform:
        written = stage.origin.platform
        if not written:
            return self.options.platform
        text = expand(written, self.arguments, self.file.escape)
        if not text:
            raise UsageError(
                "bad-platform",
                f"--platform={written} is blank",
                hint=self._variable_meant(written),
            )
        return parse_platform(text, self.options.platform)

    def _variable_meant(self, word: str) -> str:
        unset = expansion(word, self.arguments, self.file.escape).unset
        close = [known for name in sorted(unset) for known in near(name, self.arguments)]
        advice = "give its variables a default with ARG before the first FROM"
        return f"{mean(close[:1])} {advice}".lstrip()

    def _named(self, name: str, before: int | None = None) -> StageNode | None:
        for node in reversed(self.named.get(name.lower(), ())):
            if before is None or node.stage.index < before:
                return node
        return None

    def _unknown(self, message: str, name: str) -> UsageError:
        known = self.names
        listed = ", ".join(known) or f"numbers up to {len(self.nodes) - 1}"
        return UsageError(
            "unknown-stage", message, hint=mean(near(name, known)) or f"there are {listed}"
        )


def global_arguments(file: Dockerfile, options: Options, budget: Budget) -> dict[str, str]:
    """The ARGs from before the first FROM that have a value, with what is predefined. Raises UsageError."""
    found = predefined(options, options.target or file.stages[-1].origin.stage)
    for arg in file.args:
        with blaming(file, arg.where):
            for pair in arg.pairs:
                value = options.args.get(pair.name)
                if value is None and pair.default is not None:
                    value = expand(pair.default, found, file.escape)
                if value is not None:
                    budget.spend(len(value))
                    found[pair.name] = value
    return found


def origins_of(instruction: Instruction) -> Iterator[str]:
    """The names of stages, images and contexts that it takes files from."""
    match instruction:
        case Copy(origin=origin) if origin:
            if "$" in origin[:-1]:
                raise UsageError(
                    "variable-in-from",
                    f"variables are not expanded in --from={origin}",
                    hint="define a stage, FROM … AS NAME, with an ARG from before the first FROM",
                )
            yield origin
        case Run(mounts=mounts):
            yield from (name for flag in mounts if (name := mount_origin(flag)))
        case _:
            return


@contextmanager
def blaming(file: Dockerfile, where: Lines) -> Iterator[None]:
    """A mistake that does not say where it is stands at these lines."""
    try:
        yield
    except UsageError as error:
        if error.where is None:
            error.where = file.location(where)
        error.message, error.hint = shortened(error.message), shortened(error.hint)
        raise


def parse_platform(text: str, target: Platform) -> Platform:
    """An architecture or a system alone is completed from the target's, as containerd does."""
    if "/" not in text:
        if text.lower() in SYSTEMS:
            return Platform(text.lower(), target.arch, target.variant)
        return Platform.parse(f"{target.os}/{text}")
    return Platform.parse(text)
