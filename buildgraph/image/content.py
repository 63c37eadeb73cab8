"""All that an image consists of, for moving it from one place to another without changing a byte.

The root is a manifest, or an index with everything that it names: images of other platforms, attestations, artifacts.
Documents are read whole and checked (at most 4 MiB each); layers are only named here, and streamed by who needs them.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.image.source import ImageSource, OpenBlob, load_image, read_document, verified
from buildgraph.names import Platform
from buildgraph.oci.descriptor import INDEXES, MANIFESTS, Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import Manifest, parse
from buildgraph.values import dataclass, field

_DEEPEST: Final = 4
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Content:
    """``documents`` are configs, manifests and indexes with their bytes, none before what it names; the root is last.

    ``layers`` are all other blobs, each once, in the order in which they are named. ``annotations`` are for what names
    the root: the entries of a layout.
    """

    name: str
    root: Descriptor
    documents: tuple[tuple[Descriptor, bytes], ...]
    layers: tuple[Descriptor, ...]
    open_blob: OpenBlob
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: ImageSource) -> "Content":
        """One image for one platform."""
        layers = {layer.digest: layer for layer in source.manifest.layers}
        return cls(
            source.name,
            source.descriptor,
            source.documents(),
            tuple(layers.values()),
            source.open_blob,
        )

    @classmethod
    def load(cls, open_blob: OpenBlob, root: Descriptor, name: str) -> "Content":
        """Raises ContentError: ``blob-missing``, ``blob-damaged``, ``bad-document``, ``bad-image``."""
        walk = _Walk(open_blob, name)
        walk.manifest(root, 0)
        return cls(
            name,
            root,
            tuple((d, walk.documents[d.digest]) for d in walk.order),
            tuple(walk.layers.values()),
            open_blob,
        )

    @property
    def manifests(self) -> Iterator[tuple[Descriptor, bytes]]:
        """The documents that a registry keeps as manifests; the root is last."""
        return (pair for pair in self.documents if _is_manifest(pair[0]) or pair[0] is self.root)

    @property
    def configs(self) -> Iterator[tuple[Descriptor, bytes]]:
        """The documents that a registry keeps as blobs."""
        return (
            pair
            for pair in self.documents
            if not _is_manifest(pair[0]) and pair[0] is not self.root
        )

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(d.size for d, _ in self.documents) + sum(layer.size for layer in self.layers)

    def open_any(self, digest: Digest) -> BinaryIO:
        """A blob or document of it, for :func:`load_image`."""
        for descriptor, document in self.documents:
            if descriptor.digest == digest:
                return io.BytesIO(document)
        return self.open_blob(digest)

    def open_layer(self, layer: Descriptor) -> BinaryIO:
        """The blob as it is, checked while it is read; the caller closes."""
        return verified(self.open_blob(layer.digest), layer, f"a layer of {self.name}")


def _is_manifest(descriptor: Descriptor) -> bool:
    return descriptor.media_type in MANIFESTS | INDEXES


def narrowed(
    open_blob: OpenBlob, roots: Sequence[Descriptor], platform: Platform | None, name: str
) -> Content:
    """The only root with everything in it, or the image for ``platform``. Raises what :func:`load_image` raises."""
    if platform is not None:
        return Content.of(load_image(open_blob, roots, platform, name))
    unique = list({root.digest: root for root in roots}.values())
    if len(unique) > 1:
        raise UsageError(
            "image-ambiguous",
            f"{name} holds {len(unique)} images that no index joins",
            hint="name one by its digest, or say which with --platform",
        )
    return Content.load(open_blob, unique[0], name)


class _Walk:
    def __init__(self, open_blob: OpenBlob, name: str) -> None:
        self.open_blob = open_blob
        self.name = name
        self.documents: dict[Digest, bytes] = {}
        self.order: list[Descriptor] = []
        self.layers: dict[Digest, Descriptor] = {}

    def manifest(self, descriptor: Descriptor, depth: int) -> None:
        if descriptor.digest in self.documents:
            return
        if depth > _DEEPEST or len(self.order) > _MOST:
            raise ContentError("bad-image", f"{self.name}: its indexes are nested without end")
        content = read_document(self.open_blob, descriptor, f"a manifest of {self.name}")
        document = parse(content, _announced(descriptor), f"a manifest of {self.name}")
        if isinstance(document, Manifest):
            self.config(document.config)
            for layer in document.layers:
                self.layers.setdefault(layer.digest, layer)
        else:
            for child in document.manifests:
                if _is_manifest(child):
                    self.manifest(child, depth + 1)
                else:
                    self.layers.setdefault(child.digest, child)
        self._keep(descriptor, content)

    def config(self, descriptor: Descriptor) -> None:
        """An artifact's config may be anything; a large one moves as layers do."""
        if descriptor.size > LARGEST:
            self.layers.setdefault(descriptor.digest, descriptor)
        elif descriptor.digest not in self.documents:
            name = f"the config of {self.name}"
            self._keep(descriptor, read_document(self.open_blob, descriptor, name))

    def _keep(self, descriptor: Descriptor, content: bytes) -> None:
        self.documents[descriptor.digest] = content
        self.order.append(descriptor)


def _announced(descriptor: Descriptor) -> str:
    """Layouts that call a manifest ``application/octet-stream`` leave it to the document."""
    return descriptor.media_type if descriptor.media_type.endswith("+json") else ""
