"""An image from its stack: every layer as a blob in the store, then the two documents that name them."""

from contextlib import nullcontext

from buildgraph.digest import Digest
from buildgraph.errors import blaming
from buildgraph.execute.conflicts import Conflicts
from buildgraph.execute.placement import EMPTY_TREE, PlacedLayer
from buildgraph.execute.stacks import Stacks
from buildgraph.fs.compress import Codec
from buildgraph.graph.graph import BuildGraph, ImageTarget
from buildgraph.graph.lowerrun import FIXED_TIME
from buildgraph.graph.step import BaseStep, StepId, kind_of
from buildgraph.image.assemble import Assembled, LayerBlob, Told, assemble
from buildgraph.names import unlabelled
from buildgraph.oci.config import Config
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image whose blobs are all in the store, except a base's layers that a registry has.

    ``new_bytes`` are of those that were not there before."""

    target: ImageTarget
    assembled: Assembled
    new_bytes: int


class ImageOp:
    def __init__(
        self, graph: BuildGraph, store: LocalStore, stacks: Stacks, conflicts: Conflicts
    ) -> None:
        self._graph = graph
        self._store = store
        self._stacks = stacks
        self._conflicts = conflicts

    def make(self, target: ImageTarget) -> BuiltImage:
        """Idempotent: equal inputs give equal bytes, so making it again finds every blob."""
        codec = codec_of(target)
        self._conflicts.check(target.name, target.stack, target.where, strict=target.merge_strict)
        layers = [
            layer
            for layer in self._stacks.placed.place(target.stack)
            if layer.tree != EMPTY_TREE or not layer.own or target.history is not None
        ]  # the history of a base, or of a Dockerfile, tells of all layers
        layers = self._squashed(target, layers)
        blobs = [self._blob(layer, codec) for layer in layers]
        assembled = assemble(
            target.config,
            blobs,
            base=self._base(target),
            created=FIXED_TIME if target.epoch is None else target.epoch,
            annotations=target.annotations,
            told=self._told(target, layers),
        )
        fresh = sum(
            len(content)
            for content in (assembled.config_bytes, assembled.manifest_bytes)
            if not self._store.blobs.has(Digest.sha256(content))
        )
        self._store.blobs.put(assembled.config_bytes)
        self._store.blobs.put(assembled.manifest_bytes)
        names = {blob.blob.digest for blob in blobs if blob.blob is not None}
        fresh += sum(size for digest, size in self._stacks.new_blobs.items() if digest in names)
        return BuiltImage(target, assembled, fresh)

    def _told(self, target: ImageTarget, layers: list[PlacedLayer]) -> list[Told] | None:
        """A Dockerfile's history; layers that it does not speak of (a Buildfile's) speak for themselves."""
        if target.history is None:
            return None
        own = [layer.step for layer in layers if layer.own]
        place = {step: at for at, step in enumerate(own)}
        told: list[Told] = []
        done = 0
        for line in target.history:
            at = place.get(StepId(str(line.step))) if line.step else None
            if at is not None:
                told += [Told(self._created_by(step)) for step in own[done:at]]
                done = at + 1
            told.append(Told(line.created_by, line.comment, line.author, at is None))
        return told + [Told(self._created_by(step)) for step in own[done:]]

    def _squashed(self, target: ImageTarget, layers: list[PlacedLayer]) -> list[PlacedLayer]:
        """All layers of our own as one, where the image asks for it."""
        if not target.squash:
            return layers
        base = [layer for layer in layers if not layer.own]
        return [*base, self._stacks.squashed(layers)]

    def _blob(self, layer: PlacedLayer, codec: Codec) -> LayerBlob:
        step = self._graph.steps.get(layer.step)
        where = None if step is None or isinstance(step, BaseStep) else step.where
        with blaming(where) if where else nullcontext():
            form = self._stacks.form(layer, codec)
        return LayerBlob(form.diff_id, form.blob, self._created_by(layer.step))

    def _created_by(self, step_id: StepId) -> str:
        step = self._graph.steps.get(step_id)
        kind = kind_of(step) if step is not None else "squash"
        return f"buildgraph {kind} {unlabelled(_bare(step_id))}"

    def _base(self, target: ImageTarget) -> Config | None:
        first = self._graph.steps[target.stack[0]] if target.stack else None
        return first.config if isinstance(first, BaseStep) else None


def codec_of(target: ImageTarget) -> Codec:
    return Codec.nearest(target.compression, target.level)


def _bare(step: StepId) -> str:
    return step.partition(":")[2]
