"""What a registry is to get of an image: a shipment of the release, from whatever place the image is in."""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import BinaryIO

from buildgraph.build.remote import Remote
from buildgraph.image.content import Content
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.release import Blob, Shipment


def shipment(
    remote: Remote,
    target: str,
    content: Content,
    place: Reference,
    tags: Sequence[str],
    near: Iterable[Reference] = (),
) -> Shipment:
    """``near``: what the blobs were seen in; repositories of the same registry are mounted from."""
    repository = remote.repository(place)
    host = repository.name.partition("/")[0]
    names = [remote.repository(one).name.partition("/") for one in near]
    paths = tuple(path for other, _, path in names if other == host)
    wanted = [descriptor.digest for descriptor, _ in content.configs]
    wanted += [layer.digest for layer in content.layers]
    seen = remote.near(repository.name, wanted)

    def blob(of: Descriptor, opener: Callable[[], BinaryIO], *others: str) -> Blob:
        known = seen[of.digest]
        return Blob(of, opener, (*known, *others), seen=bool(known))

    blobs = [blob(one, partial(io.BytesIO, document)) for one, document in content.configs]
    blobs += [blob(one, _opener(remote, content, one), *paths) for one in content.layers]
    return Shipment(
        target, repository, content.root, tuple(content.manifests), tuple(blobs), tuple(tags)
    )


def _opener(remote: Remote, content: Content, layer: Descriptor) -> Callable[[], BinaryIO]:
    def open_layer() -> BinaryIO:
        return remote.plain(layer.digest) or content.open_layer(layer)

    return open_layer
