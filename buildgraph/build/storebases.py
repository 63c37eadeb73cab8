"""Images that the store has a name for, as bases of Dockerfiles: those win over a registry's, as docker's own do.

A name that nobody gave (an image without tags is called as its folder or table) does not count: a folder ``debian``
whose Dockerfile begins with ``debian`` must not stand on itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from buildgraph.build.blobs import Blobs
from buildgraph.build.localbases import OpenBase
from buildgraph.build.registries import Access
from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.execute.bases import BaseLayer
from buildgraph.graph.graph import BaseFacts
from buildgraph.image.source import load_image, stored
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.store.base import Compressed
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class StoreBases:
    store: LocalStore
    access: Access

    @property
    def advice(self) -> str:
        return (
            "nor has the store an image of that name: build one with -t, load or pull one, or say with "
            "--build-context NAME=… what is meant"
        )

    def open(self, reference: str, platform: Platform) -> OpenBase | None:
        """None where the store has no such name, or not for this platform."""
        written = Reference.parse(reference)
        if written.digest:
            return None
        found = self.store.images.resolve(written.familiar, given=True)
        if found is None:
            return None
        try:
            source = load_image(stored(self.store.blobs), (found,), platform, reference)
        except (ContentError, UsageError):
            return None  # damaged, or of another platform: the registry may have it
        pairs = zip(source.config.diff_ids, source.manifest.layers, strict=True)
        return OpenBase(
            BaseFacts(source.config.diff_ids, source.config),
            tuple(self._layer(diff_id, descriptor) for diff_id, descriptor in pairs),
        )

    def _layer(self, diff_id: Digest, descriptor: Descriptor) -> BaseLayer:
        """A layer that is not here is named where it is."""
        blob = Compressed(descriptor.digest, descriptor.size, descriptor.media_type)
        here = self.store.blobs.has(blob.digest)
        places = () if here else self.store.origins.places(blob.digest)
        source = _Layers(Blobs(self.store, self.access))
        return BaseLayer(diff_id, blob, source, places[0] if places else "")


@dataclass(frozen=True, slots=True)
class _Layers:
    blobs: Blobs

    @contextmanager
    def open_blob(self, digest: Digest) -> Iterator[BinaryIO]:
        with self.blobs.open(digest) as stream:
            yield stream
