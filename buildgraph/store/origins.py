"""Where can blobs be fetched that need not be here? The layers of bases, which images name without having them.

Keys in the record index, with their values::

    origin:DIGEST     {"media_type", "places": [repository, …], "size"}   the last place that was added comes first
    pinned:MANIFEST   the digest of its config; both documents are in the store for the sake of a base's pin

A repository is ``host/path``, as :attr:`buildgraph.names.Reference.repository` writes it. What is said here was once
true; whoever relies on it must cope with a registry that no longer has the blob.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from buildgraph.digest import Digest
from buildgraph.store.base import Compressed

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.index import RecordIndex

_MOST: Final = 16
"""Places that are remembered of one blob."""


class Origin(NamedTuple):
    blob: Compressed
    places: tuple[str, ...]


class LocalOrigins:
    def __init__(self, index: Callable[[], "RecordIndex"]) -> None:
        self._index = index

    def find(self, digest: Digest) -> Origin | None:
        return decode_origin(digest, self._index().get(f"origin:{digest}"))

    def places(self, digest: Digest) -> tuple[str, ...]:
        """() of a blob that nobody is known to have."""
        found = self.find(digest)
        return found.places if found else ()

    def add(self, blobs: Iterable[Compressed], place: str) -> None:
        """Idempotent: what is known already is not written again."""
        fresh = {}
        for blob in blobs:
            known = self.places(blob.digest)
            if place not in known:
                fresh[blob] = (place, *known)[:_MOST]
        if fresh:
            with self._index().transaction():
                for blob, places in fresh.items():
                    self._index().set(f"origin:{blob.digest}", encode_origin(Origin(blob, places)))

    def keep_image(self, manifest: Digest, config: Digest) -> None:
        """Two blobs that belong together although no image of the store consists of them."""
        if self._index().get(f"pinned:{manifest}") != config:
            self._index().set(f"pinned:{manifest}", config)


def encode_origin(origin: Origin) -> "Value":
    blob = origin.blob
    return {"media_type": blob.media_type, "places": list(origin.places), "size": blob.size}


def decode_origin(digest: Digest, value: "Value") -> Origin | None:
    match value:
        case {"media_type": str(kind), "size": int(size), "places": [*places]} if places:
            named = tuple(place for place in places if isinstance(place, str))
            return Origin(Compressed(digest, size, kind), named)
        case _:
            return None
