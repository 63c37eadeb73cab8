"""One stage, line by line: instructions become steps of a model, and change what is known of its image."""

from collections.abc import Callable

from buildgraph.dockerfile import instructions as i
from buildgraph.dockerfile.commands import command_of, history_argv, run_of
from buildgraph.dockerfile.copies import copy_of
from buildgraph.dockerfile.fragment import Fragment
from buildgraph.dockerfile.options import EPOCH_ARG, Options
from buildgraph.dockerfile.origins import Origin
from buildgraph.dockerfile.ports import exposed_ports
from buildgraph.dockerfile.source import Lines, visible
from buildgraph.dockerfile.stages import StageNode, Stages, blaming
from buildgraph.dockerfile.state import StageState
from buildgraph.oci.config import Healthcheck
from buildgraph.spec import model as m
from buildgraph.values import dataclass

Find = Callable[[str, StageNode, Lines], Origin]
"""What the name in a ``--from`` or ``from`` of a stage means, which stands at those lines."""

_LONGEST = 200


@dataclass(slots=True)
class Walk:
    """``count`` is how many instructions progress has told of, of ``total``."""

    stages: Stages
    node: StageNode
    state: StageState
    fragment: Fragment
    find: Find
    total: int = 0
    count: int = 0
    trigger: bool = False
    at: Lines = Lines(0, 0)
    """Where the instruction stands that is looked at."""

    def run(self) -> None:
        """Raises UsageError with the place of the mistake."""
        triggers = len(self.node.triggers or ())
        told = sum(isinstance(each, _WITH_LAYER) for each in self.node.instructions)
        self.count = int(self.node.from_image)
        self.total = told + self.count
        for at, each in enumerate(self.node.instructions):
            self.trigger = at < triggers
            self.at = self.node.where if self.trigger else each.where
            with blaming(self.stages.file, self.at):
                self._take(each)

    def _word(self, text: str) -> str:
        return self.state.word(text, self.stages.file.escape)

    def _take(self, each: i.Instruction) -> None:
        match each:
            case i.Run() | i.Copy() | i.Add() | i.Workdir():
                self._take_layer(each)
            case i.Arg():
                self._arg(each)
            case i.Env(pairs=pairs) | i.Label(pairs=pairs):
                found = [(self._word(pair.name), self._word(pair.value or "")) for pair in pairs]
                (self.state.env if isinstance(each, i.Env) else self.state.label)(found)
            case i.Cmd(command=command):
                self.state.cmd(self._argv(command))
            case i.Entrypoint(command=command):
                self.state.entrypoint(self._argv(command))
            case _:
                self._take_config(each)

    def _take_config(self, each: i.Instruction) -> None:
        state = self.state
        match each:
            case i.Shell(words=words):
                state.shell(words)
            case i.User(user=user):
                state.user(self._word(user))
            case i.Expose(ports=ports):
                escape = self.stages.file.escape
                found = [
                    each for p in ports for word in state.words(p, escape) for each in word.split()
                ]
                state.expose(exposed_ports(found, state.budget))
            case i.Volume(paths=paths):
                state.volume(tuple(map(self._word, paths)))
            case i.Stopsignal(signal=signal):
                state.stop_signal(self._word(signal))
            case i.Healthcheck():
                state.healthcheck(_healthcheck(each))
            case i.Onbuild(expression=expression):
                state.trigger(expression)
            case i.Maintainer(author=author):
                state.maintainer(author)
            case _:
                raise AssertionError(each)

    # -- variables

    def _arg(self, arg: i.Arg) -> None:
        """Unlike those of an ENV, the arguments of one line see each other."""
        given, known = self.stages.options.args, self.stages.arguments
        told = []
        for pair in arg.pairs:
            value = given.get(pair.name)
            if pair.name == EPOCH_ARG and value is not None:
                value = None if self.stages.epoch is None else str(self.stages.epoch)
            if value is None and pair.default is not None:
                value = self._word(pair.default)
            elif value is None:
                value = known.get(pair.name)
            told.append(self.state.declare(pair.name, value))
        self.state.add_line(" ".join(("ARG", *told)))

    def _argv(self, command: i.Command) -> tuple[str, ...]:
        return command.words if command.exec else self.state.in_shell(command.text)

    # -- layers

    def _take_layer(self, each: i.Run | i.Copy | i.Add | i.Workdir) -> None:
        self.count += 1
        state = self.state
        match each:
            case i.Run():
                made = run_of(
                    each, state, self.stages.options, self.stages.file.escape, self._found
                )
                line = state.run_line(history_argv(each, command_of(each, state)[0]))
                ref = self._step(each, made)
                state.stack = [ref]
                state.add_layer(ref, line)
            case i.Copy() | i.Add():
                origin = self._origin_of(each)
                copying = copy_of(each, state, self.stages.file.escape, origin)
                ref = self._step(each, copying.kind)
                state.stack.append(ref)
                state.add_layer(ref, copying.line)
            case i.Workdir(path=written):
                path = state.workdir(self._word(written))
                if path == "/":
                    state.add_line(f"WORKDIR {path}")
                    return
                ref = self._step(each, m.Workdir(path, state.config.user))
                state.stack.append(ref)
                state.add_layer(ref, f"WORKDIR {path}", marked=False)

    def _found(self, name: str) -> Origin:
        return self.find(name, self.node, self.at)

    def _origin_of(self, copy: i.Copy | i.Add) -> Origin:
        if isinstance(copy, i.Copy) and copy.origin:
            return self._found(copy.origin)
        return Origin(folder=main_context(self.stages.options))

    def _step(self, each: i.Instruction, kind: m.Run | m.DockerCopy | m.Workdir) -> m.Ref:
        options = self.stages.options
        name = (
            f"{options.prefix}{stage_name(self.stages, self.node)}/{self.count}-{each.name.lower()}"
        )
        return self.fragment.add_step(
            m.Step(
                name,
                kind,
                self.stages.file.location(self.at),
                on=tuple(self.state.stack) if _looks_below(kind) else (),
                normalize=m.Normalize(time="keep" if options.keep_times else "epoch"),
                platform=self.node.platform if isinstance(kind, m.Run) else None,
                title=self._title(each),
            )
        )

    def _title(self, each: i.Instruction) -> str:
        width = len(str(self.total))
        label = f"{self.node.label} " if self.node.label else ""
        onbuild = "ONBUILD " if self.trigger else ""
        text = " ".join(each.text.split())
        keyword, _, rest = text.partition(" ")
        text = f"{keyword.upper()} {rest}"
        if isinstance(each, i.Run) and each.command.heredocs:
            text += f" ({_summary(each.command.heredocs[0].content)})"
        if len(text) > _LONGEST:
            text = text[: _LONGEST - 1] + "…"
        return f"[{label}{self.count:{width}}/{self.total}] {onbuild}{visible(text)}"


_WITH_LAYER = (i.Run, i.Copy, i.Add, i.Workdir)


def _looks_below(kind: m.Run | m.DockerCopy | m.Workdir) -> bool:
    """Whether a step must know what it stands on: to run there, or to look up names of users."""
    match kind:
        case m.Run():
            return True
        case m.DockerCopy(owner=owner):
            return owner is not None and any(
                isinstance(part, str) and part for part in (owner.user, owner.group)
            )
        case m.Workdir(user=user):
            return bool(user)


def main_context(options: Options) -> str:
    """The name of the build context among a model's contexts."""
    return f"{options.prefix}context"


def stage_name(stages: Stages, node: StageNode) -> str:
    """Unique in the file; two stages of one name have their numbers behind it."""
    several = node.stage.origin.stage and len(stages.named[node.stage.origin.stage]) > 1
    return f"{node.stage.name}-{node.stage.index}" if several else node.stage.name


def _healthcheck(each: i.Healthcheck) -> Healthcheck:
    if each.command is None:
        return Healthcheck(("NONE",))
    command = each.command
    test = ("CMD", *command.words) if command.exec else ("CMD-SHELL", command.text)
    return Healthcheck(
        test,
        each.interval,
        each.timeout,
        each.start_period,
        each.start_interval,
        each.retries,
    )


def _summary(text: str) -> str:
    first, newline, _ = text.strip().partition("\n")
    return first.rstrip() + ("..." if newline else "")
