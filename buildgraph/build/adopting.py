"""From remote caches into the store: records that this machine lacks become records of its own.

All StepKeys of a build that find nothing here are asked for in one batch. Of what is found, only that counts which was
computed from the very results that this build will have below it. Its tree object is fetched and checked, and the
record written down as if it had been made here; the layer stays where it is until something needs its bytes. A step
that is about to run is asked for by its ActionKey, in the thread that would run it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from buildgraph.build.parcels import is_dear, is_made_anywhere
from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import BuildgraphError, ContentError
from buildgraph.execute.keeping import keep
from buildgraph.execute.ops_image import codec_of
from buildgraph.execute.placement import PlacedLayer
from buildgraph.fs import dirs
from buildgraph.fs.compress import Codec
from buildgraph.fs.tree import encode
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.step import BaseStep, RecipeStep, Step, StepId, inputs_of, kind_of
from buildgraph.registry.stopping import StoppedError
from buildgraph.remote.caches import Caches, Found, Member
from buildgraph.remote.record import TREE, SharedLayer, dirs_name, layer_name, step_name
from buildgraph.store.base import ActionResult, LayerFacts

if TYPE_CHECKING:
    from buildgraph.build.session import Session

_AT_ONCE: Final = 8
"""Blobs that are fetched at the same time."""


class Adopting:
    """``take`` is safe to call from several threads."""

    def __init__(
        self, session: "Session", caches: Caches, images: Sequence[ImageTarget] = ()
    ) -> None:
        """``images`` are those that are made."""
        self._session = session
        self._caches = caches
        self._lock = threading.Lock()
        self._seeking = threading.Lock()
        self._asking = threading.Lock()
        self._unasked = [image for image in images if not image.squash]
        """Images whose layers nobody has asked for yet."""
        self._layers: dict[str, Found | None] = {}
        """What was found of them, by name."""
        self.absent: set[str] = set()
        """Names that nobody has."""
        self.seen: dict[str, Found] = {}
        """What was found, by name, whether or not it was of use."""

    def look_up(self, steps: Sequence[StepId], forced: Callable[[Step], object]) -> None:
        """Fill the session's look-ups with what caches know of ``steps`` (inputs first) and the store does not."""
        wanted = names_of_unknown(self._session, steps, forced)
        found = self._find(wanted.values())
        there = {step: found[name] for step, name in wanted.items() if name in found}
        taken = chosen(self._session, steps, there)
        if not taken:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(taken)), "adopt") as pool:
            results = pool.map(lambda item: self._fetch(*item), taken.items())
            fetched = [item for item, result in zip(taken.items(), results, strict=True) if result]
        with self._session.store.records.batch():
            for step, one in fetched:
                self._session.lookups.know(step, self._record(one))

    def by_action(self, step: Step, key: ActionKey) -> ActionResult | None:
        """The result of exactly these inputs, now also in the store."""
        name = step_name(key)
        if isinstance(step, BaseStep | RecipeStep):
            return None  # a recipe is made from what is here already
        found = self._find([name]).get(name)
        if found is None or found.record.result is None or found.record.result.action != key:
            return None
        return self._record(found) if self._fetch(step.id, found) else None

    def _record_layer(self, found: Found, layer: SharedLayer) -> None:
        """Its bytes may stay where they are until something needs them."""
        store = self._session.store
        store.layers.put_recipe(layer.tree, "", layer.diff_id)
        store.layers.put_facts(layer.diff_id, LayerFacts(layer.tree, layer.size))
        store.origins.add(layer.forms.values(), found.member.cache.place, again=True)
        for codec, form in layer.forms.items():
            store.layers.put_away(layer.diff_id, codec, form)

    def layer(self, layer: PlacedLayer, codec: Codec) -> bool:
        """Have the compressed form of a layer that would be dear to make; its bytes stay where they are."""
        if not is_dear(self._session, layer):
            return False
        found = self._found_layer(layer_name(layer.tree, codec.identity))
        shared = found.record.layer if found else None
        if found is None or shared is None or shared.tree != layer.tree:
            return False
        if codec.identity not in shared.forms or not self._brought(found):
            return False
        placed, store = self._session.stacks.placed, self._session.store
        content = placed.objects.get(layer.tree) or encode(placed.tree(layer.tree))
        store.blobs.put(content, "blake3")
        with store.records.batch():
            self._record_layer(found, shared)
        return True

    def _found_layer(self, name: str) -> Found | None:
        """Whoever comes first asks for the layers of all images that can be made by now, too."""
        with self._asking:
            if name not in self._layers:
                names = {name, *self._names_of_layers()}
                found = self._find(names)
                self._layers.update((one, found.get(one)) for one in names)
            return self._layers[name]

    def _names_of_layers(self) -> Iterator[str]:
        session, stacks = self._session, self._session.stacks
        steps, settled = session.workspace.graph.steps, stacks.placed.settled
        for image in tuple(self._unasked):
            if not all(s in settled or isinstance(steps[s], BaseStep) for s in image.stack):
                continue
            self._unasked.remove(image)
            codec = codec_of(image)
            with suppress(BuildgraphError):  # told when the image is made
                for layer in stacks.placed.place(image.stack):
                    if is_dear(session, layer) and not stacks.is_at_hand(layer, codec):
                        yield layer_name(layer.tree, codec.identity)

    def dirs(self, diff_ids: Sequence[Digest]) -> None:
        """Have in the store what caches know of layers of bases: their dirs indexes."""
        with self._seeking:
            layers = self._session.store.layers
            wanted = {dirs_name(one): one for one in diff_ids if layers.dirs(one) is None}
            found = self._find(wanted)
            for name, one in found.items():
                attempt = partial(self._bring_dirs, one, wanted[name])
                self._caches.attempt(one.member, attempt, name)

    def _bring_dirs(self, found: Found, diff_id: Digest) -> None:
        blob = found.record.dirs
        if blob is None or blob.size > dirs.LARGEST:
            raise ContentError("bad-record", f"the record {found.name} has no dirs index")
        with found.member.cache.open_blob(blob) as stream:
            content = stream.read(blob.size + 1)
        self._session.access.count(len(content))
        dirs.decode(diff_id, content)
        self._session.store.layers.put_dirs(diff_id, content)

    def _brought(self, found: Found) -> bool:
        def bring() -> bool:
            self._layer(found)
            return True

        return self._caches.attempt(found.member, bring, found.name) or False

    def _find(self, names: Iterable[str]) -> Mapping[str, Found]:
        with self._lock:
            asked = [name for name in names if name not in self.absent]
        found = self._caches.look_up(asked)
        with self._lock:
            self.absent.update(name for name in asked if name not in found)
            self.seen |= found
        usable = {name: one for name, one in found.items() if not self._is_lost(one)}
        self._caches.bad.update(found.keys() - usable.keys())
        return usable

    def _is_lost(self, found: Found) -> bool:
        """Whether this build found out that the cache does not have what the record promises, or that it needs bytes
        which the cache never had."""
        lost, layer = self._session.lost, found.record.layer
        if layer is None:
            return bool(lost) and _is_bare(found)
        return any(form.digest in lost for form in layer.forms.values())

    # -- bytes

    def _fetch(self, step: StepId, found: Found) -> bool:
        """Have all that the record names; a warning where that fails."""

        def fetch() -> bool:
            self._tree(step, found)
            self._layer(found)
            return True

        return self._caches.attempt(found.member, fetch, found.name) or False

    def _tree(self, step_id: StepId, found: Found) -> None:
        store, result = self._session.store, found.record.result
        assert result is not None
        content = b""
        if found.record.tree is not None:
            if store.blobs.has(result.tree):
                return
            tree = found.record.tree
            with found.member.cache.open_blob(tree) as stream:
                content = stream.read(tree.size + 1)
            self._session.access.count(len(content))
        elif is_made_anywhere(self._session, step_id):
            recipe = self._session.lookups.recipe(step_id)
            content = recipe.object if recipe else b""
        if Digest.blake3(content) != result.tree:
            raise ContentError(
                "bad-record", f"the record {found.name} has the files of another step"
            )
        store.blobs.put(content, "blake3")

    def _layer(self, found: Found) -> None:
        layer = found.record.layer
        if layer is None:
            return
        for blob in found.record.blobs:
            if blob.media_type != TREE and found.member.cache.lacks(blob):
                raise ContentError("blob-missing", f"the record {found.name} lacks {blob.digest}")
        if self._session.lost:
            self._bring(found.member, layer)

    def _bring(self, member: Member, layer: SharedLayer) -> None:
        """Nothing is left in caches any more once one of them did not give what was left there."""
        store = self._session.store
        for form in layer.forms.values():
            with store.single_flight(f"blob-{form.digest}", self._session.cancelled) as held:
                if not held:
                    raise StoppedError
                if not store.blobs.has(form.digest):
                    with (
                        self._session.access.fetch(member.cache.place, form) as stream,
                        keep(store, form.digest) as kept,
                    ):
                        kept.follow(stream).drain()

    # -- records

    def _record(self, found: Found) -> ActionResult:
        """What counts from now on: what was recorded here meanwhile, if there is such a thing."""
        store, layer, result = self._session.store, found.record.layer, found.record.result
        assert result is not None
        with store.records.batch():
            if layer is not None:
                self._record_layer(found, layer)
            elif _is_bare(found):
                self._session.lookups.bare.add(result.action)
            known = store.records.put_if_absent(result.action, result)
            if known.tree != result.tree and not self._session.lookups.usable(known):
                store.records.replace(result.action, result)
                return result
            return known


def names_of_unknown(
    session: "Session", steps: Iterable[StepId], forced: Callable[[Step], object]
) -> dict[StepId, str]:
    """The records to ask for: of steps that the store has no result of."""
    graph, lookups = session.workspace.graph, session.lookups
    return {
        step: step_name(lookups.keys[step])
        for step in steps
        if not isinstance(graph.steps[step], BaseStep)
        and forced(graph.steps[step]) is None
        and lookups.by_step(step) is None
    }


def chosen(
    session: "Session", steps: Sequence[StepId], found: Mapping[StepId, Found]
) -> dict[StepId, Found]:
    """What was computed from the results that this build has, as far as that is known before anything runs."""
    graph, lookups = session.workspace.graph, session.lookups
    names: dict[StepId, tuple[str, ...]] = {}
    taken: dict[StepId, Found] = {}
    for step_id in steps:
        step = graph.steps[step_id]
        if isinstance(step, BaseStep):
            names[step_id] = step.layers
            continue
        remote = found.get(step_id)
        result = remote.record.result if remote else lookups.by_step(step_id)
        inputs = [names.get(source) for source in inputs_of(step)]
        if result is None or result.kind != kind_of(step) or None in inputs:
            continue
        if result.identities == tuple(n for known in inputs for n in known or ()):
            names[step_id] = (result.tree,)
            if remote:
                taken[step_id] = remote
    return taken


def _is_bare(found: Found) -> bool:
    """Whether the result has files, and nobody kept them."""
    result, layer = found.record.result, found.record.layer
    return layer is None and result is not None and result.diff_id is not None and result.size > 0
