"""Which layers are packed before anybody knows that they are needed? Big copies that this machine never made.

Every file of a copy must be read to know the step's key. Where hardly any record can answer to that key, because the
step has no past, the same reading packs the layer: each file is opened once instead of twice, and hashing and
compressing go on beside it. What comes of it is used only if the build, going its usual way, arrives at exactly the
tree that was packed; else the layer is packed again. So no key, digest or error depends on this, and whatever goes
wrong here is left to the usual way, which says it properly.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from buildgraph.build.lookups import is_alone
from buildgraph.errors import BuildgraphError
from buildgraph.execute.ops_image import codec_of
from buildgraph.execute.stacks import Ready
from buildgraph.fs import tree
from buildgraph.fs.beside import pack_beside
from buildgraph.fs.compress import Codec
from buildgraph.fs.hashing import has_one_thread
from buildgraph.fs.lay import Below, Outline, listing
from buildgraph.fs.pack import Item
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.recipe import Recipe
from buildgraph.graph.step import (
    BaseStep,
    ContextFiles,
    CopyStep,
    Stack,
    StepId,
    WriteStep,
    files_of,
    inputs_of,
)
from buildgraph.store.atomic import sync_file

if TYPE_CHECKING:
    from buildgraph.build.session import Session

_WORTH: Final = 100_000_000
"""Nanoseconds of reading: 10,000 small files, or 300 MB."""
_PROCESSORS: Final = 2


def pack_ahead(session: "Session", steps: Sequence[StepId], images: Sequence[ImageTarget]) -> None:
    """What is packed waits in ``session.stacks.ready``."""
    if session.request.require_cached:
        return
    if len(os.sched_getaffinity(0)) < _PROCESSORS or not has_one_thread():
        return
    graph = session.workspace.graph
    needed = {source for step in steps for source in inputs_of(graph.steps[step])}
    ahead = _Ahead(session)
    for image in images:
        fit = {step for step in image.stack if step not in needed and ahead.is_new(step)}
        if fit and not image.squash:
            with suppress(BuildgraphError, OSError):
                ahead.pack(image.stack, fit, codec_of(image))


def sync_ahead(session: "Session") -> None:
    """Start to write what is packed to the disk; whoever adopts it waits for the end of that."""
    for ready in session.stacks.ready.values():
        Thread(target=_sync, args=(ready.file,), name="sync").start()


def _sync(file: Path) -> None:
    with suppress(OSError):
        sync_file(file)


class _Shape(NamedTuple):
    """What a recipe becomes on its stack."""

    outline: Outline
    laid: Tree


class _Ahead:
    def __init__(self, session: "Session") -> None:
        self._session = session
        self._graph = session.workspace.graph
        self._recipes: dict[StepId, Recipe | None] = {}

    def is_new(self, step_id: StepId) -> bool:
        """Whether it copies files of the context alone, as they are, and was never decided about."""
        step = self._graph.steps[step_id]
        if not isinstance(step, CopyStep) or step.keep_time or not _is_plain(step):
            return False
        if any(part.mode for part in step.parts):
            return False
        lookups = self._session.lookups
        return self._session.store.records.last(lookups.history.name(step_id)) is None

    def pack(self, stack: Stack, fit: set[StepId], codec: Codec) -> None:
        """Those of ``fit`` that are worth it and lie on nothing that has yet to run."""
        ready = self._session.stacks.ready
        if not any(self._is_worth_it(step) for step in fit - ready.keys()):
            return
        count = next(
            (
                i
                for i, step in enumerate(stack)
                if not isinstance(self._graph.steps[step], BaseStep)
            ),
            len(stack),
        )
        placed = self._session.stacks.placed
        below = [placed.tree(layer.tree) for layer in placed.place(stack[:count])]
        for step_id in stack[count:]:
            step = self._graph.steps[step_id]
            if not isinstance(step, CopyStep | WriteStep) or not _is_plain(step):
                return
            recipe = self._recipe(step)
            if recipe is None:
                return
            outline = Outline(recipe.tree)
            laid = _laid(outline, below)
            if laid is None:
                return
            if step_id in fit and step_id not in ready and self._is_worth_it(step_id):
                self._pack(step_id, recipe, _Shape(outline, laid), codec)
            below.append(laid)

    def _is_worth_it(self, step_id: StepId) -> bool:
        step = self._graph.steps[step_id]
        assert isinstance(step, CopyStep)
        if self._recipe(step) is None:
            return False
        return self._session.lookups.cost(step, _WORTH) >= _WORTH

    def _recipe(self, step: CopyStep | WriteStep) -> Recipe | None:
        """Without sizes, modes and contents."""
        if step.id not in self._recipes:
            self._recipes[step.id] = self._session.lookups.survey(step)
        return self._recipes[step.id]

    def _pack(self, step_id: StepId, recipe: Recipe, shape: _Shape, codec: Codec) -> None:
        session, step = self._session, self._graph.steps[step_id]
        assert isinstance(step, CopyStep)
        outline, laid = shape
        origins = recipe.origins

        def items(first: int, last: int) -> Iterator[Item]:
            for entry in laid[first:last]:
                found = origins.get(entry.path)
                yield Item(entry, found.host) if found else Item(entry)

        file = session.store.blobs.temp()
        read = pack_beside(laid, items, codec, file, since=session.workspace.cache.since)
        if read is None:
            return
        packed, lines = read.packed, read.lines
        sources = [origins[e.path].host for e in packed.tree if e.kind == tree.FILE]
        session.lookups.learn(step, sources, read.rows, read.hashes)
        others = [one for one in zip(packed.tree, lines, strict=True) if one[0].kind not in "dD"]
        outline.fill(tuple(entry for entry, _ in others))
        filled = list(_filled(recipe.tree, iter(others)))
        content = tree.joined(line for _, line in filled)
        made = Recipe.of_object(tuple(entry for entry, _ in filled), origins, content)
        session.lookups.take(step_id, made)
        session.stacks.placed.expect(made, outline, packed.tree, tree.joined(lines))
        session.stacks.ready[step_id] = Ready(packed, codec, file)


def _is_plain(step: CopyStep | WriteStep) -> bool:
    files = (one for one in files_of(step) if isinstance(one, ContextFiles))
    return is_alone(step) and not any(one.context for one in files)


def _filled(recipe: Tree, others: Iterator[tuple[Entry, bytes]]) -> Iterator[tuple[Entry, bytes]]:
    """The recipe's entries with their lines: folders as they are, all ``others``, in the same order, as packed."""
    for entry in recipe:
        if entry.kind in "dD":
            yield entry, next(tree.lines([entry]))
        else:
            yield next(others)


def _laid(outline: Outline, below: Sequence[Tree]) -> Tree | None:
    """The recipe over these layers; None where it goes through links, which is rare."""
    stack = Below([listing(layer) for layer in below])
    folders = (frozenset(e.path for e in layer if e.kind in "dDo") for layer in below)
    met = outline.meets(stack, folders)
    return None if met is None else outline.laid(met, stack.lookup(b""))
