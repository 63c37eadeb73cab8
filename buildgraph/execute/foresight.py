"""What is certain to be wrong with a stack before any command has run?

Known are recipes that rest on nothing, and bases whose directories are known on this machine. What lies on them alone
is known exactly. Anything else may bring or take away what it likes; but between two such layers, a directory of one
recipe over a file of another is wrong whatever lies below. That does not hold for a Dockerfile's recipes, whose files
go where the stack below says.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildgraph.errors import UsageError
from buildgraph.execute.placement import PlacedLayer, Placements, overlaid
from buildgraph.fs import tree
from buildgraph.fs.lay import DIRECTORIES, Below, ClashError, Listing, listing, place
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.recipe import Recipe
from buildgraph.graph.step import BaseStep, CopyStep, Stack, StepId, WriteStep

_SHOWN = 4


class Foresight:
    """``recipes`` are those that are known; ``has_dirs`` whether a base is known so far, by its step's layers."""

    def __init__(
        self,
        graph: BuildGraph,
        placed: Placements,
        recipes: Mapping[StepId, Recipe],
        has_dirs: Callable[[BaseStep], bool],
    ) -> None:
        self._graph = graph
        self._placed = placed
        self._recipes = recipes
        self._has_dirs = has_dirs
        self._bases: dict[StepId, bool] = {}
        self._layers: dict[StepId, _Layer] = {}

    def clashes(self, stacks: Iterable[tuple[str, Stack]]) -> list[UsageError]:
        """``stacks`` come with whose they are. A mistake is told once, with all that have it."""
        users: dict[tuple[Stack, bool], list[str]] = {}
        for user, stack in stacks:
            for known in self._segments(stack):
                users.setdefault(known, []).append(user)
        found: dict[tuple[str, str], tuple[ClashError, list[str]]] = {}
        for (segment, exact), who in users.items():
            for error in self._of(segment, exact=exact):
                key = (str(error.where), error.message)
                found.setdefault(key, (error, []))[1].extend(who)
        for error, who in found.values():
            error.detail += (f"in the stack of {_some(list(dict.fromkeys(who)))}",)
        return [error for error, _ in found.values()]

    def _segments(self, stack: Stack) -> Iterator[tuple[Stack, bool]]:
        """What is known of a stack, in one piece each, and whether all below is known, too."""
        segment: list[StepId] = []
        exact = True
        for step in stack:
            if self._is_known(step, exact=exact):
                segment.append(step)
                continue
            if len(segment) > 1:
                yield tuple(segment), exact
            segment, exact = [], False
        if len(segment) > 1:
            yield tuple(segment), exact

    def _is_known(self, step_id: StepId, *, exact: bool) -> bool:
        step = self._graph.steps[step_id]
        if isinstance(step, BaseStep):
            if step_id not in self._bases:
                self._bases[step_id] = self._has_dirs(step)
            return self._bases[step_id]
        return step_id in self._recipes and (exact or isinstance(step, CopyStep | WriteStep))

    def _of(self, segment: Stack, *, exact: bool) -> Iterator[ClashError]:
        below: list[_Layer] = []
        for step_id in segment:
            step = self._graph.steps[step_id]
            if isinstance(step, BaseStep):
                below += map(self._of_base, [PlacedLayer(step_id, y, y) for y in step.layers])
                continue
            try:
                moved = self._moved(step_id, below)
            except ClashError as error:
                error.where = error.where or step.where
                if exact or error.over_file:
                    error.detail += overlaid(step_id, error, [(y.step, y.listing) for y in below])
                    yield error
                continue
            if step_id != segment[-1]:
                laid = self._plain(step_id) if moved is None else _layer(step_id, listing(moved))
                below.append(laid)

    def _of_base(self, layer: PlacedLayer) -> "_Layer":
        [known] = self._placed.outlines([layer])
        return _Layer(layer.step, known, self._placed.folders(layer))

    def _moved(self, step: StepId, below: "Sequence[_Layer]") -> Tree | None:
        """How a recipe lies where links lead elsewhere; None where it lies as it is. Raises ClashError."""
        recipe, stack = self._recipes[step], Below([layer.listing for layer in below])
        outline = self._placed.outline(recipe.digest)
        if outline.meets(stack, [layer.folders for layer in below]) is not None:
            return None
        return place(recipe.tree, stack).tree

    def _plain(self, step: StepId) -> "_Layer":
        """Only kinds and paths are what they will be."""
        if step not in self._layers:
            digest = self._recipes[step].digest
            folders = filter(None, self._placed.outline(digest).folders)
            implied = {path: Entry(path, tree.DIRECTORY, 0o755) for path in folders}
            self._layers[step] = _layer(step, {**implied, **self._placed.listing(digest)})
        return self._layers[step]


class _Layer(NamedTuple):
    step: StepId
    listing: Listing
    folders: frozenset[bytes]


def _layer(step: StepId, laid: Listing) -> _Layer:
    folders = frozenset(path for path, entry in laid.items() if entry.kind in DIRECTORIES)
    return _Layer(step, laid, folders)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
