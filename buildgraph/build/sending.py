"""From the store into remote caches: what a step yielded goes up while the build goes on.

A record follows its blobs. The first record of a name stays, except where this build found it to be of no use: damaged,
computed from other inputs than those that its StepKey now has, or older than a step that was forced to run again.
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal

from buildgraph.build.parcels import Parcel, is_dear, of_dirs, of_layer, of_step
from buildgraph.errors import BuildgraphError, ContentError, LayerLostError, RemoteError
from buildgraph.execute.ops_image import codec_of
from buildgraph.fs.compress import Codec
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.step import RunStep, StepId
from buildgraph.remote.caches import Caches, Member
from buildgraph.remote.record import parse
from buildgraph.store.base import ActionResult

if TYPE_CHECKING:
    from buildgraph.build.adopting import Adopting
    from buildgraph.build.session import Session

_AT_ONCE: Final = 6


class Sending:
    """``keep`` returns at once; ``finish`` waits for everything."""

    def __init__(self, session: "Session", caches: Caches, adopting: "Adopting") -> None:
        self._session = session
        self._caches = caches
        self._adopting = adopting
        self._pool = ThreadPoolExecutor(_AT_ONCE, "cache-send")
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
        writable = self._caches.writable
        for layer in (True, False):
            members = [member for member in writable if _takes(member, step) == layer]
            if members:
                parcel = of_step(self._session, step, result, layer=layer)
                self._queue(members, parcel, replace=replace)

    def keep_layers(self, image: ImageTarget) -> None:
        """Those of a finished image that are dear to pack and that no step's record has."""
        if image.squash or not self._caches.writable:
            return
        for layer in self._session.stacks.placed.place(image.stack):
            members = [one for one in self._caches.writable if _takes(one, layer.step)]
            if members and is_dear(self._session, layer):
                parcel = of_layer(self._session, layer, codec_of(image))
                self._queue(members, parcel, replace=False)

    def keep_dirs(self, steps: Iterable[StepId]) -> None:
        """What is known of the layers of bases in registries, for machines that are to lay files over them."""
        bases, writable = self._session.bases, self._caches.writable
        found = [layer for step in steps for layer in bases.layers.get(step, ()) if layer.place]
        for diff_id in dict.fromkeys(layer.diff_id for layer in found) if writable else ():
            if bases.has_dirs(diff_id):
                self._queue(writable, of_dirs(self._session, diff_id), replace=False)

    def _queue(self, members: Sequence[Member], parcel: Parcel, *, replace: bool) -> None:
        self._jobs.append(self._pool.submit(self._send, members, parcel, replace=replace))

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
        self._pool.shutdown(cancel_futures=True)

    def _send(self, members: Sequence[Member], parcel: Parcel, *, replace: bool) -> None:
        for member in members:

            def send(member: Member = member) -> bool:
                self._send_to(member, parcel, replace=replace)
                return True

            try:
                if not self._caches.attempt(member, send):
                    member.lost = True
            except LayerLostError:  # of a cache that is read; this one is not to blame
                member.lost = True

    def _send_to(self, member: Member, parcel: Parcel, *, replace: bool) -> None:
        states = {name: self._state(member, name, parcel) for name in parcel.names}
        wanted = [name for name, state in states.items() if replace or state != "there"]
        if not wanted:
            return
        record, blobs = parcel.packed
        afresh = not self._caches.bad.isdisjoint(wanted)
        for _ in range(2):
            for blob, open_blob in blobs:
                sent = member.cache.put_blob(blob, open_blob, afresh=afresh)
                with self._counting:
                    self.sent += sent
            try:
                for name in wanted:
                    overrule = replace or states[name] == "poor"
                    member.cache.put(name, record.to_bytes(), replace=overrule)
            except ContentError:
                continue  # it lacks what it was seen to have
            return
        raise RemoteError(
            "cache-failed", f"{member.url} takes a record's blobs, and lacks them then"
        )

    def _state(
        self, member: Member, name: str, parcel: Parcel
    ) -> Literal["there", "poor", "absent"]:
        """What the cache has under the name: a record that will do, one that will not, or none."""
        if name in self._caches.bad:
            return "poor"
        found = self._adopting.seen.get(name)
        if found is not None and found.member is member:
            return "there" if parcel.is_in(found.record) else "poor"
        if member.url.read and name in self._adopting.absent:
            return "absent"
        content = member.cache.get(name)
        if content is None:
            return "absent"
        try:
            return "poor" if parcel.betters(parse(content, name)) else "there"
        except ContentError:
            return "poor"


def _takes(member: Member, step: StepId) -> bool:
    return member.steps is None or step in member.steps


def _unwritten(member: Member) -> RemoteError:
    return RemoteError(
        "cache-not-written",
        f"the cache {member.url} could not be written, as a warning says",
        hint="without ignore-error=false the build succeeds all the same",
    )
