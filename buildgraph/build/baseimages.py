"""Images of registries as bases: which one a reference means, and its documents.

A pin says which manifest and config; their bytes come from the store, else from the workspace's sidecar, else from the
registry, and are kept. Without a pin the registry is asked what the reference names. Layers are not looked at here.
"""

import io
from typing import TYPE_CHECKING, BinaryIO

from buildgraph.build.registries import Access
from buildgraph.build.sidecar import Sidecar
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError, RemoteError, UsageError
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import Manifest, parse
from buildgraph.spec.linking import meaning
from buildgraph.spec.lock import NAME, Lock
from buildgraph.spec.pins import ImagePin
from buildgraph.store.local import LocalStore

if TYPE_CHECKING:
    from buildgraph.registry.client import Fetched, Repository

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
        repository = self._access.repository(reference)
        fetched = repository.manifest(asked)
        if fetched is None:
            raise _unknown(reference, asked)
        documents = _Documents(repository, reference)
        documents.note(fetched)
        root = fetched.descriptor
        return root.digest, load_image(documents.open, (root,), platform, reference)


class _Documents:
    """Manifests and configs of one repository, by digest."""

    def __init__(self, repository: "Repository", reference: str) -> None:
        self._repository = repository
        self._reference = reference
        self._contents: dict[Digest, bytes] = {}
        self._configs: dict[Digest, Descriptor] = {}

    def note(self, fetched: "Fetched") -> None:
        descriptor, content = fetched.descriptor, fetched.content
        self._contents[descriptor.digest] = content
        document = parse(content, descriptor.media_type, f"the manifest of {self._reference}")
        if isinstance(document, Manifest):
            self._configs[document.config.digest] = document.config

    def open(self, digest: Digest) -> BinaryIO:
        if digest not in self._contents:
            config = self._configs.get(digest)
            if config is not None:
                if config.size > LARGEST:
                    raise ContentError(
                        "bad-document",
                        f"the config of {self._reference} is said to have {config.size} bytes",
                    )
                with self._repository.open_blob(config) as stream:
                    self._contents[digest] = stream.read()
            else:
                fetched = self._repository.manifest(digest)
                if fetched is None:
                    raise _unknown(self._reference, digest)
                self.note(fetched)
        return io.BytesIO(self._contents[digest])


def _checked(source: ImageSource, pin: ImagePin) -> ImageSource:
    if source.manifest.config.digest != pin.config or source.descriptor.digest != pin.manifest:
        raise UsageError(
            "bad-lock",
            f"{NAME} pins {source.name} to a config that is not its manifest's",
            hint="make the pin anew with: buildgraph lock --update",
        )
    return source


def _unknown(reference: str, asked: str) -> BuildgraphError:
    """A name that leads nowhere is a mistake; what a pin or an index names should be there."""
    written = Reference.parse(reference)
    if asked in (written.digest, written.tag or "latest"):
        return UsageError(
            "unknown-image",
            f"the registry has no image {written.familiar}",
            hint="check the name and the tag, and whether a login is needed",
        )
    host = written.repository.partition("/")[0]
    return RemoteError(
        "image-gone",
        f"{host} no longer has {asked} of {reference}",
        hint="move to what the reference names now: buildgraph lock --update",
    )
