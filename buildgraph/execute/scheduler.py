"""Which step next? A pure state machine: events in, instructions out; no clock, no thread, no I/O.

A node is a step or an image. Its states, each in one sentence:

    waiting   an input is not settled, or a node that will have the same result has not ended
    looking   all inputs are settled; the shell is asked whether a result is known
    ready     no result is known; it waits for one of the ``jobs`` places
    running   the shell executes it
    settled   it has a result
    failed    it was executed and failed
    skipped   an input failed, or the build stopped before it started

What a node claims for itself may keep it waiting when a place is free: see ``admission``.

Ready nodes start by the longest remaining path (seconds learned from earlier builds), then in graph order, so the
order of starts is the same in every run with the same history.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from buildgraph.execute.admission import Claim, Node, Ready
from buildgraph.values import dataclass

State = Literal["waiting", "looking", "ready", "running", "settled", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A result for the node is known."""

    node: Node


@dataclass(frozen=True, slots=True)
class Miss:
    """No result is known: the node must run."""

    node: Node


@dataclass(frozen=True, slots=True)
class Same:
    """Another node, which has started or is about to, will have the node's result."""

    node: Node
    first: Node


@dataclass(frozen=True, slots=True)
class Done:
    node: Node


@dataclass(frozen=True, slots=True)
class Failed:
    node: Node


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Nothing new may start."""


Answer = Hit | Miss | Same
Event = Answer | Done | Failed | Interrupted


@dataclass(frozen=True, slots=True)
class Look:
    """Find out whether a result for the node is known. Of several the first in graph order is answered first."""

    node: Node


@dataclass(frozen=True, slots=True)
class Start:
    """Execute the node; answer with Done or Failed."""

    node: Node


@dataclass(frozen=True, slots=True)
class Skip:
    """The node will not run."""

    node: Node


Instruction = Look | Start | Skip

_MOVES: Mapping[type, tuple[State, State]] = {
    Hit: ("looking", "settled"),
    Miss: ("looking", "ready"),
    Same: ("looking", "waiting"),
    Done: ("running", "settled"),
    Failed: ("running", "failed"),
}


class IllegalTransitionError(Exception):
    """A bug in the shell; carries the node's whole story."""


class Scheduler:
    """``needs`` names every node's inputs, all of them nodes; ``order`` has inputs first."""

    def __init__(
        self,
        order: Sequence[Node],
        needs: Mapping[Node, Iterable[Node]],
        *,
        jobs: int,
        keep_going: bool = False,
        seconds: Mapping[Node, float] | None = None,
        claims: Mapping[Node, Claim] | None = None,
        memory: int | None = None,
    ) -> None:
        self.state: dict[Node, State] = dict.fromkeys(order, "waiting")
        self._order = {node: index for index, node in enumerate(order)}
        self._needs = {node: tuple(dict.fromkeys(needs[node])) for node in order}
        self._missing = {node: len(self._needs[node]) for node in order}
        self._dependents: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order:
            for need in self._needs[node]:
                self._dependents[need].append(node)
        self._jobs = jobs
        self._running: set[Node] = set()
        self._same: dict[Node, list[Node]] = {}
        self._keep_going = keep_going
        self._stopped = False
        self._ready = Ready(claims or {}, memory)
        self._remaining = _remaining(order, self._dependents, seconds or {})
        self._story: dict[Node, list[str]] = {node: [] for node in order}
        self._open = len(self.state)
        """Nodes that are not settled, failed or skipped yet."""

    def place(self, node: Node) -> int:
        """In graph order."""
        return self._order[node]

    def start(self) -> list[Instruction]:
        return [self._look(node) for node in self._order if not self._missing[node]]

    def handle(self, event: Event) -> list[Instruction]:
        """What to do next; raises :class:`IllegalTransitionError` for an event that cannot follow the last ones."""
        if isinstance(event, Interrupted):
            self._stopped = True
            return self._skip_waiting()
        self._move(event)
        match event:
            case Hit(node) | Done(node):
                out: list[Instruction] = self._settle(node) + self._look_again(node)
            case Miss(node):
                self._ready.add(node, (-self._remaining[node], self._order[node]))
                out = self._skip_waiting() if self._stopped else []
            case Same(node, first):
                self._same.setdefault(first, []).append(node)
                out = self._skip_waiting() if self._stopped else []
            case Failed(node):
                if self._keep_going:
                    out = self._skip_dependents(node) + self._look_again(node)
                else:
                    self._stopped = True
                    out = self._skip_waiting()
        return out + self._fill()

    @property
    def finished(self) -> bool:
        return not self._open

    def _move(self, event: Answer | Done | Failed) -> None:
        before, after = _MOVES[type(event)]
        self._story[event.node].append(type(event).__name__)
        if self.state[event.node] != before:
            story = " → ".join(self._story[event.node])
            raise IllegalTransitionError(
                f"{event.node} is {self.state[event.node]}, not {before}: {story}"
            )
        self.state[event.node] = after
        self._open -= after in ("settled", "failed")
        if before == "running":
            self._running.discard(event.node)
            self._ready.ended(event.node)

    def _look(self, node: Node) -> Look:
        self.state[node] = "looking"
        self._story[node].append("Look")
        return Look(node)

    def _look_again(self, first: Node) -> list[Instruction]:
        again = self._same.pop(first, ())
        return [self._look(node) for node in again if self.state[node] == "waiting"]

    def _settle(self, node: Node) -> list[Instruction]:
        out: list[Instruction] = []
        for dependent in self._dependents[node]:
            self._missing[dependent] -= 1
            if not self._missing[dependent] and self.state[dependent] == "waiting":
                out.append(self._skip(dependent) if self._stopped else self._look(dependent))
        return out

    def _fill(self) -> list[Instruction]:
        out: list[Instruction] = []
        while len(self._running) < self._jobs and not self._stopped:
            node = self._ready.take()
            if node is None:
                break
            self.state[node] = "running"
            self._running.add(node)
            self._story[node].append("Start")
            out.append(Start(node))
        return out

    def _skip_waiting(self) -> list[Instruction]:
        self._ready.clear()
        idle = [node for node, state in self.state.items() if state in ("waiting", "ready")]
        return [self._skip(node) for node in idle]

    def _skip_dependents(self, node: Node) -> list[Instruction]:
        out: list[Instruction] = []
        todo = list(self._dependents[node])
        while todo:
            dependent = todo.pop(0)
            if self.state[dependent] == "waiting":
                out.append(self._skip(dependent))
                todo += self._dependents[dependent]
        return out

    def _skip(self, node: Node) -> Skip:
        self.state[node] = "skipped"
        self._open -= 1
        return Skip(node)


def _remaining(
    order: Sequence[Node],
    dependents: Mapping[Node, Sequence[Node]],
    seconds: Mapping[Node, float],
) -> dict[Node, float]:
    """Per node, the seconds of the longest path that starts with it; 1 s where nothing was learned."""
    out: dict[Node, float] = {}
    for node in reversed(order):
        after = max((out[dependent] for dependent in dependents[node]), default=0.0)
        out[node] = seconds.get(node, 1.0) + after
    return out
