"""From the store into remote caches: what a step yielded goes up while the build goes on.

A record follows its blobs. The first record of a name stays, except where this build found it to be of no use: damaged,
computed from other inputs than those that its StepKey now has, or older than a step that was forced to run again.
"""

import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from buildgraph.build.lookups import is_alone, unpacks
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError, RemoteError
from buildgraph.execute.placement import PlacedLayer
from buildgraph.fs.compress import Codec
from buildgraph.graph.step import RecipeStep, RunStep, StepId
from buildgraph.oci.descriptor import Descriptor
from buildgraph.remote.caches import Caches, Member
from buildgraph.remote.record import TREE, Record, SharedLayer, step_name
from buildgraph.store.base import ActionResult

if TYPE_CHECKING:
    from buildgraph.build.adopting import Adopting
    from buildgraph.build.session import Session

_AT_ONCE: Final = 6

Open = Callable[[], BinaryIO]


class Sending:
    """``keep`` returns at once; ``finish`` waits for everything."""

    def __init__(self, session: "Session", caches: Caches, adopting: "Adopting") -> None:
        self._session = session
        self._caches = caches
        self._adopting = adopting
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: list[Future[None]] = []
        self._counting = threading.Lock()
        self.sent = 0
        """Bytes that went up."""

    def prepare(self, steps: Sequence[StepId]) -> None:
        """Have the layers compressed while they are packed, that only a cache wants so."""
        graph, codecs = self._session.workspace.graph, self._session.stacks.codecs
        for member in self._caches.writable:
            for step in steps:
                if isinstance(graph.steps[step], RunStep) and _takes(member, step):
                    codecs.setdefault(step, Codec())

    def keep(self, step: StepId, result: ActionResult, *, replace: bool = False) -> None:
        """``replace``: the step was forced to run, so its result overrules what is there."""
        wanted = [member for member in self._caches.writable if _takes(member, step)]
        if not wanted:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, "cache-send")
        self._jobs.append(self._pool.submit(self._send, wanted, step, result, replace=replace))

    def finish(self) -> list[BuildgraphError]:
        """Wait; what could not be written to caches whose user insists on that."""
        try:
            for job in self._jobs:
                job.result()
        finally:
            self.close()
        members = self._caches.members
        insisted = [one for one in members if one.url.strict and one.url.write]
        return [_unwritten(one) for one in insisted if one.broken or one.lost]

    def close(self) -> None:
        """Idempotent; what has not begun is left out."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _send(
        self, members: Sequence[Member], step: StepId, result: ActionResult, *, replace: bool
    ) -> None:
        parcel = _Parcel(self._session, step, result)
        for member in members:

            def send(member: Member = member) -> bool:
                self._send_to(member, parcel, replace=replace)
                return True

            if not self._caches.attempt(member, send):
                member.lost = True

    def _send_to(self, member: Member, parcel: "_Parcel", *, replace: bool) -> None:
        names = [n for n in parcel.names if replace or not self._has(member, n, parcel.result)]
        if not names:
            return
        record, blobs = parcel.packed()
        afresh = not self._caches.bad.isdisjoint(names)
        for _ in range(2):
            for blob, open_blob in blobs:
                sent = member.cache.put_blob(blob, open_blob, afresh=afresh)
                with self._counting:
                    self.sent += sent
            try:
                for name in names:
                    overrule = replace or name in self._adopting.seen or name in self._caches.bad
                    member.cache.put(name, record.to_bytes(), replace=overrule)
            except ContentError:
                continue  # it lacks what it was seen to have
            return
        raise RemoteError(
            "cache-failed", f"{member.url} takes a record's blobs, and lacks them then"
        )

    def _has(self, member: Member, name: str, result: ActionResult) -> bool:
        """Whether the record there will do: this one, or another's that this build did not look at."""
        if name in self._caches.bad:
            return False
        found = self._adopting.seen.get(name)
        if found is not None and found.member is member:
            known = found.record.result
            return known is not None and known.action == result.action
        if member.url.read and name in self._adopting.absent:
            return False
        return member.cache.has(name)


class _Parcel:
    """What is sent of one step, put together when the first cache wants it."""

    def __init__(self, session: "Session", step: StepId, result: ActionResult) -> None:
        self._session = session
        self._step = step
        self.result = result
        key = session.lookups.keys[step]
        self.names = tuple(dict.fromkeys((step_name(result.action), step_name(key))))
        self._made: tuple[Record, list[tuple[Descriptor, Open]]] | None = None

    def packed(self) -> tuple[Record, list[tuple[Descriptor, Open]]]:
        if self._made is None:
            self._made = self._pack()
        return self._made

    def _pack(self) -> tuple[Record, list[tuple[Descriptor, Open]]]:
        blobs: list[tuple[Descriptor, Open]] = []
        tree = None
        if not self._is_known():
            content = self._session.store.blobs.read(self.result.tree)
            if content is None:
                raise ContentError(
                    "blob-missing", f"the tree of {self._step} is no longer in the store"
                )
            tree = Descriptor(TREE, Digest.sha256(content), len(content))
            blobs.append((tree, lambda: io.BytesIO(content)))
        layer = self._layer() if self.result.diff_id and self.result.size else None
        record = Record(self.result, tree, layer)
        if layer is not None:
            opened = self._session.blobs.open
            blobs += [(one, partial(opened, one.digest)) for one in record.blobs[len(blobs) :]]
        return record, blobs

    def _is_known(self) -> bool:
        """Whether everybody who asks for it can make its tree."""
        step = self._session.workspace.graph.steps[self._step]
        return isinstance(step, RecipeStep) and not unpacks(step) and is_alone(step)

    def _layer(self) -> SharedLayer:
        session, result = self._session, self.result
        codec = session.stacks.codecs.get(self._step) or Codec()
        form = session.stacks.form(PlacedLayer(self._step, result.tree), codec)
        facts = session.store.layers.facts(form.diff_id)
        if facts is None:
            raise ContentError(
                "layer-missing", f"the layer of {self._step} is no longer in the store"
            )
        return SharedLayer(result.tree, form.diff_id, facts.size, {codec.identity: form.blob})


def _takes(member: Member, step: StepId) -> bool:
    return member.steps is None or step in member.steps


def _unwritten(member: Member) -> RemoteError:
    return RemoteError(
        "cache-not-written",
        f"the cache {member.url} could not be written, as a warning says",
        hint="without ignore-error=false the build succeeds all the same",
    )
