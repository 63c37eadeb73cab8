"""What is a stack made of? Every step's result as a layer, with a tree that says exactly what lies where.

A stack is *placed* before its bytes are needed: recipes are resolved against what is below them, deletions of run steps
spare what siblings brought. A placed layer of our own is named by its tree digest, one of a base by its diff ID. Of a
base's layers, placing asks for no more than the directories, links and names in them; a base without copies above it
is not even asked for these.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError, blaming
from buildgraph.execute.bases import BaseLayers
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, ClashError, Listing, Outline, listing, place, prefixes
from buildgraph.fs.merge import Merged
from buildgraph.fs.printable import printable
from buildgraph.fs.siblings import give_way, spare
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.step import (
    BaseStep,
    CopyStep,
    DockerCopyStep,
    FetchStep,
    GitStep,
    PackagesStep,
    RecipeStep,
    RunStep,
    Stack,
    StepId,
    WorkdirStep,
    WriteStep,
    name_of,
)
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.graph.recipe import Recipe
    from buildgraph.store.base import ActionResult

EMPTY_TREE = tree.digest(())


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """``tree`` names what the layer holds where it lies: the digest of its tree; of a base's layer (``own`` False) the
    ``diff_id``, because that is known without the layer."""

    step: StepId
    tree: Digest
    diff_id: Digest | None = None

    @property
    def own(self) -> bool:
        return self.diff_id is None

    @property
    def snapshot(self) -> str:
        return f"tree-{self.tree.hex}" if self.own else f"sha256-{Digest(str(self.diff_id)).hex}"


_Stacks = dict[StepId, tuple[tuple[PlacedLayer, ...], "_Stacks"]]
"""What each step brings to the stack that leads here, and the stacks that go on from there."""


class Placements:
    """``settled`` and ``recipes`` fill up while the build goes on. Safe to ask from several threads."""

    def __init__(self, graph: BuildGraph, store: LocalStore, bases: BaseLayers) -> None:
        self._graph = graph
        self._store = store
        self._bases = bases
        self.settled: dict[StepId, ActionResult] = {}
        self.recipes: dict[StepId, Recipe] = {}
        self.sources: dict[Digest, dict[StepId, Mapping[bytes, bytes] | None]] = {}
        """Whose layers a placed one is, and the recipe's own paths where they are others."""
        self.objects: dict[Digest, bytes] = {}
        """Encoded trees of placed recipes, until somebody writes them."""
        self._trees: dict[Digest, Tree] = {}
        self._listings: dict[Digest, Listing] = {}
        self._dirs: dict[Digest, Listing] = {}
        self._placed: dict[Stack, tuple[PlacedLayer, ...]] = {}
        self._stacks: _Stacks = {}
        self._merged: dict[Stack, Merged] = {}
        self._outlines: dict[Digest, Outline] = {}
        self._expected: dict[Digest, tuple[Tree, bytes]] = {}
        """How a recipe will most likely lie, and the object of that."""
        self._directories: dict[Digest, frozenset[bytes]] = {}
        self._laid: dict[tuple[Digest, tuple[Entry | None, ...]], Digest] = {}
        self._lock = threading.RLock()

    # -- trees

    def keep_tree(self, digest: Digest, content: Tree) -> None:
        self._trees[digest] = content

    def expect(self, recipe: "Recipe", outline: Outline, laid: Tree, content: bytes) -> None:
        """What was found out of a recipe when it was packed: its outline, and a tree with its object that placing it
        may give again."""
        self._outlines[recipe.digest] = outline
        self._expected[recipe.digest] = laid, content

    def tree(self, digest: Digest) -> Tree:
        """The tree of that digest, or of the base's layer with that diff ID, which is read where it is not known.

        Raises ContentError (``blob-missing``) when the object is gone."""
        if digest not in self._trees:
            if digest == EMPTY_TREE:
                return ()
            if digest.algorithm != "blake3":
                self._trees[digest] = self._bases.tree(digest)
                return self._trees[digest]
            content = self._store.blobs.read(digest)
            if content is None:
                raise ContentError("blob-missing", f"the tree {digest} is no longer in the store")
            self._trees[digest] = tree.decode(content)
        return self._trees[digest]

    def listing(self, digest: Digest) -> Listing:
        """The same by path."""
        if digest not in self._listings:
            self._listings[digest] = listing(self.tree(digest))
        return self._listings[digest]

    def outlines(self, layers: Sequence[PlacedLayer]) -> list[Listing]:
        """By path, what is to be known of each layer to lay others over it: all of ours, the dirs index of a base's."""
        names = {layer.tree: None for layer in layers if not layer.own}
        if unknown := [n for n in names if n not in self._listings and n not in self._dirs]:
            self._bases.learn_dirs(unknown)
        return [self._outline(layer) for layer in layers]

    def _outline(self, layer: PlacedLayer) -> Listing:
        if layer.own or layer.tree in self._listings:
            return self.listing(layer.tree)
        if layer.tree not in self._dirs:
            self._dirs[layer.tree] = listing(self._bases.dirs(layer.tree))
        return self._dirs[layer.tree]

    def identity(self, step: StepId) -> tuple[str, ...]:
        """What names the result of a settled step: a base's diff IDs, or its tree digest."""
        made = self._graph.steps[step]
        return made.layers if isinstance(made, BaseStep) else (self.settled[step].tree,)

    def is_at_hand(self, stack: Stack) -> bool:
        """Whether nobody else need be asked what the stack is made of; every step of it must be settled."""
        store = self._store
        bases = [step for name in stack if isinstance(step := self._graph.steps[name], BaseStep)]
        trees = {self.settled[name].tree for name in stack if name in self.settled} - {EMPTY_TREE}
        known = all(store.layers.facts(layer) for base in bases for layer in base.layers)
        return known and len(store.blobs.has_all(trees)) == len(trees)

    # -- placing

    def place(self, stack: Stack) -> tuple[PlacedLayer, ...]:
        """Bottom first; every step of the stack must be settled."""
        if stack not in self._placed:
            self._learn_dirs(stack)
        with self._lock:
            if stack not in self._placed:
                pile, at = _Pile(self), self._stacks
                for step in stack:
                    if step not in at:
                        at[step] = (self._layers(step, pile), {})
                    layers, at = at[step]
                    pile.layers += layers
                self._placed[stack] = tuple(pile.layers)
            return self._placed[stack]

    def _learn_dirs(self, stack: Stack) -> None:
        """Of bases that recipes lie on: what takes time holds up nobody who places other stacks."""
        steps = [self._graph.steps[step] for step in stack]
        if any(isinstance(step, RecipeStep) for step in steps):
            below = [layer for step in steps if isinstance(step, BaseStep) for layer in step.layers]
            self._bases.learn_dirs(layer for layer in below if layer not in self._dirs)

    def _layers(self, name: StepId, below: "_Pile") -> tuple[PlacedLayer, ...]:
        step = self._graph.steps[name]
        match step:
            case BaseStep():
                return tuple(PlacedLayer(step.id, layer, layer) for layer in step.layers)
            case WorkdirStep():
                try:
                    return (self._placed_recipe(step.id, below),)
                except UsageError as error:
                    raise _no_folder(step, Below(below.known()[0])) from error
            case CopyStep() | DockerCopyStep() | WriteStep():
                with blaming(step.where):
                    return (self._overlaying(step.id, below),)
            case RunStep():
                return (self._placed_run(step, below.layers),)
            case PackagesStep() | FetchStep() | GitStep():
                return (PlacedLayer(step.id, self.settled[step.id].tree),)

    def _overlaying(self, step: StepId, below: "_Pile") -> PlacedLayer:
        try:
            return self._placed_recipe(step, below)
        except ClashError as error:
            names = [layer.step for layer in below.layers]
            error.detail += overlaid(step, error, list(zip(names, below.known()[0], strict=True)))
            raise

    def outline(self, recipe: Digest) -> Outline:
        if recipe not in self._outlines:
            self._outlines[recipe] = Outline(self.tree(recipe))
        return self._outlines[recipe]

    def _placed_recipe(self, step: StepId, below: "_Pile") -> PlacedLayer:
        """Placed once for all stacks that mean the same to it; most images lay the same copies over like bases."""
        made = self.settled[step].tree
        listings, folders = below.known()
        stack = Below(listings)
        outline = self.outline(made)
        met = outline.meets(stack, folders)
        if met is None:
            placed = place(self.tree(made), stack)
            return PlacedLayer(step, self._keep_placed(step, placed.tree, placed.moved))
        root = stack.lookup(b"")
        meant = (made, (*met, root))
        if meant not in self._laid:
            laid = outline.laid(met, root)
            same = laid == self.tree(made)
            self._laid[meant] = (
                self._keep_same(step, made)
                if same
                else self._keep_placed(step, laid, None, self._expected.get(made))
            )
        return PlacedLayer(step, self._laid[meant])

    def _keep_same(self, step: StepId, made: Digest) -> Digest:
        """A recipe that lies exactly as it is."""
        recipe = self.recipes.get(step)
        if recipe is not None and recipe.digest == made:
            self.objects[made] = recipe.object
        self.sources.setdefault(made, {})[step] = None
        return made

    def _keep_placed(
        self,
        step: StepId,
        placed: Tree,
        moved: Mapping[bytes, bytes] | None,
        expected: tuple[Tree, bytes] | None = None,
    ) -> Digest:
        known = expected is not None and expected[0] == placed
        content = expected[1] if expected and known else tree.encode(placed)
        digest = Digest.blake3(content)
        self._trees.setdefault(digest, placed)
        self.objects[digest] = content
        self.sources.setdefault(digest, {})[step] = moved
        return digest

    def folders(self, layer: PlacedLayer) -> frozenset[bytes]:
        """All the directories that it lists, whether or not they show."""
        if layer.tree not in self._directories:
            listed = self._outline(layer).values()
            self._directories[layer.tree] = frozenset(e.path for e in listed if e.kind in "dDo")
        return self._directories[layer.tree]

    def _placed_run(self, step: RunStep, below: Sequence[PlacedLayer]) -> PlacedLayer:
        """As it was made, unless a sibling brought files below a directory that it deleted, or changed one's attributes
        that it left alone."""
        made = self.settled[step.id].tree
        seen = frozenset(step.stack)
        siblings = self.outlines([layer for layer in below if layer.step not in seen])
        if not siblings:
            return PlacedLayer(step.id, made)
        own = Below(self.outlines(self.place(step.stack)))
        under = Below(self.outlines(below))
        spared = give_way(self.tree(made), own, under, siblings)
        if any(entry.kind == tree.WHITEOUT for entry in spared):
            spared = spare(spared, own, siblings)
        digest = made if spared == self.tree(made) else tree.digest(spared)
        if digest != made:
            self._trees.setdefault(digest, spared)
            self.sources.setdefault(digest, {})[step.id] = None
        return PlacedLayer(step.id, digest)

    def merged(self, stack: Stack) -> Merged:
        """The full filesystem of the stack, to look into."""
        if stack not in self._merged:
            self._merged[stack] = Merged([self.tree(layer.tree) for layer in self.place(stack)])
        return self._merged[stack]

    def below(self, *stacks: Stack) -> Below:
        """The same to ask for single paths; the later stacks lie over the earlier ones."""
        layers = [layer for stack in stacks for layer in self.place(stack)]
        return Below([self.listing(layer.tree) for layer in layers])

    def near(self, stack: Stack, path: bytes) -> str:
        """A path of the stack that looks like ``path``, for a message; empty when none does."""
        import difflib

        parent = path.rpartition(b"/")[0]
        names = [e.path.decode("utf-8", "replace") for e, _ in self.merged(stack).entries()]
        same = [n for n in names if n.rpartition("/")[0] == parent.decode("utf-8", "replace")]
        found = difflib.get_close_matches(
            path.decode("utf-8", "replace"), same or names[:2000], n=1
        )
        return f"/{found[0]}" if found else ""

    def own_layer(self, step: StepId) -> tuple[PlacedLayer, ...]:
        """What the step itself yields, as a stack of its own."""
        made = self._graph.steps[step]
        if isinstance(made, RecipeStep):
            return (self._placed_recipe(step, _Pile(self)),)
        return (PlacedLayer(step, self.settled[step].tree),)


def overlaid(
    step: StepId, error: ClashError, below: Sequence[tuple[StepId, Listing]]
) -> tuple[str, ...]:
    """Whose the two are that clash, as a line of a message."""
    lower = [name for name, has in below if error.path in has]
    return (f"{name_of(step)} lies there over {name_of(lower[-1])}",) if lower else ()


def _no_folder(step: WorkdirStep, below: Below) -> UsageError:
    path = step.path.strip("/").encode("utf-8", "surrogateescape")
    ways = {way: below.lookup(below.follow(way)) for way in (*prefixes(path), path)}
    way = next(w for w, there in ways.items() if there and there.kind not in "dD")
    return UsageError(
        "file-over-directory",
        f"WORKDIR {step.path}: /{printable(way)} is there and is no folder",
        hint="remove it in a RUN before, or choose another folder",
        where=step.where,
    )


class _Pile:
    """A stack while it is placed. Each layer is looked at once, and only if a recipe comes to lie on it."""

    def __init__(self, placed: Placements) -> None:
        self.layers: list[PlacedLayer] = []
        self._placed = placed
        self._listings: list[Listing] = []
        self._folders: list[frozenset[bytes]] = []

    def known(self) -> tuple[list[Listing], list[frozenset[bytes]]]:
        """The outline and the directories of every layer, bottom first."""
        fresh = self.layers[len(self._listings) :]
        self._listings += self._placed.outlines(fresh)
        self._folders += map(self._placed.folders, fresh)
        return self._listings, self._folders
