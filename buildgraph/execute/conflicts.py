"""Siblings that changed the same file differently: the later one wins, and a person should know.

Two run steps are siblings in a stack where the upper one did not see the lower one. Copies are laid over what is
there on purpose, so they are no part of this.
"""

import threading
from itertools import pairwise

from buildgraph.errors import Location, UsageError
from buildgraph.events import Observer, Warned
from buildgraph.execute.placement import PlacedLayer
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.step import RunStep, Stack, StepId
from buildgraph.values import dataclass

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Conflict:
    """``paths`` as an image has them, sorted; ``upper`` wins."""

    lower: StepId
    upper: StepId
    paths: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.paths[:_SHOWN])
        more = f" and {len(self.paths) - _SHOWN} more" if len(self.paths) > _SHOWN else ""
        lower, upper = self.lower.partition(":")[2], self.upper.partition(":")[2]
        return (
            f"{lower} and {upper} changed the same files differently, {upper} wins: {shown}{more}"
        )


class Conflicts:
    """Each pair of steps is told once per build."""

    def __init__(self, graph: BuildGraph, stacks: Stacks, observer: Observer) -> None:
        self._graph = graph
        self._stacks = stacks
        self._observe = observer
        self._found: dict[tuple[StepId, StepId], Conflict | None] = {}
        self._meets: dict[Stack, bool] = {}
        self._told: set[tuple[StepId, StepId]] = set()
        self._lock = threading.Lock()

    def check(self, name: str, stack: Stack, where: Location, *, strict: bool) -> None:
        """Warn (``merge-conflict``), or with ``strict`` raise UsageError, for what ``name`` stands on."""
        with self._lock:
            for conflict in self._of(stack):
                pair = (conflict.lower, conflict.upper)
                if strict:
                    raise UsageError(
                        "merge-conflict",
                        str(conflict),
                        hint='let one stand on the other, or leave out merge = "strict"',
                        where=where,
                    )
                if pair not in self._told:
                    self._told.add(pair)
                    self._observe(Warned("merge-conflict", str(conflict), name))

    def meet(self, stack: Stack) -> bool:
        """Whether there are siblings in ``stack``: known without a look at files.

        A command sees all that the last one below it saw, so it is enough to look at neighbours; and what stands on one
        chain is looked at once.
        """
        if stack not in self._meets:
            steps = self._graph.steps
            top = steps[stack[-1]] if stack else None
            if isinstance(top, RunStep) and top.stack in self._meets and top.stack == stack[:-1]:
                self._meets[stack] = self._meets[top.stack]
            else:
                runs = [step for name in stack if isinstance(step := steps[name], RunStep)]
                self._meets[stack] = any(a.id not in b.stack for a, b in pairwise(runs))
        return self._meets[stack]

    def _of(self, stack: Stack) -> list[Conflict]:
        if not self.meet(stack):
            return []
        runs = [
            layer
            for layer in self._stacks.placed.place(stack)
            if isinstance(self._graph.steps[layer.step], RunStep)
        ]
        found = []
        for index, upper in enumerate(runs):
            step = self._graph.steps[upper.step]
            seen = frozenset(step.stack if isinstance(step, RunStep) else ())
            found += [
                self._between(lower, upper) for lower in runs[:index] if lower.step not in seen
            ]
        return [conflict for conflict in found if conflict is not None]

    def _between(self, lower: PlacedLayer, upper: PlacedLayer) -> Conflict | None:
        pair = (lower.step, upper.step)
        if pair not in self._found:
            one, two = (
                self._stacks.placed.listing(lower.tree),
                self._stacks.placed.listing(upper.tree),
            )
            paths = sorted(
                path
                for path in one.keys() & two.keys()
                if one[path] != two[path] and not one[path].kind == two[path].kind == tree.DIRECTORY
            )
            shown = tuple("/" + printable(path) for path in paths)
            self._found[pair] = Conflict(*pair, shown) if shown else None
        return self._found[pair]
