"""Layers from outside: found by diff ID, read only when something needs them.

A base is opened from its documents alone. The first use of a layer streams it once: into a snapshot when a command
will mount it, otherwise only to learn its tree. Bytes that are not what the base's config says are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.unpack import Unpacked, index, unpack
from buildgraph.graph.step import BaseStep
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.blobs import hasher
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

_PIECE = 1 << 20


class LayerSource(Protocol):
    """Where a base's compressed layers can be read."""

    def open_blob(self, digest: Digest) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True, slots=True)
class BaseLayer:
    """One layer of a base: how its image names it, and who has the bytes."""

    diff_id: Digest
    blob: Compressed
    source: LayerSource


class BaseLayers:
    """Safe to use from several threads."""

    def __init__(
        self, layers: Iterable[BaseLayer], store: LocalStore, snapshots: Snapshots
    ) -> None:
        self._layers: Mapping[Digest, BaseLayer] = {layer.diff_id: layer for layer in layers}
        self._store = store
        self._snapshots = snapshots

    def facts(self, step: BaseStep, position: int) -> LayerFacts:
        """What the layer holds; streams it once per machine."""
        diff_id = step.layers[position]
        known = self._store.layers.facts(diff_id)
        if known is not None:
            return known
        with self._store.single_flight(f"index-{diff_id}"):
            known = self._store.layers.facts(diff_id)
            return known or self._learn(diff_id, index)

    def unpack(self, diff_id: Digest | None, snapshot: str) -> Path:
        """The layer's snapshot, made from its blob."""
        return self.restore(Digest(str(diff_id)), snapshot)

    def restore(self, diff_id: Digest, snapshot: str) -> Path:
        """A snapshot named ``snapshot`` from any compressed form of the layer that is at hand."""
        with self._snapshots.create(snapshot) as folder:
            self._learn(diff_id, lambda stream: unpack(stream, folder))
        made = self._snapshots.path(snapshot)
        if made is None:
            raise ContentError("snapshot-missing", f"the snapshot {snapshot} vanished")
        return made

    def blob(self, diff_id: Digest | None) -> Compressed:
        """The layer's own blob, now in the store."""
        layer = self._layers[Digest(str(diff_id))]
        digest = layer.blob.digest
        if not self._store.blobs.has(digest):
            with self._store.single_flight(f"blob-{digest}"):
                if not self._store.blobs.has(digest):
                    with layer.source.open_blob(digest) as stream:
                        self._take(stream, digest)
        return layer.blob

    def _take(self, stream: BinaryIO, digest: Digest) -> None:
        """Copy a blob into the store; bytes that are not the digest's are refused."""
        temp = self._store.blobs.temp()
        hashed = hasher(digest.algorithm)
        with temp.open("wb") as file:
            while piece := stream.read(_PIECE):
                hashed.update(piece)
                file.write(piece)
        if hashed.hexdigest() != digest.hex:
            raise ContentError("blob-damaged", f"a base layer's bytes are not those of {digest}")
        self._store.blobs.adopt(temp, digest)

    def _learn(self, diff_id: Digest, read: Callable[[BinaryIO], Unpacked]) -> LayerFacts:
        with self._open(diff_id) as compressed, open_decompressor(compressed) as stream:
            learned = read(stream)
        if learned.diff_id != diff_id:
            raise ContentError(
                "diff-id-mismatch",
                f"a base layer's bytes are {learned.diff_id}, its config says {diff_id}",
                hint="the base image is damaged: make or download it again",
            )
        made = self._store.blobs.put(tree.encode(learned.tree), "blake3")
        facts = LayerFacts(made, learned.size)
        self._store.layers.put_facts(diff_id, facts)
        return facts

    def _open(self, diff_id: Digest) -> AbstractContextManager[BinaryIO]:
        for form in self._store.layers.forms(diff_id).values():
            stream = self._store.blobs.open(form.digest)
            if stream is not None:
                return stream
        layer = self._layers.get(diff_id)
        if layer is None:
            raise ContentError(
                "layer-missing", f"no bytes of the layer {diff_id} are left in the store"
            )
        stream = self._store.blobs.open(layer.blob.digest)
        return stream or layer.source.open_blob(layer.blob.digest)
