"""The manifests and configs of one image in a registry, by digest: fetched when they are asked for, each once.

What no manifest has named as its config is taken for a manifest. Layers are known by name only.
"""

import io
from collections.abc import Callable
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
    """``reference`` is what the user wrote; ``layers`` are those of the manifests seen so far, ``fetched`` the bytes
    that came from the registry. ``stored`` has what need not."""

    def __init__(
        self,
        repository: "Repository",
        reference: str,
        stored: Callable[[Digest], bytes | None] = lambda _: None,
    ) -> None:
        self.repository = repository
        self.reference = reference
        self.layers: dict[Digest, Descriptor] = {}
        self.fetched = 0
        self._stored = stored
        self._contents: dict[Digest, bytes] = {}
        self._configs: dict[Digest, Descriptor] = {}

    def manifest(self, asked: str) -> "Fetched":
        """What a tag or digest names. Raises UsageError ``unknown-image``, RemoteError (also ``image-gone``)."""
        found = self.repository.manifest(asked)
        if found is None:
            raise _missing(self.reference, asked)
        self.fetched += len(found.content)
        self._note(found.descriptor.digest, found.content, found.descriptor.media_type)
        return found

    def open(self, digest: Digest) -> BinaryIO:
        """Raises also ContentError ``bad-document`` for a config that cannot be one."""
        if digest not in self._contents:
            config, known = self._configs.get(digest), self._stored(digest)
            if config is not None:
                self._contents[digest] = known or self._read(config)
            elif known is not None:
                self._note(digest, known)
            else:
                self.manifest(digest)
        return io.BytesIO(self._contents[digest])

    def _note(self, digest: Digest, content: bytes, media_type: str = "") -> None:
        document = parse(content, media_type, f"the manifest of {self.reference}")
        self._contents[digest] = content
        if isinstance(document, Manifest):
            self._configs[document.config.digest] = document.config
            self.layers |= {layer.digest: layer for layer in document.layers}

    def _read(self, config: Descriptor) -> bytes:
        if config.size > LARGEST:
            raise ContentError(
                "bad-document",
                f"the config of {self.reference} is said to have {config.size} bytes",
            )
        with self.repository.open_blob(config) as stream:
            content = stream.read()
        self.fetched += len(content)
        return content


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
