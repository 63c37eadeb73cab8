"""The manifests and configs of one image in a registry, by digest: fetched when they are asked for, each once.

What no manifest has named as its config is taken for a manifest. Layers are known by name only.
"""

import io
from typing import TYPE_CHECKING, BinaryIO

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError, RemoteError, UsageError
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import Manifest, parse

if TYPE_CHECKING:
    from buildgraph.registry.client import Fetched, Repository


class Documents:
    """``reference`` is what the user wrote; ``layers`` are those of the manifests that were fetched, ``fetched`` the
    bytes of all documents."""

    def __init__(self, repository: "Repository", reference: str) -> None:
        self.repository = repository
        self.reference = reference
        self.layers: dict[Digest, Descriptor] = {}
        self.fetched = 0
        self._contents: dict[Digest, bytes] = {}
        self._configs: dict[Digest, Descriptor] = {}

    def manifest(self, asked: str) -> "Fetched":
        """What a tag or digest names. Raises UsageError ``unknown-image``, RemoteError (also ``image-gone``)."""
        found = self.repository.manifest(asked)
        if found is None:
            raise _missing(self.reference, asked)
        descriptor, content = found.descriptor, found.content
        self._keep(descriptor.digest, content)
        document = parse(content, descriptor.media_type, f"the manifest of {self.reference}")
        if isinstance(document, Manifest):
            self._configs[document.config.digest] = document.config
            self.layers |= {layer.digest: layer for layer in document.layers}
        return found

    def open(self, digest: Digest) -> BinaryIO:
        """Raises also ContentError ``bad-document`` for a config that cannot be one."""
        if digest not in self._contents:
            config = self._configs.get(digest)
            if config is None:
                self.manifest(digest)
            else:
                self._keep(digest, self._read(config))
        return io.BytesIO(self._contents[digest])

    def _keep(self, digest: Digest, content: bytes) -> None:
        self._contents[digest] = content
        self.fetched += len(content)

    def _read(self, config: Descriptor) -> bytes:
        if config.size > LARGEST:
            raise ContentError(
                "bad-document",
                f"the config of {self.reference} is said to have {config.size} bytes",
            )
        with self.repository.open_blob(config) as stream:
            return stream.read()


def _missing(reference: str, asked: str) -> BuildgraphError:
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
        hint="if Buildfile.lock names it, move to what the reference names now: buildgraph lock --update",
    )
