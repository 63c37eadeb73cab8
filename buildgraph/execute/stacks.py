"""Where is a stack on this machine?

Placed layers are *materialized* only as asked: as a snapshot that can be mounted, as a compressed blob, or both in one
pass over the files.

Layers are kept by their trees, and one tree may be the layer of several steps: a copy of all that another step made has
the same. So where a layer's files come from must not lead back to it; another step has them first then. Nothing is held
while files are looked for, since that may materialize other layers.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, Location, UsageError
from buildgraph.execute.bases import BaseLayers
from buildgraph.execute.placement import EMPTY_TREE, PlacedLayer, Placements
from buildgraph.execute.threads import Threads
from buildgraph.execute.workers import Packers
from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.lay import Below
from buildgraph.fs.pack import Item, Packed
from buildgraph.fs.squash import squash
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.recipe import Origin, Recipe
from buildgraph.graph.step import Stack, StepId
from buildgraph.sandbox import users
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.spec.model import Owner
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class LayerForm:
    """A layer as an image names it."""

    diff_id: Digest
    blob: Compressed


@dataclass(frozen=True, slots=True)
class Ready:
    """A layer that was packed before anything asked for it, at ``file``."""

    packed: Packed
    codec: Codec
    file: Path


class _CircularError(Exception):
    """The files of ``tree`` were looked for among those of ``tree``."""

    def __init__(self, tree: Digest) -> None:
        super().__init__(tree)
        self.tree = tree


class _Busy(threading.local):
    """Whose files this thread is looking for."""

    def __init__(self) -> None:
        self.trees: set[Digest] = set()


class Stacks:
    """Safe to ask from several threads."""

    def __init__(
        self,
        placed: Placements,
        store: LocalStore,
        snapshots: Snapshots,
        bases: BaseLayers,
        packers: Packers,
        beside: Threads,
    ) -> None:
        """``beside`` runs what goes on next to the caller: a second file that is synced."""
        self.placed = placed
        self._store = store
        self._snapshots = snapshots
        self._bases = bases
        self.pack = packers
        self._beside = beside
        self.codecs: dict[StepId, Codec] = {}
        """For steps whose layers an image of this build names: compressed while they are packed anyway."""
        self.remake: Callable[[StepId], Recipe | None] = lambda _: None
        """The recipe of a settled copy or write step that was found without making it; None for other steps."""
        self.elsewhere: Callable[[PlacedLayer, Codec], bool] = lambda _layer, _codec: False
        """Whether somebody else had the compressed form, and the store knows it now."""
        self.ready: dict[StepId, Ready] = {}
        self.new_blobs: dict[Digest, int] = {}
        self._formed: dict[tuple[Digest, str], LayerForm] = {}
        """Blobs that this build has leased and seen, by tree and codec: a hundred images may share a layer."""
        self._squashes: dict[Digest, list[Item]] = {}
        self._busy = _Busy()
        self._here: dict[PlacedLayer, Path | None] = {}
        """Snapshots that this build has leased and seen: they stay. None of an empty layer."""

    def owner(self, stack: Stack, owner: Owner, where: Location) -> tuple[int, int]:
        """Names of an owner looked up in the stack's /etc/passwd and /etc/group."""
        with self._snapshots.view(self.mountable(stack)) as root:
            try:
                found = users.look_up(root, f"{owner.user}:{owner.group}")
            except UsageError as error:
                error.where = error.where or where
                raise
        return found.uid, found.gid

    def squashed(self, layers: Sequence[PlacedLayer]) -> PlacedLayer:
        """All of our own layers of ``layers`` as one on top of the base's."""
        own = [layer for layer in layers if layer.own]
        below = Below(self.placed.outlines([layer for layer in layers if not layer.own]))
        merged = squash([self.placed.tree(layer.tree) for layer in own], below)
        content = tuple(entry for entry, _ in merged)
        digest = tree.digest(content)
        self.placed.keep_tree(digest, content)
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
        placed = self.placed.place(stack)
        missing = [layer for layer in placed if layer not in self._here]
        self.unpack(missing)
        self._bases.bring(y.tree for y in missing if y.own and not self._snapshots.path(y.snapshot))
        for layer in missing:
            made = layer.tree if layer.own else self._bases.facts(layer.tree).tree
            self._here[layer] = None if made == EMPTY_TREE else self.snapshot(layer)
        return [path for layer in placed if (path := self._here[layer]) is not None]

    def unpack(self, layers: Iterable[PlacedLayer]) -> None:
        """Have the snapshots of all that are a base's, reading several at once."""
        self._bases.unpack_all(layer.tree for layer in layers if not layer.own)

    def snapshot(self, layer: PlacedLayer) -> Path:
        if not layer.own:
            return self._bases.snapshot(layer.tree)
        self._store.lease.name(layer.snapshot)
        found = self._snapshots.path(layer.snapshot)
        if found is not None:
            return found
        items = self._made_from(layer)
        with self._flight(layer.snapshot):
            found = self._snapshots.path(layer.snapshot)
            if found is not None:
                return found
            self._materialize(layer, items, snapshot=True, codec=self._wanted(layer))
        made = self._snapshots.path(layer.snapshot)
        if made is None:
            raise ContentError("snapshot-missing", f"the snapshot {layer.snapshot} vanished")
        return made

    def form(self, layer: PlacedLayer, codec: Codec) -> LayerForm:
        """The layer as a blob in the store, compressed by ``codec``; a base's layer keeps its own blob, which need not
        be in the store if a registry has it."""
        if not layer.own:
            return LayerForm(layer.tree, self._bases.blob(layer.step, layer.tree))
        found = self._form(layer, codec)
        if found is None and layer.step in self.ready:
            with self._forming(layer, codec):
                if self._is_ready(layer, codec):
                    found = self._form(layer, codec)
        if found is None and self.elsewhere(layer, codec):
            found = self._form(layer, codec)
        if found is None:
            items = self._made_from(layer)
            with self._forming(layer, codec):
                found = self._form(layer, codec)
                if found is None:
                    self._materialize(layer, items, snapshot=False, codec=codec)
                    found = self._form(layer, codec)
        if found is None:
            raise ContentError(
                "blob-missing", f"the layer of {layer.step} vanished while it was made"
            )
        return found

    def is_at_hand(self, layer: PlacedLayer, codec: Codec) -> bool:
        """Whether nobody else need be asked for the layer's form."""
        return layer.step in self.ready or self._form(layer, codec) is not None

    def _form(self, layer: PlacedLayer, codec: Codec) -> LayerForm | None:
        name = (layer.tree, codec.identity)
        if found := self._formed.get(name):
            return found
        diff_id = self._store.layers.of_recipe(layer.tree, "")
        blob = self._store.layers.compressed(diff_id, codec.identity) if diff_id else None
        if diff_id is None or blob is None:
            return None
        self._formed[name] = LayerForm(diff_id, blob)
        return self._formed[name]

    def _wanted(self, layer: PlacedLayer) -> Codec | None:
        """The codec to compress with while the layer is read anyway."""
        codec = self.codecs.get(layer.step)
        return codec if codec is not None and self._form(layer, codec) is None else None

    def _forming(self, layer: PlacedLayer, codec: Codec) -> AbstractContextManager[object]:
        return self._flight(f"{layer.snapshot}-{codec.identity}")

    def _flight(self, key: str) -> AbstractContextManager[object]:
        return self._store.single_flight(key)

    def _materialize(
        self, layer: PlacedLayer, items: list[Item] | None, *, snapshot: bool, codec: Codec | None
    ) -> None:
        """``items`` are None for what must be unpacked."""
        if items is None:
            items = self._unpacked(layer, self.placed.tree(layer.tree))
        if snapshot and codec is None and self._snapshots.path(layer.snapshot) is not None:
            return  # to find the items was to restore it
        temp = self._store.blobs.temp() if codec is not None else None
        if snapshot:
            with self._snapshots.create(layer.snapshot) as folder:
                packed = self.pack(
                    items, codec=codec, blob=temp, snapshot=folder, tar=codec is not None
                )
        else:
            packed = self.pack(items, codec=codec, blob=temp)
        content = self.placed.objects.pop(layer.tree, b"") or tree.encode(packed.tree)
        if codec is not None and temp is not None:
            self.record(layer.tree, content, packed, codec, temp)
        else:
            self._store.blobs.put(content, "blake3")

    def _is_ready(self, layer: PlacedLayer, codec: Codec) -> bool:
        """Keep what was packed ahead, if it is exactly this layer."""
        ready = self.ready.get(layer.step)
        if ready is None or ready.codec != codec:
            return False
        del self.ready[layer.step]
        if ready.packed.tree != self.placed.tree(layer.tree):
            ready.file.unlink()
            return False
        content = self.placed.objects.pop(layer.tree, b"") or tree.encode(ready.packed.tree)
        self.record(layer.tree, content, ready.packed, codec, ready.file)
        return True

    def record(
        self, made: Digest, content: bytes, packed: Packed, codec: Codec, temp: Path
    ) -> None:
        """Keep the tree object ``content`` and a freshly packed blob as the layer of the tree ``made``.

        Both are synced at once: they share a commit of the file system's journal.
        """
        if packed.blob is None:
            raise ContentError("blob-missing", f"{made} was packed without a blob")
        form = Compressed(packed.blob.digest, packed.blob.size, packed.blob.media_type)
        blobs = self._store.blobs
        known = blobs.holds(content, "blake3")
        kept = None if known else self._beside.submit(partial(blobs.put, content, "blake3"))
        try:
            if blobs.adopt(temp, form.digest):
                self.new_blobs[form.digest] = form.size
        finally:
            if kept is not None:
                kept.wait()
        if kept is not None:
            kept.result()
        with self._store.records.batch():
            self.record_tar(made, packed)
            self._store.layers.put_compressed(packed.diff_id, codec.identity, form)

    def record_tar(self, made: Digest, packed: Packed) -> None:
        """What is known of a layer that nothing needed compressed."""
        with self._store.records.batch():
            self._store.layers.put_recipe(made, "", packed.diff_id)
            self._store.layers.put_facts(packed.diff_id, LayerFacts(made, packed.size))

    # -- where files are

    def _made_from(self, layer: PlacedLayer) -> list[Item] | None:
        """The layer's entries with where each file's bytes are; None if they are in a blob alone."""
        content = self.placed.tree(layer.tree)
        if layer.tree in self._squashes:
            return self._squashes[layer.tree]
        found = self._snapshots.path(layer.snapshot)
        if found is not None:
            return _from_folder(content, found)
        if layer.tree in self._busy.trees:
            raise _CircularError(layer.tree)
        self._busy.trees.add(layer.tree)
        try:
            return self._of_a_step(layer.tree, content)
        finally:
            self._busy.trees.discard(layer.tree)

    def _of_a_step(self, made: Digest, content: Tree) -> list[Item] | None:
        """Of the first that has the files from elsewhere; to look at one may find others."""
        tried: set[StepId] = set()
        circle: _CircularError | None = None
        while step := next(
            (s for s in list(self.placed.sources.get(made, ())) if s not in tried), None
        ):
            tried.add(step)
            try:
                return self._of_step(step, self.placed.sources[made][step], content)
            except _CircularError as error:
                circle = error
        if circle is not None and circle.tree != made:
            raise circle
        return None

    def _of_step(
        self, step: StepId, moved: Mapping[bytes, bytes] | None, content: Tree
    ) -> list[Item]:
        recipe = self.placed.recipes.get(step) or self.remake(step)
        if recipe is None:
            made = PlacedLayer(step, self.placed.settled[step].tree)
            return _from_folder(content, self.snapshot(made))
        return [
            self.item(entry, recipe.origins[moved[entry.path] if moved else entry.path])
            if entry.kind == tree.FILE
            else Item(entry)
            for entry in content
        ]

    def _unpacked(self, layer: PlacedLayer, content: Tree) -> list[Item]:
        """A built layer whose snapshot is gone, from any compressed form of it; one without bytes is its tree."""
        if not any(entry.size for entry in content):
            return [Item(e, data=b"") if e.kind == tree.FILE else Item(e) for e in content]
        diff_id = (
            self._store.layers.of_recipe(layer.tree, "") or self.placed.settled[layer.step].diff_id
        )
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
        layer = self.placed.place(origin.stack)[origin.layer]
        return Item(entry, os.fsencode(self.snapshot(layer)) + b"/" + origin.path)


def _from_folder(content: Tree, folder: Path) -> list[Item]:
    root = os.fsencode(folder) + b"/"
    return [Item(e, root + e.path) if e.kind == tree.FILE else Item(e) for e in content]
