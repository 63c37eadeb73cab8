"""From remote caches into the store: records that this machine lacks become records of its own.

All StepKeys of a build that find nothing here are asked for in one batch. Of what is found, only that counts which was
computed from the very results that this build will have below it; that is fetched, checked and written down, blobs
before records, and then nobody can tell it from what was made here. A step that is about to run is asked for by
its ActionKey, in the thread that would run it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from buildgraph.build.lookups import is_alone, unpacks
from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import ContentError
from buildgraph.execute.keeping import keep
from buildgraph.graph.step import BaseStep, RecipeStep, Step, StepId, inputs_of, kind_of
from buildgraph.registry.stopping import StoppedError
from buildgraph.remote.caches import Caches, Found
from buildgraph.remote.record import SharedLayer, step_name
from buildgraph.store.base import ActionResult, Compressed, LayerFacts

if TYPE_CHECKING:
    from buildgraph.build.session import Session

_AT_ONCE: Final = 8
"""Blobs that are fetched at the same time."""


class Adopting:
    """``take`` is safe to call from several threads."""

    def __init__(self, session: "Session", caches: Caches) -> None:
        self._session = session
        self._caches = caches
        self._lock = threading.Lock()
        self.absent: set[str] = set()
        """Names that nobody has."""
        self.seen: dict[str, Found] = {}
        """What was found, by name, whether or not it was of use."""

    def look_up(self, steps: Sequence[StepId], forced: Callable[[Step], object]) -> None:
        """Fill the session's look-ups with what caches know of ``steps`` (inputs first) and the store does not."""
        lookups = self._session.lookups
        graph = self._session.workspace.graph
        wanted = {
            step: step_name(lookups.keys[step])
            for step in steps
            if not isinstance(graph.steps[step], BaseStep)
            and forced(graph.steps[step]) is None
            and lookups.by_step(step) is None
        }
        found = self._find(wanted.values())
        chosen = self._chosen(steps, {s: found[n] for s, n in wanted.items() if n in found})
        if not chosen:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(chosen)), "adopt") as pool:
            results = pool.map(lambda item: self._fetch(*item), chosen.items())
            fetched = [item for item, result in zip(chosen.items(), results, strict=True) if result]
        with self._session.store.records.batch():
            for step, one in fetched:
                lookups.know(step, self._record(one))

    def by_action(self, step: Step, key: ActionKey) -> ActionResult | None:
        """The result of exactly these inputs, now also in the store."""
        name = step_name(key)
        if isinstance(step, BaseStep | RecipeStep):
            return None  # a recipe is made from what is here already
        found = self._find([name]).get(name)
        if found is None or found.record.result is None or found.record.result.action != key:
            return None
        return self._record(found) if self._fetch(step.id, found) else None

    def _find(self, names: Iterable[str]) -> Mapping[str, Found]:
        with self._lock:
            asked = [name for name in names if name not in self.absent]
        found = self._caches.look_up(asked)
        with self._lock:
            self.absent.update(name for name in asked if name not in found)
            self.seen |= found
        return found

    def _chosen(
        self, steps: Sequence[StepId], found: Mapping[StepId, Found]
    ) -> dict[StepId, Found]:
        """What was computed from the results that this build has, as far as that is known before anything runs."""
        graph, lookups = self._session.workspace.graph, self._session.lookups
        names: dict[StepId, tuple[str, ...]] = {}
        chosen: dict[StepId, Found] = {}
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
                    chosen[step_id] = remote
        return chosen

    # -- bytes

    def _fetch(self, step: StepId, found: Found) -> bool:
        """Have all that the record names; a warning where that fails."""

        def fetch() -> bool:
            self._tree(step, found)
            self._layer(step, found)
            return True

        return self._caches.attempt(found.member, fetch, found.name) or False

    def _tree(self, step_id: StepId, found: Found) -> None:
        store, result = self._session.store, found.record.result
        assert result is not None
        step = self._session.workspace.graph.steps[step_id]
        content = b""
        if found.record.tree is not None:
            if store.blobs.has(result.tree):
                return
            tree = found.record.tree
            with found.member.cache.open_blob(tree) as stream:
                content = stream.read(tree.size + 1)
            self._session.access.count(len(content))
        elif isinstance(step, RecipeStep) and not unpacks(step) and is_alone(step):
            recipe = self._session.lookups.recipe(step_id)
            content = recipe.object if recipe else b""
        if Digest.blake3(content) != result.tree:
            raise ContentError(
                "bad-record", f"the record {found.name} has the files of another step"
            )
        store.blobs.put(content, "blake3")

    def _layer(self, step: StepId, found: Found) -> None:
        result, layer = found.record.result, found.record.layer
        assert result is not None
        if layer is None:
            if result.diff_id is not None and result.size:
                raise ContentError("bad-record", f"the record {found.name} lacks its layer")
            return
        form = self._form(step, layer)
        store = self._session.store
        with store.single_flight(f"blob-{form.digest}", self._session.cancelled) as held:
            if not held:
                raise StoppedError
            if not store.blobs.has(form.digest):
                with (
                    self._session.access.fetch(found.member.cache.place, form) as stream,
                    keep(store, form.digest) as kept,
                ):
                    kept.follow(stream).drain()

    def _form(self, step: StepId, layer: SharedLayer) -> Compressed:
        """As an image of this build wants it, if it can be had so."""
        wanted = self._session.stacks.codecs.get(step)
        forms = layer.forms
        return forms[wanted.identity if wanted and wanted.identity in forms else min(forms)]

    # -- records

    def _record(self, found: Found) -> ActionResult:
        """What counts from now on: what was recorded here meanwhile, if there is such a thing."""
        store, layer, result = self._session.store, found.record.layer, found.record.result
        assert result is not None
        with store.records.batch():
            if layer is not None:
                store.layers.put_recipe(layer.tree, "", layer.diff_id)
                store.layers.put_facts(layer.diff_id, LayerFacts(layer.tree, layer.size))
                for codec, form in layer.forms.items():
                    if store.blobs.has(form.digest):
                        store.layers.put_compressed(layer.diff_id, codec, form)
            known = store.records.put_if_absent(result.action, result)
            if known.tree != result.tree and not self._session.lookups.usable(known):
                store.records.replace(result.action, result)
                return result
            return known
