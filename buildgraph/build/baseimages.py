"""Images of registries as bases: which one a reference means, and its documents.

A pin says which manifest and config; their bytes come from the store, else from the workspace's sidecar, else from the
registry, and are kept. Without a pin the registry is asked what the reference names. Layers are not looked at here.
"""

import io
from typing import BinaryIO

from buildgraph.build.documents import Documents
from buildgraph.build.registries import Access
from buildgraph.build.sidecar import Sidecar
from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.execute.waiting import Waiting
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.spec.linking import meaning
from buildgraph.spec.lock import NAME, Lock
from buildgraph.spec.pins import ImagePin
from buildgraph.store.local import LocalStore

_ANY_DOCUMENT = "application/octet-stream"


class BaseImages:
    """``reference`` is what the user wrote. Safe to use from several threads."""

    def __init__(self, store: LocalStore, sidecar: Sidecar, access: Access) -> None:
        self._store = store
        self._sidecar = sidecar
        self._access = access

    def known(self, reference: str, platform: Platform, pin: ImagePin) -> ImageSource | None:
        """The pinned image, if its documents are on this machine. Asks no registry."""
        contents = {digest: self._document(digest) for digest in (pin.manifest, pin.config)}
        manifest = contents[pin.manifest]
        if manifest is None or contents[pin.config] is None:
            return None

        def open_blob(digest: Digest) -> BinaryIO:
            return io.BytesIO(contents.get(digest) or b"")

        root = Descriptor(_ANY_DOCUMENT, pin.manifest, len(manifest))
        return _checked(load_image(open_blob, (root,), platform, reference), pin)

    def fetch(self, reference: str, platform: Platform, pin: ImagePin) -> ImageSource:
        """The pinned image, its documents now on this machine."""
        found = self.known(reference, platform, pin)
        if found is None:
            found = _checked(self._load(reference, platform, pin.manifest)[1], pin)
        self.keep(found)
        return found

    def resolve(
        self, reference: str, platform: Platform, lock: Lock
    ) -> tuple[ImagePin, ImageSource]:
        """What the reference names now. An index that ``lock`` pins for another platform is the one that counts."""
        written = Reference.parse(reference)
        asked = lock.named(meaning(reference)) or written.digest or written.tag or "latest"
        named, source = self._load(reference, platform, asked)
        self.keep(source)
        config = source.manifest.config
        index = named if named != source.descriptor.digest else ""
        return ImagePin(source.descriptor.digest, config.digest, config.size, index), source

    def keep(self, source: ImageSource) -> None:
        """Hold the documents in the store, and in the sidecar if there is one."""
        for content in (source.config_bytes, source.manifest_bytes):
            self._store.blobs.put(content)
            self._sidecar.keep_document(content)
        self._store.origins.keep_image(source.descriptor.digest, source.manifest.config.digest)

    def _document(self, digest: Digest) -> bytes | None:
        try:
            found = self._store.blobs.read(digest)
        except ContentError:  # it was damaged and is gone now
            found = None
        return found or self._sidecar.document(digest)

    def _load(self, reference: str, platform: Platform, asked: str) -> tuple[Digest, ImageSource]:
        """The digest of what ``asked`` names, and the image for ``platform``."""
        host = Reference.parse(reference).repository.partition("/")[0]
        with Waiting(self._access.observer, reference, f"asks {host} for {platform}") as waiting:
            documents = Documents(self._access.repository(reference), reference)
            root = documents.manifest(asked).descriptor
            waiting.found = root.digest
            return root.digest, load_image(documents.open, (root,), platform, reference)


def _checked(source: ImageSource, pin: ImagePin) -> ImageSource:
    if source.manifest.config.digest != pin.config or source.descriptor.digest != pin.manifest:
        raise UsageError(
            "bad-lock",
            f"{NAME} pins {source.name} to a config that is not its manifest's",
            hint="make the pin anew with: buildgraph lock --update",
        )
    return source
