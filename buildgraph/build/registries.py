"""The registries of one session: opened when something is first asked of them.

Nothing is imported and no credential read before that: most builds need no network.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.events import Observer
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.stopping import Stop, StoppedError
from buildgraph.store.base import Compressed
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from pathlib import Path

    from buildgraph.build.remote import Remote
    from buildgraph.registry.client import Repository


class Access:
    """Safe to use from several threads. ``undo`` closes the connections.

    ``ca`` is a bundle that is trusted besides the system's; it may be set until the first use. Setting ``stop`` ends
    what is waited for and read.
    """

    def __init__(
        self,
        store: LocalStore,
        environ: Mapping[str, str],
        observer: Observer,
        undo: ExitStack,
        stop: Stop | None = None,
    ) -> None:
        self._store = store
        self._environ = environ
        self.observer = observer
        self._undo = undo
        self.stop = stop or Stop()
        self._lock = threading.Lock()
        self._remote: Remote | None = None
        self._counted = 0
        self.ca: Path | None = None

    @property
    def remote(self) -> "Remote":
        with self._lock:
            if self._remote is None:
                from buildgraph.build.remote import Remote

                self._remote = Remote(
                    self._store, self._environ, self.observer, self._undo, self.stop, self.ca
                )
            return self._remote

    @property
    def fetched(self) -> int:
        """Bytes that came from registries and remote caches; asking what a name means is not counted."""
        return self._counted + (self._remote.fetched if self._remote else 0)

    def count(self, size: int) -> None:
        """Bytes that came from elsewhere than a registry's blobs."""
        with self._lock:
            self._counted += size

    def repository(self, name: str) -> "Repository":
        """``name`` is a reference; only its host and path count."""
        return self.remote.repository(Reference.parse(name))

    def cache(self, name: str) -> "Repository":
        """The same for a remote cache, which is not waited for as long."""
        return self.remote.cache(Reference.parse(name))

    def _check(self) -> None:
        if self.stop.is_set():
            raise StoppedError

    @contextmanager
    def fetch(self, place: str, blob: Compressed) -> Iterator[BinaryIO]:
        """A blob of the repository ``place``, or of a cache's folder, checked while it is read."""
        if place.startswith("file://"):
            from buildgraph.remote.folder import Folder

            descriptor = Descriptor(blob.media_type, blob.digest, blob.size)
            with Folder(place.removeprefix("file://")).open_blob(descriptor) as stream:
                yield stream
            self.count(blob.size)
            return
        with self.remote.fetch(place, blob, self._check) as stream:
            yield stream


@dataclass(frozen=True, slots=True)
class RegistryLayers:
    """The layers of one image in the repository ``place``."""

    access: Access
    place: str
    blobs: tuple[Compressed, ...]

    @contextmanager
    def open_blob(self, digest: Digest) -> Iterator[BinaryIO]:
        for blob in self.blobs:
            if blob.digest == digest:
                with self.access.fetch(self.place, blob) as stream:
                    yield stream
                return
        raise ContentError("blob-missing", f"{self.place} has no layer {digest} of this image")
