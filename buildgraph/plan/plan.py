"""What would run? Per step a decision with its reason; nothing is run, pulled or written.

A step is decided once all its inputs are settled. Then, in this order:

1. a StepKey hit counts if the identities that its record was computed from are those chosen in this build;
2. otherwise the ActionKey is looked up: equal inputs, whatever made them (early cutoff);
3. otherwise the step executes.

A step with an input that is not settled yet waits. ``plan`` walks the graph with this function and stops at what
waits; ``build`` calls it again whenever a step settles. Both therefore decide alike.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from buildgraph.digest import ActionKey, Document, StepKey
from buildgraph.graph.step import Step, StepId
from buildgraph.store.base import ActionResult
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One component of a key document that differs; ``before`` and ``after`` are short texts for people."""

    component: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.component}: {self.after} is new"
        if not self.after:
            return f"{self.component}: {self.before} is gone"
        return f"{self.component}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class NeverBuilt:
    def __str__(self) -> str:
        return "never built"


@dataclass(frozen=True, slots=True)
class Changed:
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        more = f" (and {len(self.changes) - 1} more)" if len(self.changes) > 1 else ""
        return f"{self.changes[0]}{more}" if self.changes else "changed"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The step was built before, but nothing says what of."""

    def __str__(self) -> str:
        return "what it was built of before is no longer in the store"


@dataclass(frozen=True, slots=True)
class Evicted:
    """The same step was built before, but its record or its files are gone."""

    def __str__(self) -> str:
        return "its result is no longer in the store"


@dataclass(frozen=True, slots=True)
class Forced:
    why: str

    def __str__(self) -> str:
        return f"forced by {self.why}"


@dataclass(frozen=True, slots=True)
class Expired:
    """Seconds."""

    age: int
    limit: int

    def __str__(self) -> str:
        return f"its result is {self.age} s old, max-age is {self.limit} s"


Reason = NeverBuilt | Changed | Forgotten | Evicted | Forced | Expired


@dataclass(frozen=True, slots=True)
class Reuse:
    key: ActionKey
    result: ActionResult


@dataclass(frozen=True, slots=True)
class Execute:
    key: ActionKey
    document: Mapping[str, Document]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    on: tuple[StepId, ...]


Decision = Reuse | Execute | Wait


class Records(Protocol):
    """What a decision looks at, answered by the shell."""

    def by_step(self, step: StepId) -> ActionResult | None:
        """The record that the step's StepKey names, if what it holds is still there."""

    def by_action(self, key: ActionKey) -> ActionResult | None: ...

    def action(self, step: Step) -> tuple[ActionKey, Mapping[str, Document]]:
        """The ActionKey and its document; called only when every input is settled."""

    def identities(self, step: Step) -> tuple[str, ...]:
        """Of the results chosen for the inputs, in order."""

    def reason(self, step: Step, document: Mapping[str, Document]) -> Reason:
        """Why there is no record: compared with the last time the step was built."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``forced`` says for a step why it must run, or None; ``now`` is in seconds since 1970."""

    forced: Callable[[Step], str | None]
    max_age: Callable[[Step], int | None]
    now: int


def decide(step: Step, records: Records, rules: Rules) -> Reuse | Execute:
    """The decision for a step whose inputs are all settled."""
    forced = rules.forced(step)
    if forced is None:
        known = records.by_step(step.id)
        if known is not None and known.identities == records.identities(step):
            too_old = expired(step, known, rules)
            if too_old is None:
                return Reuse(known.action, known)
            return Execute(*records.action(step), too_old)
    key, document = records.action(step)
    if forced is not None:
        return Execute(key, document, Forced(forced))
    found = records.by_action(key)
    if found is None:
        return Execute(key, document, records.reason(step, document))
    too_old = expired(step, found, rules)
    return Execute(key, document, too_old) if too_old else Reuse(key, found)


def expired(step: Step, result: ActionResult, rules: Rules) -> Expired | None:
    """Whether the result is older than the step allows."""
    limit = rules.max_age(step)
    age = rules.now - result.made
    return Expired(age, limit) if limit is not None and age > limit else None


StepKeys = Mapping[StepId, StepKey]
