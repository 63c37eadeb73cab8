"""What happens to one node of a build: looked up, executed, recorded, settled, told."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from buildgraph.build.lookups import rules_for
from buildgraph.build.session import Session
from buildgraph.digest import ActionKey
from buildgraph.errors import DifferenceError, LayerLostError, blaming
from buildgraph.events import Outcome, StepFinished, StepStarted, Warned
from buildgraph.execute.admission import Node
from buildgraph.execute.local import CancelledError
from buildgraph.execute.ops_image import BuiltImage
from buildgraph.execute.ops_run import RunOp
from buildgraph.execute.scheduler import Answer, Hit, Miss, Same
from buildgraph.execute.waiting import Waiting
from buildgraph.fs import tree
from buildgraph.fs.lay import ClashError
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.recipe import Recipe
from buildgraph.graph.step import (
    BaseStep,
    CopyStep,
    DockerCopyStep,
    FetchStep,
    GitStep,
    PackagesStep,
    RunStep,
    Step,
    StepId,
    WorkdirStep,
    WriteStep,
    inputs_of,
    kind_of,
    name_of,
)
from buildgraph.plan.plan import Execute, Reuse, decide, expired
from buildgraph.registry.stopping import StoppedError
from buildgraph.sandbox.namespace import whole_mounts
from buildgraph.store.base import ActionResult
from buildgraph.store.faults import room
from buildgraph.values import dataclass, field

_FEW = 2_000


@dataclass(slots=True)
class Progress:
    """What has happened so far; every entry is written by one thread at a time."""

    outcomes: dict[StepId, Outcome] = field(default_factory=dict)
    decisions: dict[StepId, Execute] = field(default_factory=dict)
    images: dict[str, BuiltImage] = field(default_factory=dict)
    claimed: dict[ActionKey, StepId] = field(default_factory=dict)
    """Who makes the result of a key; of equal steps the first in graph order does, as ``plan`` says."""


class Nodes:
    """``look`` is called in one thread, inputs first; ``work`` in any. ``seconds`` are those of earlier builds."""

    def __init__(self, session: Session, now: int, seconds: Mapping[Node, float]) -> None:
        self._session = session
        self._graph = session.workspace.graph
        self._observe = session.observer
        self._now = now
        self._seconds = seconds
        self._rules = rules_for(session.request, now)
        self._run_op: RunOp | None = None
        self._image_op = session.image_op()
        self._lock = threading.Lock()
        self._again: set[StepId] = set()
        """Steps whose old result is overruled."""
        self.progress = Progress()

    def look(self, node: Node) -> Answer:
        """Whether the node's result is known; decides steps, and settles those that are reused."""
        step = self._graph.steps.get(StepId(node))
        if step is None:
            return Miss(node)
        if isinstance(step, BaseStep):
            return Hit(node)
        with blaming(step.where):
            decision = decide(step, self._session.lookups, self._rules)
        if isinstance(decision, Reuse):
            if isinstance(step, RunStep):
                self._check_siblings(step)
            outcome: Outcome = "cutoff" if self._is_cutoff(step) else "reused"
            self._settle(step, decision.result, outcome)
            return Hit(node)
        if self._session.request.require_cached:
            if known := self._shared(step, decision):
                self._settle(step, known, "reused")
                return Hit(node)
            raise DifferenceError(
                "not-cached",
                f"{_bare(step.id)} would run: {decision.reason}",
                hint="build without --require-cached",
                where=step.where,
            )
        first = self.progress.claimed.setdefault(decision.key, step.id)
        if first != step.id and self._rules.forced(step) is None:
            if first not in self.progress.outcomes:
                return Same(node, Node(first))
            self.progress.claimed[decision.key] = step.id
        self.progress.decisions[step.id] = decision
        return Miss(node)

    def _check_siblings(self, step: RunStep) -> None:
        """A command that need not run is told of as if it did, unless others would have to be asked for that."""
        stack, conflicts = step.stack, self._session.conflicts
        if not conflicts.meet(stack):
            return
        if step.merge_strict or self._session.stacks.placed.is_at_hand(stack):
            with blaming(step.where):
                conflicts.check(_bare(step.id), stack, step.where, strict=step.merge_strict)

    def _is_cutoff(self, step: Step) -> bool:
        """The wave stops here: something below ran in this build, and the result is the old one all the same."""
        return any(
            self.progress.outcomes.get(source) in ("executed", "cutoff")
            for source in inputs_of(step)
        )

    def work(self, node: Node) -> None:
        """Raises what made the node fail."""
        if self._session.cancelled.is_set():
            raise CancelledError
        step = self._graph.steps.get(StepId(node))
        if step is None:
            image = self._graph.images[node.partition(":")[2]]
            waiting = Waiting(self._observe, image.name, "is put together of its layers")
            home = self._session.store.home
            with _in_stack_of(node), blaming(image.where), room(home), waiting:
                self._make_image(image)
            return
        assert not isinstance(step, BaseStep)
        decision = self.progress.decisions[step.id]
        table = self._session.workspace.model.steps.get(_bare(step.id))
        title = table.title if table else ""
        reason, expected = str(decision.reason), self._seconds.get(node)
        self._observe(StepStarted(_bare(step.id), kind_of(step), reason, expected, title))
        began = time.monotonic()
        try:
            with _in_stack_of(node), blaming(step.where), room(self._session.store.home):
                result, made = self._result(step, decision)
        except BaseException as error:
            ended = isinstance(error, StoppedError | LayerLostError)
            outcome: Outcome = "cancelled" if ended else "failed"
            self._tell(step, outcome, time.monotonic() - began)
            raise
        self._settle(step, result, "executed" if made else "reused", time.monotonic() - began)

    def _result(self, step: Step, decision: Execute) -> tuple[ActionResult, bool]:
        """The step's result and whether it was made here, by whoever of all processes comes first."""
        session = self._session
        with session.store.single_flight(decision.key, session.cancelled) as held:
            if not held:
                raise CancelledError
            first = False
            if self._rules.forced(step) is None:
                known = session.store.records.by_action(decision.key)
                first = known is None
                usable = known is not None and session.lookups.usable(known)
                if not usable and (shared := self._shared(step, decision)):
                    return shared, False
                if known and usable and expired(step, known, self._rules) is None:
                    return known, False
            began = time.monotonic()
            result = self._execute(step, decision)
            return self._record(step, decision, result, time.monotonic() - began, first=first), True

    def _shared(self, step: Step, decision: Execute) -> ActionResult | None:
        """What a remote cache has for exactly these inputs, young enough."""
        if self._session.shared is None or self._rules.forced(step) is not None:
            return None
        known = self._session.shared.adopting.by_action(step, decision.key)
        return known if known and expired(step, known, self._rules) is None else None

    def _execute(self, step: Step, decision: Execute) -> ActionResult:
        session = self._session
        identities = session.lookups.identities(step)
        if not isinstance(step, RunStep):
            whole_mounts()
        match step:
            case RunStep():
                return self._commands().execute(step, decision.key, identities, self._now)
            case CopyStep() | DockerCopyStep() | WorkdirStep() | WriteStep():
                recipe = session.lookups.recipe(step.id)
                assert recipe is not None
                if isinstance(step, CopyStep):
                    self._warn_of_nothing(step, recipe)
                made = session.store.blobs.put(recipe.object, "blake3")
                size = tree.size_of(recipe.tree)
                return ActionResult(
                    kind_of(step), decision.key, identities, made, size=size, made=self._now
                )
            case FetchStep() | GitStep():
                return session.remotes().execute(step, decision.key, self._now)
            case PackagesStep():
                return session.packages_op().execute(step, decision.key, self._now)
            case BaseStep():
                raise AssertionError(step)

    def _warn_of_nothing(self, step: CopyStep, recipe: Recipe) -> None:
        """What patterns select may be nothing: most likely they are mistaken. Big copies are not gone through again."""
        if len(recipe.tree) > _FEW:
            return
        for part in step.parts:
            if part.files.include and not self._session.selections.found(part.files):
                patterns = ", ".join(part.files.include)
                said = f"{part.where}: nothing in {part.files.path} matches {patterns}"
                self._observe(Warned("copy-empty", said))

    def _commands(self) -> RunOp:
        with self._lock:
            if self._run_op is None:
                self._run_op = self._session.run_op()
            return self._run_op

    def _record(
        self, step: Step, decision: Execute, result: ActionResult, seconds: float, *, first: bool
    ) -> ActionResult:
        """Settle the record before any dependent starts: ours, or another's that was first (if any was to be taken)."""
        records = self._session.store.records
        with records.batch():
            if first:
                result = records.put_if_absent(decision.key, result)
            else:
                self._again.add(step.id)
                records.replace(decision.key, result)
            self._session.lookups.remember(step, decision, seconds, self._now)
            self._session.lookups.alias(step.id, result)
        return result

    def _settle(
        self, step: Step, result: ActionResult, outcome: Outcome, seconds: float = 0.0
    ) -> None:
        self._session.stacks.placed.settled[step.id] = result
        self._session.lookups.alias(step.id, result)
        if self._session.shared is not None:
            again = step.id in self._again
            self._session.shared.sending.keep(step.id, result, replace=again)
        self._tell(step, outcome, seconds, result)

    def _tell(
        self, step: Step, outcome: Outcome, seconds: float, result: ActionResult | None = None
    ) -> None:
        self.progress.outcomes[step.id] = outcome
        decision = self.progress.decisions.get(step.id)
        reason = str(decision.reason) if decision else ""
        if decision and outcome == "reused":
            reason = "another made it meanwhile"
        self._observe(
            StepFinished(
                _bare(step.id),
                kind_of(step),
                outcome,
                seconds,
                result.tree if result else "",
                result.size if result else 0,
                reason,
            )
        )

    def skipped(self, node: Node) -> None:
        step = self._graph.steps.get(StepId(node))
        if step is not None and not isinstance(step, BaseStep):
            self._tell(step, "skipped", 0.0)

    def _make_image(self, target: ImageTarget) -> None:
        self.progress.images[target.name] = self._image_op.make(target)
        if self._session.shared is not None:
            self._session.shared.sending.keep_layers(target)


@contextmanager
def _in_stack_of(node: Node) -> Iterator[None]:
    """Files that are in each other's way are blamed on a step; in whose stack they are is told besides."""
    try:
        yield
    except ClashError as error:
        error.detail += (f"in the stack of {name_of(StepId(node))}",)
        raise


def _bare(step: StepId) -> str:
    return step.partition(":")[2]
