"""What is sent to a remote cache: a record with its blobs, put together when the first cache wants it."""

import io
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, BinaryIO

from buildgraph.build.lookups import is_alone, unpacks
from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.execute.placement import PlacedLayer
from buildgraph.fs.compress import Codec
from buildgraph.graph.step import RecipeStep, StepId
from buildgraph.oci.descriptor import Descriptor
from buildgraph.remote.caches import Found
from buildgraph.remote.record import TREE, Record, SharedLayer, layer_name, step_name
from buildgraph.store.base import ActionResult

if TYPE_CHECKING:
    from buildgraph.build.session import Session

Open = Callable[[], BinaryIO]


class Parcel:
    """``names`` are those of the record; ``step`` is whose it is."""

    def __init__(
        self, step: StepId, names: tuple[str, ...], pack: Callable[[], tuple[Record, bytes]],
        session: "Session", action: str = "",
    ) -> None:  # fmt: skip
        self.step = step
        self.names = names
        self._pack = pack
        self._session = session
        self._action = action

    @cached_property
    def packed(self) -> tuple[Record, list[tuple[Descriptor, Open]]]:
        """The record, and its blobs with how to open them."""
        record, content = self._pack()
        blobs: list[tuple[Descriptor, Open]] = []
        for blob in record.blobs if record.tree or record.layer else ():
            is_tree = blob.media_type == TREE
            opened: Open = partial(io.BytesIO, content)
            blobs.append(
                (blob, opened if is_tree else partial(self._session.blobs.open, blob.digest))
            )
        return record, blobs

    def is_in(self, found: Found) -> bool:
        """Whether the record there says the same."""
        result = found.record.result
        return result.action == self._action if result else not self._action


def of_step(session: "Session", step: StepId, result: ActionResult) -> Parcel:
    names = dict.fromkeys((step_name(result.action), step_name(session.lookups.keys[step])))
    pack = partial(_pack_step, session, step, result)
    return Parcel(step, tuple(names), pack, session, result.action)


def of_layer(session: "Session", layer: PlacedLayer, codec: Codec) -> Parcel:
    """Of a layer that is no step's own: a copy as it lies over its stack."""
    names = (layer_name(layer.tree, codec.identity),)
    return Parcel(layer.step, names, partial(_pack_layer, session, layer, codec), session)


def _pack_step(session: "Session", step: StepId, result: ActionResult) -> tuple[Record, bytes]:
    tree, content = None, b""
    if not is_made_anywhere(session, step):
        found = session.store.blobs.read(result.tree)
        if found is None:
            raise ContentError("blob-missing", f"the tree of {step} is no longer in the store")
        content = found
        tree = Descriptor(TREE, Digest.sha256(content), len(content))
    layer = None
    if result.diff_id and result.size:
        codec = session.stacks.codecs.get(step) or Codec()
        layer = _shared(session, PlacedLayer(step, result.tree), codec)
    return Record(result, tree, layer), content


def _pack_layer(session: "Session", layer: PlacedLayer, codec: Codec) -> tuple[Record, bytes]:
    return Record(layer=_shared(session, layer, codec)), b""


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
    """Whether the layer is no step's own, and takes files of others to be packed."""
    if not layer.own or layer.step not in session.workspace.graph.steps:
        return False
    settled = session.stacks.placed.settled[layer.step]
    if settled.diff_id is not None:
        return layer.tree != settled.tree
    recipe = session.lookups.recipe(layer.step)
    origins = recipe.origins.values() if recipe else ()
    return any(not one.host and one.data is None for one in origins)
