"""What is a stack made of, and where is it on this machine?

A stack is *placed* before its bytes are needed: every step's result becomes a layer whose tree says exactly what lies
where (recipes are resolved against what is below them). A placed layer of our own is named by its tree digest, one of
a base by its diff ID. Only then, and only as asked, is it *materialized*: as a snapshot that can be mounted, as a
compressed blob, or both in one pass over the files.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, Location, UsageError
from buildgraph.execute.bases import BaseLayers
from buildgraph.execute.workers import Packers
from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.lay import Below, Listing, Outline, listing, place, spare
from buildgraph.fs.merge import Merged
from buildgraph.fs.pack import Item, Packed
from buildgraph.fs.squash import squash
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.recipe import Origin, Recipe
from buildgraph.graph.step import (
    BaseStep,
    CopyStep,
    PackagesStep,
    RunStep,
    Stack,
    StepId,
    WriteStep,
)
from buildgraph.sandbox import users
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.spec.model import Owner
from buildgraph.store.base import ActionResult, Compressed, LayerFacts
from buildgraph.store.local import LocalStore


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """``tree`` is what the layer holds where it lies; ``diff_id`` is known only of a base's layer (``own`` False)."""

    step: StepId
    tree: Digest
    diff_id: Digest | None = None

    @property
    def own(self) -> bool:
        return self.diff_id is None

    @property
    def snapshot(self) -> str:
        return f"tree-{self.tree.hex}" if self.own else f"sha256-{Digest(str(self.diff_id)).hex}"


@dataclass(frozen=True, slots=True)
class LayerForm:
    """A layer as an image names it."""

    diff_id: Digest
    blob: Compressed


EMPTY_TREE = tree.digest(())


class Stacks:
    """``settled`` and ``recipes`` fill up while the build goes on. Safe to ask from several threads."""

    def __init__(
        self,
        graph: BuildGraph,
        store: LocalStore,
        snapshots: Snapshots,
        bases: BaseLayers,
        packers: Packers,
    ) -> None:
        self._graph = graph
        self._store = store
        self._snapshots = snapshots
        self._bases = bases
        self.pack = packers
        self.settled: dict[StepId, ActionResult] = {}
        self.recipes: dict[StepId, Recipe] = {}
        self.codecs: dict[StepId, Codec] = {}
        """For steps whose layers an image of this build names: compressed while they are packed anyway."""
        self.new_blobs: dict[Digest, int] = {}
        self._trees: dict[Digest, Tree] = {}
        self._listings: dict[Digest, Listing] = {}
        self._placed: dict[Stack, tuple[PlacedLayer, ...]] = {}
        self._sources: dict[Digest, tuple[StepId, Mapping[bytes, bytes]]] = {}
        self._merged: dict[Stack, Merged] = {}
        self._outlines: dict[Digest, Outline] = {}
        self._directories: dict[Digest, frozenset[bytes]] = {}
        self._laid: dict[tuple[Digest, tuple[Entry | None, ...]], Digest] = {}
        self._squashes: dict[Digest, list[Item]] = {}
        self._here: dict[PlacedLayer, Path] = {}
        """Snapshots that this build has leased and seen: they stay."""
        self._lock = threading.RLock()

    # -- trees

    def keep_tree(self, digest: Digest, content: Tree) -> None:
        self._trees[digest] = content

    def tree(self, digest: Digest) -> Tree:
        """Raises ContentError (``blob-missing``) when the object is gone."""
        if digest not in self._trees:
            if digest == EMPTY_TREE:
                return ()
            content = self._store.blobs.read(digest)
            if content is None:
                raise ContentError("blob-missing", f"the tree {digest} is no longer in the store")
            self._trees[digest] = tree.decode(content)
        return self._trees[digest]

    def listing(self, digest: Digest) -> Listing:
        if digest not in self._listings:
            self._listings[digest] = listing(self.tree(digest))
        return self._listings[digest]

    def identity(self, step: StepId) -> tuple[str, ...]:
        """What names the result of a settled step: a base's diff IDs, or its tree digest."""
        made = self._graph.steps[step]
        return made.layers if isinstance(made, BaseStep) else (self.settled[step].tree,)

    # -- placing

    def place(self, stack: Stack) -> tuple[PlacedLayer, ...]:
        """Bottom first; every step of the stack must be settled."""
        with self._lock:
            if stack not in self._placed:
                below = self.place(stack[:-1]) if stack else ()
                self._placed[stack] = below + (self._layers(stack, below) if stack else ())
            return self._placed[stack]

    def _layers(self, stack: Stack, below: tuple[PlacedLayer, ...]) -> tuple[PlacedLayer, ...]:
        step = self._graph.steps[stack[-1]]
        match step:
            case BaseStep():
                return tuple(
                    PlacedLayer(step.id, self._bases.facts(step, index).tree, diff_id)
                    for index, diff_id in enumerate(step.layers)
                )
            case CopyStep() | WriteStep():
                return (self._placed_recipe(step.id, below),)
            case RunStep():
                return (self._placed_run(step, below),)
            case PackagesStep():
                return (PlacedLayer(step.id, self.settled[step.id].tree),)

    def _placed_recipe(self, step: StepId, below: Sequence[PlacedLayer]) -> PlacedLayer:
        """Placed once for all stacks that mean the same to it; most images lay the same copies over like bases."""
        made = self.settled[step].tree
        stack = Below([self.listing(layer.tree) for layer in below])
        if made not in self._outlines:
            self._outlines[made] = Outline(self.tree(made))
        folders = (path for layer in below for path in self._folders(layer.tree))
        met = self._outlines[made].meets(stack, folders)
        known = self._laid.get((made, met)) if met is not None else None
        if known is None:
            placed = place(self.tree(made), stack)
            known = tree.digest(placed.tree)
            self._trees.setdefault(known, placed.tree)
            self._sources[known] = (step, placed.moved)
            if met is not None:
                self._laid[made, met] = known
        return PlacedLayer(step, known)

    def _folders(self, digest: Digest) -> frozenset[bytes]:
        if digest not in self._directories:
            listed = self.tree(digest)
            self._directories[digest] = frozenset(e.path for e in listed if e.kind in "dDo")
        return self._directories[digest]

    def _placed_run(self, step: RunStep, below: Sequence[PlacedLayer]) -> PlacedLayer:
        """As it was made, unless a sibling brought files below a directory that it deleted."""
        made = self.settled[step.id].tree
        seen = frozenset(step.stack)
        siblings = [self.listing(layer.tree) for layer in below if layer.step not in seen]
        if not siblings or all(entry.kind != tree.WHITEOUT for entry in self.tree(made)):
            return PlacedLayer(step.id, made)
        own = Below([self.listing(layer.tree) for layer in self.place(step.stack)])
        spared = spare(self.tree(made), own, siblings)
        digest = tree.digest(spared)
        if digest != made:
            self._trees.setdefault(digest, spared)
            self._sources[digest] = (step.id, {e.path: e.path for e in spared})
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

    def owner(self, stack: Stack, owner: Owner, where: Location) -> tuple[int, int]:
        """Names of an owner looked up in the stack's /etc/passwd and /etc/group."""
        with self._snapshots.view(self.mountable(stack)) as root:
            try:
                found = users.look_up(root, f"{owner.user}:{owner.group}")
            except UsageError as error:
                error.where = error.where or where
                raise
        return found.uid, found.gid

    def own_layer(self, step: StepId) -> tuple[PlacedLayer, ...]:
        """What the step itself yields, as a stack of its own."""
        made = self._graph.steps[step]
        if isinstance(made, CopyStep | WriteStep):
            return (self._placed_recipe(step, ()),)
        return (PlacedLayer(step, self.settled[step].tree),)

    def squashed(self, layers: Sequence[PlacedLayer]) -> PlacedLayer:
        """All of our own layers of ``layers`` as one on top of the base's."""
        own = [layer for layer in layers if layer.own]
        below = Below([self.listing(layer.tree) for layer in layers if not layer.own])
        merged = squash([self.tree(layer.tree) for layer in own], below)
        content = tuple(entry for entry, _ in merged)
        digest = tree.digest(content)
        self._trees.setdefault(digest, content)
        self._squashes[digest] = [
            self.item(entry, Origin(host=self._inside(own[index], entry.path)))
            if entry.kind == tree.FILE
            else Item(entry)
            for entry, index in merged
        ]
        return PlacedLayer(StepId("squash:layers"), digest)

    def _inside(self, layer: PlacedLayer, path: bytes) -> bytes:
        return os.fsencode(self.snapshot(layer)) + b"/" + path

    # -- materializing

    def mountable(self, stack: Stack) -> list[Path]:
        """The stack's snapshots, bottom first, empty layers left out; what is missing is made."""
        placed = [layer for layer in self.place(stack) if layer.tree != EMPTY_TREE]
        for layer in placed:
            if layer not in self._here:
                self._here[layer] = self.snapshot(layer)
        return [self._here[layer] for layer in placed]

    def snapshot(self, layer: PlacedLayer) -> Path:
        self._store.lease.name(layer.snapshot)
        found = self._snapshots.path(layer.snapshot)
        if found is not None:
            return found
        with self._flight(layer.snapshot):
            found = self._snapshots.path(layer.snapshot)
            if found is not None:
                return found
            if not layer.own:
                return self._bases.unpack(layer.diff_id, layer.snapshot)
            self._materialize(layer, snapshot=True, codec=self._wanted(layer))
        made = self._snapshots.path(layer.snapshot)
        if made is None:
            raise ContentError("snapshot-missing", f"the snapshot {layer.snapshot} vanished")
        return made

    def form(self, layer: PlacedLayer, codec: Codec) -> LayerForm:
        """The layer as a blob in the store, compressed by ``codec``; a base's layer keeps its own blob."""
        if not layer.own:
            return LayerForm(Digest(str(layer.diff_id)), self._bases.blob(layer.diff_id))
        found = self._form(layer, codec)
        if found is None:
            with self._flight(f"{layer.snapshot}-{codec.identity}"):
                found = self._form(layer, codec)
                if found is None:
                    self._materialize(layer, snapshot=False, codec=codec)
                    found = self._form(layer, codec)
        if found is None:
            raise ContentError(
                "blob-missing", f"the layer of {layer.step} vanished while it was made"
            )
        return found

    def _form(self, layer: PlacedLayer, codec: Codec) -> LayerForm | None:
        diff_id = self._store.layers.of_recipe(layer.tree, "")
        if diff_id is None:
            return None
        blob = self._store.layers.compressed(diff_id, codec.identity)
        return None if blob is None else LayerForm(diff_id, blob)

    def _wanted(self, layer: PlacedLayer) -> Codec | None:
        """The codec to compress with while the layer is read anyway."""
        codec = self.codecs.get(layer.step)
        return codec if codec is not None and self._form(layer, codec) is None else None

    def _flight(self, key: str) -> AbstractContextManager[object]:
        return self._store.single_flight(key)

    def _materialize(self, layer: PlacedLayer, *, snapshot: bool, codec: Codec | None) -> None:
        items = self.items(layer)
        temp = self._store.blobs.temp() if codec is not None else None
        if snapshot:
            with self._snapshots.create(layer.snapshot) as folder:
                packed = self.pack(
                    items, codec=codec, blob=temp, snapshot=folder, tar=codec is not None
                )
        else:
            packed = self.pack(items, codec=codec, blob=temp)
        self._store.blobs.put(tree.encode(packed.tree), "blake3")
        if codec is not None and temp is not None:
            self.record(layer.tree, packed, codec, temp)

    def record(self, made: Digest, packed: Packed, codec: Codec, temp: Path) -> None:
        """Adopt a freshly packed blob as the layer of the tree ``made``."""
        if packed.blob is None:
            raise ContentError("blob-missing", f"{made} was packed without a blob")
        form = Compressed(packed.blob.digest, packed.blob.size, packed.blob.media_type)
        if not self._store.blobs.has(form.digest):
            self.new_blobs[form.digest] = form.size
        self._store.blobs.adopt(temp, form.digest)
        with self._store.records.batch():
            self.record_tar(made, packed)
            self._store.layers.put_compressed(packed.diff_id, codec.identity, form)

    def record_tar(self, made: Digest, packed: Packed) -> None:
        """What is known of a layer that nothing needed compressed."""
        with self._store.records.batch():
            self._store.layers.put_recipe(made, "", packed.diff_id)
            self._store.layers.put_facts(packed.diff_id, LayerFacts(made, packed.size))

    def items(self, layer: PlacedLayer) -> list[Item]:
        """The layer's entries with where each file's bytes are."""
        found = self._snapshots.path(layer.snapshot)
        content = self.tree(layer.tree)
        if layer.tree in self._squashes:
            return self._squashes[layer.tree]
        if found is not None:
            return _from_folder(content, found)
        if layer.tree not in self._sources:
            return self._unpacked(layer, content)
        step, moved = self._sources[layer.tree]
        recipe = self.recipes.get(step)
        if recipe is None:
            made = PlacedLayer(step, self.settled[step].tree)
            return _from_folder(content, self.snapshot(made))
        return [
            self.item(entry, recipe.origins[moved[entry.path]])
            if entry.kind == tree.FILE
            else Item(entry)
            for entry in content
        ]

    def _unpacked(self, layer: PlacedLayer, content: Tree) -> list[Item]:
        """A built layer whose snapshot is gone, from any compressed form of it."""
        diff_id = self._store.layers.of_recipe(layer.tree, "") or self.settled[layer.step].diff_id
        if diff_id is None:
            raise ContentError(
                "layer-missing", f"the layer of {layer.step} is no longer in the store"
            )
        folder = self._bases.restore(diff_id, layer.snapshot)
        return _from_folder(content, folder)

    def item(self, entry: Entry, origin: Origin) -> Item:
        if origin.data is not None:
            return Item(entry, data=origin.data)
        if origin.host:
            return Item(entry, origin.host)
        layer = self.place(origin.stack)[origin.layer]
        return Item(entry, os.fsencode(self.snapshot(layer)) + b"/" + origin.path)


def _from_folder(content: Tree, folder: Path) -> list[Item]:
    root = os.fsencode(folder) + b"/"
    return [Item(e, root + e.path) if e.kind == tree.FILE else Item(e) for e in content]
