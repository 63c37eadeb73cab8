"""Layers from outside: known by their descriptors, read only when something needs what is in them.

A base is opened from its documents alone. What a copy needs to know of a layer to be laid over it, its directories and
links, comes from the layer's tree where that is known, else from a dirs index that somebody kept, else from streaming
the layer once. A layer that this build will mount anyway is then unpacked in the same pass. Bytes that are not what
the base's config says are refused.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, LayerLostError
from buildgraph.execute.keeping import keep
from buildgraph.fs import dirs, tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.tree import Tree
from buildgraph.graph.step import StepId
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    from buildgraph.fs.unpack import Unpacked

_AT_ONCE = 4
"""Layers that are read at the same time."""
_OWN_FORM = "base"
"""The codec under which a layer's blob is recorded that came with its image."""


class LayerSource(Protocol):
    """Where a base's compressed layers can be read."""

    def open_blob(self, digest: Digest) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """One layer of a base: how its image names it, and who has the bytes.

    ``place`` is the repository of a registry that has it, so that an image may name it without its being here.
    """

    diff_id: Digest
    blob: Compressed
    source: LayerSource
    place: str = ""


class DirsIndexes(Protocol):
    """Dirs indexes that are kept beside the workspace."""

    def dirs(self, diff_id: Digest) -> Tree | None: ...

    def keep_dirs(self, diff_id: Digest, layer: Tree) -> None: ...


@dataclass(slots=True)
class NoIndexes:
    """Nobody keeps any."""

    def dirs(self, diff_id: Digest) -> Tree | None:  # noqa: ARG002 - there are none
        return None

    def keep_dirs(self, diff_id: Digest, layer: Tree) -> None:
        pass


@dataclass()
class BaseLayers:
    """Safe to use from several threads.

    ``layers`` are by the base step that brings them. ``expected`` are layers that a command of this build will most
    likely mount, ``wanted`` those whose blob it will hand on. ``fetch`` opens a blob that need not be in the store.
    ``seek`` asks others for dirs indexes, and puts what they have into the store.
    """

    layers: Mapping[StepId, Sequence[BaseLayer]]
    store: LocalStore
    snapshots: Snapshots
    indexes: DirsIndexes = field(default_factory=NoIndexes)
    expected: set[Digest] = field(default_factory=set)
    wanted: set[Digest] = field(default_factory=set)
    fetch: Callable[[Digest], BinaryIO] | None = None
    seek: Callable[[Sequence[Digest]], None] | None = None

    def __post_init__(self) -> None:
        every = [(step, layer) for step, layers in self.layers.items() for layer in layers]
        self._by_step = {(step, layer.diff_id): layer for step, layer in every}
        self._decoding = threading.Lock()
        self._decoded: dict[Digest, Tree] = {}
        self._any = {layer.diff_id: layer for _, layer in every}

    # -- what is known of a layer

    def tree(self, diff_id: Digest) -> Tree:
        """All that the layer holds; streams it once per machine."""
        content = self.store.blobs.read(self.facts(diff_id).tree)
        if content is None:
            raise ContentError("blob-missing", f"the tree of {diff_id} is no longer in the store")
        return tree.decode(content)

    def facts(self, diff_id: Digest) -> LayerFacts:
        known = self.store.layers.facts(diff_id)
        if known is not None:
            return known
        if diff_id in self.expected:
            self.snapshot(diff_id)
        from buildgraph.fs.unpack import index

        with self.store.single_flight(f"index-{diff_id}"):
            known = self.store.layers.facts(diff_id)
            return known or self._learn(diff_id, index, keep_blob=diff_id in self.wanted)

    def dirs(self, diff_id: Digest) -> Tree:
        """The layer as its dirs index tells it; never less, and often the whole tree."""
        if self.store.layers.facts(diff_id) is None:
            kept = self._kept_dirs(diff_id)
            if kept is not None:
                return kept
        return self.tree(diff_id)

    def _kept_dirs(self, diff_id: Digest) -> Tree | None:
        """Decoded once, by whoever asks first."""
        with self._decoding:
            kept = self._decoded.get(diff_id) or self.indexes.dirs(diff_id)
            content = self.store.layers.dirs(diff_id) if kept is None else None
            if content is not None:
                with suppress(ContentError):
                    kept = dirs.decode(diff_id, content)
            if kept is not None:
                self._decoded[diff_id] = kept
            return kept

    def has_dirs(self, diff_id: Digest) -> bool:
        """Whether :meth:`dirs` is answered without the layer's bytes."""
        known = self.store.layers.facts(diff_id) is not None
        return known or self._kept_dirs(diff_id) is not None

    def learn_dirs(self, diff_ids: Iterable[Digest]) -> None:
        """Have the dirs indexes of all of them, reading several layers at once."""
        missing = [d for d in dict.fromkeys(diff_ids) if not self.has_dirs(d)]
        if missing and self.seek:
            self.seek(missing)
            missing = [d for d in missing if not self.has_dirs(d)]
        _at_once(self.facts, missing)

    # -- its bytes

    def snapshot(self, diff_id: Digest) -> Path:
        """The layer's snapshot, made from its blob."""
        name = f"sha256-{diff_id.hex}"
        self.store.lease.name(name)
        found = self.snapshots.path(name)
        if found is not None:
            return found
        with self.store.single_flight(name):
            found = self.snapshots.path(name)
            return found or self.restore(diff_id, name)

    def unpack_all(self, diff_ids: Iterable[Digest]) -> None:
        """Have the snapshots of all of them, making several at once."""
        _at_once(self.snapshot, dict.fromkeys(diff_ids))

    def restore(self, diff_id: Digest, snapshot: str) -> Path:
        """A snapshot named ``snapshot`` from any compressed form of the layer that is at hand."""
        from buildgraph.fs.unpack import unpack

        with self.snapshots.create(snapshot) as folder:
            self._learn(diff_id, lambda stream: unpack(stream, folder), keep_blob=True)
        made = self.snapshots.path(snapshot)
        if made is None:
            raise ContentError("snapshot-missing", f"the snapshot {snapshot} vanished")
        return made

    def bring(self, trees: Iterable[Digest]) -> None:
        """Have the blobs of layers of ours that were left where a remote cache has them, reading several at once."""
        layers = self.store.layers
        made = [diff_id for tree in trees if (diff_id := layers.of_recipe(tree, "")) is not None]
        away = [diff_id for diff_id in made if not layers.forms(diff_id) and layers.known(diff_id)]
        _at_once(lambda diff_id: self._fetched(diff_id).close(), away)

    def blob(self, step: StepId, diff_id: Digest) -> Compressed:
        """The layer's own blob as the base ``step`` has it: now in the store, or known to be in a registry."""
        layer = self._by_step.get((step, diff_id)) or self._any[diff_id]
        if layer.place:
            self.store.origins.add([layer.blob], layer.place)
            return layer.blob
        digest, wanted = layer.blob.digest, {layer.blob.digest: layer.blob.size}
        if not self.store.blobs.whole(wanted):
            with self.store.single_flight(f"blob-{digest}"):
                if not self.store.blobs.whole(wanted):
                    with layer.source.open_blob(digest) as stream, keep(self.store, digest) as kept:
                        kept.follow(stream).drain()
        return layer.blob

    def _learn(
        self, diff_id: Digest, read: "Callable[[BinaryIO], Unpacked]", *, keep_blob: bool = False
    ) -> LayerFacts:
        with self._open(diff_id, keep_blob=keep_blob) as compressed:
            learned = read(open_decompressor(compressed))
            if learned.diff_id != diff_id:
                raise ContentError(
                    "diff-id-mismatch",
                    f"a base layer's bytes are {learned.diff_id}, its config says {diff_id}",
                    hint="the base image is damaged: make or download it again",
                )
        made = self.store.blobs.put(tree.encode(learned.tree), "blake3")
        facts = LayerFacts(made, learned.size)
        self.store.layers.put_facts(diff_id, facts)
        if diff_id in self._any:
            self.indexes.keep_dirs(diff_id, dirs.of(learned.tree))
        return facts

    @contextmanager
    def _open(self, diff_id: Digest, *, keep_blob: bool) -> Iterator[BinaryIO]:
        """The layer's blob; one that comes over the network may be kept while it is read."""
        layer = self._any.get(diff_id)
        own = [layer.blob.digest] if layer else []
        for digest in [*(f.digest for f in self.store.layers.forms(diff_id).values()), *own]:
            stream = self.store.blobs.open(digest)
            if stream is not None:
                with stream:
                    yield stream
                return
        if layer is None:
            with self._fetched(diff_id) as stream:
                yield stream
            return
        with layer.source.open_blob(layer.blob.digest) as stream:
            if not (keep_blob and layer.place):
                yield stream
                return
            with keep(self.store, layer.blob.digest) as kept:
                tee = kept.follow(stream)
                yield tee.stream()
                tee.drain()
        self.store.layers.put_compressed(diff_id, _OWN_FORM, layer.blob)

    def _fetched(self, diff_id: Digest) -> BinaryIO:
        """A layer of ours that was left where a remote cache has it."""
        for form in self.store.layers.known(diff_id).values():
            if self.fetch is not None:
                return self.fetch(form.digest)
        error = LayerLostError(
            "layer-missing", f"no bytes of the layer {diff_id} are left in the store"
        )
        error.digest = diff_id
        raise error


def _at_once(work: Callable[[Digest], object], diff_ids: Iterable[Digest]) -> None:
    """``work`` for each; the first error is raised when all have ended."""
    wanted = list(diff_ids)
    if len(wanted) < 2:
        for diff_id in wanted:
            work(diff_id)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE, "base-layers") as pool:
        for done in [pool.submit(work, diff_id) for diff_id in wanted]:
            done.result()
