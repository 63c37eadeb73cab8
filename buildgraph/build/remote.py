"""Images in registries, as one command sees them: read like any other place, and counted.

An image's documents are fetched when they are asked for: its root by name, what the root names by digest. Layers are
streamed; nothing of them is kept here.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from buildgraph.build.counted import Counted
from buildgraph.build.documents import Documents
from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.events import Observer
from buildgraph.image.content import Content, narrowed
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.registry.client import Registries, Repository
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.progress import Progress
from buildgraph.registry.settings import Settings, Timeouts
from buildgraph.registry.stopping import Stop
from buildgraph.store.base import Compressed
from buildgraph.store.local import LocalStore
from buildgraph.values import replace

_HASTE = Timeouts(connect=5.0, idle=20.0, retry=1.5)
"""With a remote cache."""


class Remote:
    """Connections are opened when first needed and closed when ``undo`` ends. May be used from several threads."""

    def __init__(
        self,
        store: LocalStore,
        environ: Mapping[str, str],
        observer: Observer,
        undo: ExitStack,
        stop: Stop,
        ca: Path | None = None,
    ) -> None:
        self._store = store
        self._observer = observer
        settings, credentials = Settings.load(environ, ca), Credentials.load(environ)
        self._registries, self._hasty = (
            undo.enter_context(Registries(one, credentials, observer, store.seen, stop=stop))
            for one in (settings, replace(settings, timeouts=_HASTE))
        )
        self._counting = threading.Lock()
        self.fetched = 0
        """Bytes of blobs and manifests that came from registries."""

    def repository(self, reference: Reference) -> Repository:
        return self._registries.repository(reference)

    def cache(self, reference: Reference) -> Repository:
        """Not waited for as long: whoever asks can do without."""
        return self._hasty.repository(reference)

    def content(
        self, reference: Reference, platform: Platform | None = None, *, own: bool = False
    ) -> Content:
        """The image with all its platforms, or for one; ``own``: what the store has of it is read there.

        Raises UsageError ``unknown-image``, RemoteError.
        """
        image = _Image(self, reference, self._store if own else None)
        return narrowed(image.open, (image.root,), platform, str(reference))

    def image(self, reference: Reference, platform: Platform) -> ImageSource:
        image = _Image(self, reference)
        return load_image(image.open, (image.root,), platform, str(reference))

    @contextmanager
    def fetch(self, place: str, blob: Compressed, check: Callable[[], None]) -> Iterator[BinaryIO]:
        """A blob of the repository ``place``, checked while it is read, told and counted; ``check`` may stop it."""
        descriptor = Descriptor(blob.media_type, blob.digest, blob.size)
        repository = self.repository(Reference.parse(place))
        with (
            repository.open_blob(descriptor) as stream,
            self.progress(place, descriptor) as progress,
        ):
            yield Counted(stream, progress, check).stream()

    @contextmanager
    def progress(self, place: str, blob: Descriptor) -> Iterator[Progress]:
        """Of a blob that comes from ``place``."""
        progress = Progress(self._observer, "fetch", blob.digest, place, blob.size)
        try:
            with progress:
                yield progress
        finally:
            self.count(progress.done)

    def near(self, repository: str, digests: Sequence[Digest]) -> dict[Digest, tuple[str, ...]]:
        """For each digest the paths of other repositories of the same registry to mount it from: those that were seen
        to have it, and those that a base's layer came from."""
        return self._store.seen.places(repository, digests)

    def plain(self, digest: Digest) -> BinaryIO | None:
        """A blob of the store as a plain file, which costs least to send; the registry checks what it gets."""
        try:
            return self._store.blobs.path(digest).open("rb")
        except FileNotFoundError:
            return None

    def count(self, size: int) -> None:
        with self._counting:
            self.fetched += size


class _Image(Documents):
    """Counts what it fetches; layers are opened, too."""

    def __init__(
        self, remote: Remote, reference: Reference, store: LocalStore | None = None
    ) -> None:
        super().__init__(remote.repository(reference), str(reference), self._small)
        self._remote = remote
        self._store = store
        self.root = self.manifest(reference.digest or reference.tag or "latest").descriptor
        remote.count(self.root.size)

    def open(self, digest: Digest) -> BinaryIO:
        if digest in self.layers:
            if self._store and (stream := self._store.blobs.open(digest)):
                return stream
            return _Layer(self._remote, self.repository, self.layers[digest]).stream()
        before = self.fetched
        try:
            return super().open(digest)
        finally:
            self._remote.count(self.fetched - before)

    def _small(self, digest: Digest) -> bytes | None:
        """A document of the store; a blob that is damaged is gone now."""
        stream = self._store.blobs.open(digest) if self._store else None
        if stream is None:
            return None
        with stream, suppress(ContentError):
            content = stream.read(LARGEST + 1)
            return content if len(content) <= LARGEST else None
        return None


class _Layer(Counted):
    """Closing it closes what it comes from, and ends its telling."""

    def __init__(self, remote: Remote, repository: Repository, layer: Descriptor) -> None:
        self._undo = ExitStack()
        stream = self._undo.enter_context(repository.open_blob(layer))
        progress = self._undo.enter_context(remote.progress(repository.name, layer))
        super().__init__(stream, progress)

    def close(self) -> None:
        self._undo.close()
        super().close()
