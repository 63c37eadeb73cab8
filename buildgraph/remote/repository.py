"""A remote cache in a repository of a registry: a record is a small artifact, tagged by its name.

    GET  manifests/buildgraph-NAME     the record, in one request
    HEAD manifests/buildgraph-NAME     whether there is one
    PUT  manifests/buildgraph-NAME     after its blobs

The blobs lie in the same repository. An image that is pushed into it finds its layers there; into another one of the
same registry they are mounted.
"""

import io
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import MANIFEST, Descriptor
from buildgraph.registry.client import RegistryError, Repository
from buildgraph.remote.record import EMPTY, NOTHING

PREFIX: Final = "buildgraph-"

_LOST: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})

Near = Callable[[Digest], Sequence[str]]
"""Other repositories of the same registry that may have a blob, to mount it from."""


class RegistryCache:
    """Of the ``repository`` that is called ``place``: the first to need it opens it."""

    def __init__(self, place: str, repository: Callable[[], Repository], near: Near) -> None:
        self.place = place
        self._open = repository
        self._near = near
        self._uploads: defaultdict[Digest, threading.Lock] = defaultdict(threading.Lock)
        """Registries were seen to lose a blob that came twice at the same time."""

    def get(self, name: str) -> bytes | None:
        found = self._open().manifest(PREFIX + name)
        return found.content if found else None

    def has(self, name: str) -> bool:
        return self._open().resolve(PREFIX + name, mirrors=False) is not None

    def put(self, name: str, record: bytes, *, replace: bool = False) -> None:
        repository = self._open()
        if not replace and self.has(name):
            return
        with self._uploads[NOTHING.digest]:
            repository.upload(NOTHING, lambda: io.BytesIO(EMPTY))
        try:
            repository.put_manifest(record, MANIFEST, PREFIX + name)
        except RegistryError as error:
            if _LOST.isdisjoint(error.names):
                raise
            raise ContentError("blob-missing", error.message) from error

    def lacks(self, blob: Descriptor) -> bool:  # noqa: ARG002 - a registry keeps what manifests name
        return False

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        return self._open().open_blob(blob)

    def put_blob(
        self,
        blob: Descriptor,
        open_blob: Callable[[], BinaryIO],
        *,
        afresh: bool = False,  # noqa: ARG002 - registries replace no blobs
    ) -> int:
        with self._uploads[blob.digest]:
            how = self._open().upload(blob, open_blob, self._near(blob.digest))
        return blob.size if how == "uploaded" else 0

    def names(self) -> Iterator[str]:
        for tag in self._open().tags():
            if tag.startswith(PREFIX):
                yield tag.removeprefix(PREFIX)

    def is_empty(self) -> bool:
        return next(iter(self._open().tags()), None) is None
