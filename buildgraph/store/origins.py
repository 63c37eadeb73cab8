"""Where can blobs be fetched that need not be here? The layers of bases, which images name without having them, and
those of steps that a remote cache has.

Keys in the record index, with their values::

    origin:DIGEST     {"again", "media_type", "places": [repository, …], "size"}   the last place comes first
    pinned:MANIFEST   the digest of its config; both documents are in the store for the sake of a base's pin

A repository is ``host/path``, as :attr:`buildgraph.names.Reference.repository` writes it; a remote cache in a folder
is its ``file://`` URL. What is said here was once
true; whoever relies on it must cope with a registry that no longer has the blob.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.store.base import Compressed
from buildgraph.store.remotes import LocalKnown

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.index import Index

_MOST: Final = 16
"""Places that are remembered of one blob."""


class Origin(NamedTuple):
    """``again``: a step can make it again, should nobody give it."""

    blob: Compressed
    places: tuple[str, ...]
    again: bool = False


class LocalOrigins:
    def __init__(self, index: Callable[[], "Index"], seen: LocalKnown) -> None:
        self._index = index
        self._seen = seen

    def find(self, digest: Digest) -> Origin | None:
        return decode_origin(digest, self._index().get(f"origin:{digest}"))

    def places(self, digest: Digest) -> tuple[str, ...]:
        """() of a blob that nobody is known to have."""
        found = self.find(digest)
        return found.places if found else ()

    def add(self, blobs: Iterable[Compressed], place: str, *, again: bool = False) -> None:
        """Idempotent: what is known already is not written again."""
        blobs, fresh = tuple(blobs), []
        if "://" not in place:
            self._seen.hear(place, [blob.digest for blob in blobs])
        for blob in blobs:
            known = self.find(blob.digest)
            places = known.places if known else ()
            if place not in places:
                again = again or (known is not None and known.again)
                fresh.append(Origin(blob, (place, *places)[:_MOST], again))
        if fresh:
            with self._index().transaction():
                for origin in fresh:
                    self._index().set(f"origin:{origin.blob.digest}", encode_origin(origin))

    def distrust(self, digest: Digest) -> None:
        """The places of ``digest`` do not give it: rely on nothing there any more that can be made again."""
        index = self._index()
        bad = set(self.places(digest))
        with index.transaction():
            for key in index.keys() if bad else ():
                name = key.removeprefix("origin:")
                origin = decode_origin(Digest(name), index.get(key)) if name != key else None
                if origin is None or not origin.again or bad.isdisjoint(origin.places):
                    continue
                left = tuple(place for place in origin.places if place not in bad)
                if left:
                    index.set(key, encode_origin(origin._replace(places=left)))
                else:
                    index.delete(key)

    def keep_image(self, manifest: Digest, config: Digest) -> None:
        """Two blobs that belong together although no image of the store consists of them."""
        if self._index().get(f"pinned:{manifest}") != config:
            self._index().set(f"pinned:{manifest}", config)

    def configs(self) -> Iterator[Digest]:
        """Of all images that were kept so."""
        index = self._index()
        for key in index.keys():  # noqa: SIM118 - no mapping
            if key.startswith("pinned:"):
                with suppress(ContentError):
                    yield Digest.parse(index.get(key))


def encode_origin(origin: Origin) -> "Value":
    blob = origin.blob
    plain: dict[str, Value] = {
        "media_type": blob.media_type,
        "places": list(origin.places),
        "size": blob.size,
    }
    return plain | ({"again": True} if origin.again else {})


def decode_origin(digest: Digest, value: "Value") -> Origin | None:
    match value:
        case {"media_type": str(kind), "size": int(size), "places": [*places]} if places:
            named = tuple(place for place in places if isinstance(place, str))
            again = isinstance(value, dict) and value.get("again") is True
            return Origin(Compressed(digest, size, kind), named, again)
        case _:
            return None
