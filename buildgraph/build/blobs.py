"""The blobs of the store's images, those included that only a registry has: these are fetched when they are opened.

An image that stands on a base in a registry names the base's layers without their being here. Whoever wants their bytes
(an archive, an upload to another registry, a check) asks here; what is fetched stays.
"""

from collections.abc import Iterable
from typing import BinaryIO

from buildgraph.build.registries import Access
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError, LayerLostError, RemoteError
from buildgraph.execute.keeping import keep
from buildgraph.registry.stopping import StoppedError
from buildgraph.store.local import LocalStore
from buildgraph.store.origins import Origin

_AT_ONCE = 4


class Blobs:
    """Safe to use from several threads."""

    def __init__(self, store: LocalStore, access: Access) -> None:
        self._store = store
        self._access = access

    def open(self, digest: Digest) -> BinaryIO:
        """Raises ContentError (``blob-missing``) for what nobody has, RemoteError when nobody gives it."""
        stream = self._store.blobs.open(digest)
        if stream is None:
            self._fetch(digest)
            stream = self._store.blobs.open(digest)
        if stream is None:
            raise ContentError("blob-missing", f"the store lacks the blob {digest}")
        return stream

    def fetch(self, digests: Iterable[Digest]) -> None:
        """Have all of them here, several at once."""
        missing = [d for d in dict.fromkeys(digests) if not self._store.blobs.has(d)]
        if not missing:
            return
        from concurrent.futures import ThreadPoolExecutor

        from buildgraph.execute.interrupt import interruptible

        stop = self._access.stop
        with interruptible(stop.set), ThreadPoolExecutor(_AT_ONCE, "blobs") as pool:
            for done in [pool.submit(self._fetch, digest) for digest in missing]:
                done.result()

    def _fetch(self, digest: Digest) -> None:
        with self._store.single_flight(f"blob-{digest}", self._access.stop) as held:
            if not held:
                raise StoppedError
            origin = None if self._store.blobs.has(digest) else self._store.origins.find(digest)
            if origin is not None:
                self._from_any(origin)

    def _from_any(self, origin: Origin) -> None:
        """From the first place that gives it; the first error if none does.

        Raises LayerLostError of what a step can make again.
        """
        errors: list[BuildgraphError] = []
        for place in origin.places:
            try:
                with (
                    self._access.fetch(place, origin.blob) as stream,
                    keep(self._store, origin.blob.digest) as kept,
                ):
                    kept.follow(stream).drain()
            except (RemoteError, ContentError) as error:
                errors.append(error)
            else:
                return
        if origin.again:
            raise _lost(origin.blob.digest, errors[0]) from errors[0]
        raise errors[0]


def _lost(digest: Digest, why: BuildgraphError) -> LayerLostError:
    error = LayerLostError(
        "layer-lost",
        f"the layer {digest} was left in a remote cache, which does not give it: {why.message}",
        hint="build again: the step that made it runs then",
    )
    error.digest = digest
    return error
