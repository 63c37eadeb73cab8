"""What would a build decide about each step now? For ``plan``, ``why``, ``graph``: nothing runs or is written.

The store is asked as a build asks it, and so are the remote caches that a build would read: their records are looked
at, and forgotten again. Trees and layers stay where they are, so a step whose key depends on the files of a result that
only a cache has is said to wait for that.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from buildgraph.build.build import prepare
from buildgraph.build.elsewhere import cache_urls
from buildgraph.build.lookups import rules_for
from buildgraph.build.session import Session
from buildgraph.digest import ActionKey
from buildgraph.execute.interrupt import interruptible
from buildgraph.graph.step import (
    BaseStep,
    RecipeStep,
    RunStep,
    StackFiles,
    Step,
    StepId,
    files_of,
    inputs_of,
)
from buildgraph.plan.plan import Decision, Execute, Reuse, Rules, Wait, decide, expired
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    from buildgraph.remote.caches import Caches

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Decided:
    """``steps`` in an order in which they can be built; ``places`` are the caches that results would come from."""

    steps: Mapping[StepId, Decision]
    places: Mapping[ActionKey, str]

    def words(self, step: StepId) -> tuple[str, str]:
        """The decision, and the reason for it."""
        match self.steps[step]:
            case Reuse(key):
                return "reuse", f"{self.places[key]} has it" if key in self.places else ""
            case Execute() as decision:
                return "execute", str(decision.reason)
            case Wait(on):
                return "wait", f"waits for {some(on)}"


def some(steps: Sequence[StepId]) -> str:
    """Their names; a stack may have thousands."""
    more = f" and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else ""
    return ", ".join(step.partition(":")[2] for step in steps[:_SHOWN]) + more


def decided(session: Session, steps: Sequence[StepId]) -> Decided:
    """A step above one that runs waits, and so does one that is equal to it."""
    graph = session.workspace.graph
    rules = rules_for(session.request, int(time.time()))
    prepare(session, steps, ())
    others = _Elsewhere(session, rules)
    with interruptible(session.cancelled.set):
        others.look_up(steps)
        found: dict[StepId, Decision] = {}
        running: dict[str, StepId] = {}
        for step_id in steps:
            step = graph.steps[step_id]
            if isinstance(step, BaseStep):
                continue
            pending = tuple(s for s in inputs_of(step) if isinstance(found.get(s), Execute | Wait))
            pending = pending or _unread(session, step, rules)
            if pending:
                found[step_id] = Wait(pending)
                continue
            decision: Decision = others.instead(step, decide(step, session.lookups, rules))
            if isinstance(decision, Execute):
                first = running.setdefault(decision.key, step_id)
                if first != step_id and rules.forced(step) is None:
                    decision = Wait((first,))
            found[step_id] = decision
            if isinstance(decision, Reuse):
                session.stacks.placed.settled[step_id] = decision.result
    return Decided(found, others.places)


def _unread(session: Session, step: Step, rules: Rules) -> tuple[StepId, ...]:
    """The inputs whose files have to be read before the step's key is known; only a build reads them."""
    stacks = [files.stack for files in files_of(step) if isinstance(files, StackFiles)]
    stacks += [] if isinstance(step, RunStep) else [inputs_of(step)]
    if not any(stacks) or _is_known(session, step, rules):
        return ()
    sources = dict.fromkeys(source for stack in stacks for source in stack)
    return tuple(source for source in sources if not _is_read(session, source))


def _is_known(session: Session, step: Step, rules: Rules) -> bool:
    """Whether the decision needs no more than the StepKey."""
    known = None if rules.forced(step) else session.lookups.by_step(step.id)
    same = known is not None and known.identities == session.lookups.identities(step)
    return same and known is not None and expired(step, known, rules) is None


def _is_read(session: Session, source: StepId) -> bool:
    step = session.workspace.graph.steps[source]
    if isinstance(step, BaseStep):
        return all(map(session.store.layers.facts, step.layers))
    return session.lookups.read_tree(session.stacks.placed.settled[source].tree) is not None


@dataclass()
class _Elsewhere:
    """Loads nothing of remote caches where there are none."""

    session: Session
    rules: Rules
    places: dict[ActionKey, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._caches: Caches | None = None
        if urls := [url for url in cache_urls(self.session) if url.read]:
            from buildgraph.build.caches import readable

            self._caches = readable(self.session, urls)

    def look_up(self, steps: Sequence[StepId]) -> None:
        """Believe for this session what caches know of ``steps`` and the store does not."""
        if self._caches is None:
            return
        from buildgraph.build.adopting import chosen, names_of_unknown

        wanted = names_of_unknown(self.session, steps, self.rules.forced)
        found = self._caches.look_up(wanted.values())
        there = {step: found[name] for step, name in wanted.items() if name in found}
        for step, one in chosen(self.session, steps, there).items():
            assert one.record.result is not None
            self.session.lookups.believe(step, one.record.result)
            self.places[one.record.result.action] = str(one.member.url)

    def instead(self, step: Step, decision: Reuse | Execute) -> Reuse | Execute:
        """What is about to run is looked up by its ActionKey, too, as a build does."""
        if self._caches is None or not isinstance(decision, Execute):
            return decision
        if isinstance(step, RecipeStep) or self.rules.forced(step) is not None:
            return decision
        from buildgraph.remote.record import step_name

        name = step_name(decision.key)
        one = self._caches.look_up([name]).get(name)
        result = one.record.result if one else None
        if one is None or result is None or result.action != decision.key:
            return decision
        if expired(step, result, self.rules) is not None:
            return decision
        self.places[result.action] = str(one.member.url)
        return Reuse(decision.key, result)
