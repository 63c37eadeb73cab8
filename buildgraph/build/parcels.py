"""What is sent to a remote cache: a record with its blobs, put together when the first cache wants it."""

import io
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, BinaryIO, Final

from buildgraph.build.lookups import is_alone, unpacks
from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.execute.placement import PlacedLayer
from buildgraph.fs import dirs
from buildgraph.fs.compress import Codec
from buildgraph.graph.step import RecipeStep, StepId
from buildgraph.oci.descriptor import Descriptor
from buildgraph.remote.record import (
    DIRS,
    TREE,
    Record,
    SharedLayer,
    dirs_name,
    layer_name,
    step_name,
)
from buildgraph.store.base import ActionResult

if TYPE_CHECKING:
    from buildgraph.build.session import Session

_WORTH: Final = 256 << 10
"""Bytes of files whose layer somebody else may have packed."""

Open = Callable[[], BinaryIO]


class Parcel:
    """``names`` are those of the record; ``action`` is its result's, empty of a layer's record; ``bare``: a record
    without a layer says as much."""

    def __init__(
        self, names: tuple[str, ...], pack: Callable[[], tuple[Record, bytes]],
        session: "Session", action: str = "", *, bare: bool = False,
    ) -> None:  # fmt: skip
        self.names = names
        self._pack = pack
        self._session = session
        self._action = action
        self._bare = bare

    @cached_property
    def packed(self) -> tuple[Record, list[tuple[Descriptor, Open]]]:
        """The record, and its blobs with how to open them."""
        record, content = self._pack()
        blobs: list[tuple[Descriptor, Open]] = []
        for blob in record.blobs if record.tree or record.layer or record.dirs else ():
            is_here = blob.media_type in (TREE, DIRS)
            opened: Open = partial(io.BytesIO, content)
            blobs.append(
                (blob, opened if is_here else partial(self._session.blobs.open, blob.digest))
            )
        return record, blobs

    def is_in(self, record: Record) -> bool:
        """Whether the record says no less."""
        return self._is_same(record) and (self._bare or record.layer is not None)

    def betters(self, record: Record) -> bool:
        """Whether the record says the same, but lacks the layer."""
        return self._is_same(record) and not self.is_in(record)

    def _is_same(self, record: Record) -> bool:
        return record.result.action == self._action if record.result else not self._action


def of_step(
    session: "Session", step: StepId, result: ActionResult, *, layer: bool = True
) -> Parcel:
    """Without its ``layer`` for caches that keep none of this step: others learn what it yields, not the bytes."""
    names = dict.fromkeys((step_name(result.action), step_name(session.lookups.keys[step])))
    layer = layer and result.diff_id is not None and result.size > 0
    pack = partial(_pack_step, session, step, result, layer=layer)
    return Parcel(tuple(names), pack, session, result.action, bare=not layer)


def of_layer(session: "Session", layer: PlacedLayer, codec: Codec) -> Parcel:
    """Of a layer that is no step's own: a copy as it lies over its stack."""
    names = (layer_name(layer.tree, codec.identity),)
    return Parcel(names, partial(_pack_layer, session, layer, codec), session)


def of_dirs(session: "Session", diff_id: Digest) -> Parcel:
    """Of a base's layer, so that nobody has to read it to lay files over it."""
    return Parcel((dirs_name(diff_id),), partial(_pack_dirs, session, diff_id), session, bare=True)


def _pack_step(
    session: "Session", step: StepId, result: ActionResult, *, layer: bool
) -> tuple[Record, bytes]:
    tree, content = None, b""
    if not is_made_anywhere(session, step):
        found = session.store.blobs.read(result.tree)
        if found is None:
            raise ContentError("blob-missing", f"the tree of {step} is no longer in the store")
        content = found
        tree = Descriptor(TREE, Digest.sha256(content), len(content))
    if not layer:
        return Record(result, tree), content
    codec = session.stacks.codecs.get(step) or Codec()
    return Record(result, tree, _shared(session, PlacedLayer(step, result.tree), codec)), content


def _pack_layer(session: "Session", layer: PlacedLayer, codec: Codec) -> tuple[Record, bytes]:
    return Record(layer=_shared(session, layer, codec)), b""


def _pack_dirs(session: "Session", diff_id: Digest) -> tuple[Record, bytes]:
    content = dirs.encode(diff_id, session.bases.dirs(diff_id))
    return Record(dirs=Descriptor(DIRS, Digest.sha256(content), len(content))), content


def _shared(session: "Session", layer: PlacedLayer, codec: Codec) -> SharedLayer:
    form = session.stacks.form(layer, codec)
    facts = session.store.layers.facts(form.diff_id)
    if facts is None:
        raise ContentError("layer-missing", f"the layer of {layer.step} is no longer in the store")
    return SharedLayer(layer.tree, form.diff_id, facts.size, {codec.identity: form.blob})


def is_made_anywhere(session: "Session", step_id: StepId) -> bool:
    """Whether everybody who asks for the step's record can make its tree."""
    step = session.workspace.graph.steps[step_id]
    return isinstance(step, RecipeStep) and not unpacks(step) and is_alone(step)


def is_dear(session: "Session", layer: PlacedLayer) -> bool:
    """Whether the layer is no step's own, and costs more to pack than to ask for: it has files of others, or many."""
    if not layer.own or layer.step not in session.workspace.graph.steps:
        return False
    settled = session.stacks.placed.settled[layer.step]
    if settled.diff_id is not None:
        return layer.tree != settled.tree
    if sum(entry.size for entry in session.stacks.placed.tree(layer.tree)) >= _WORTH:
        return True
    recipe = session.lookups.recipe(layer.step)
    origins = recipe.origins.values() if recipe else ()
    return any(not one.host and one.data is None for one in origins)
