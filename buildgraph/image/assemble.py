"""Base, layers and config become an image. Pure: descriptors in, documents out; no layer bytes are needed.

The manifest and config are image-spec documents whatever the base's were; the base's layers keep their own blobs.
Nothing says when it was built: the config and every new history entry carry the epoch.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs.tarball import EPOCH
from buildgraph.oci.config import Config, History
from buildgraph.oci.descriptor import CONFIG, MANIFEST, Descriptor, oci_layer_type
from buildgraph.oci.manifest import Index, Manifest
from buildgraph.store.base import Compressed
from buildgraph.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """One layer of an image, bottom first. ``empty``: a history entry alone, without a layer in the image.

    ``blob`` is the compressed form that the manifest names; None only where ``empty``.
    """

    diff_id: Digest
    blob: Compressed | None
    created_by: str = ""
    empty: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()

    def descriptor(self) -> Descriptor:
        assert self.blob is not None, "only an empty layer has no blob"
        return Descriptor(
            oci_layer_type(self.blob.media_type),
            self.blob.digest,
            self.blob.size,
            self.annotations,
            urls=self.urls,
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What history says of one instruction; ``empty``: it made no layer."""

    created_by: str
    comment: str = ""
    author: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image's two documents; ``descriptor`` is the manifest's, with the platform that an index wants."""

    config: Config
    config_bytes: bytes
    manifest: Manifest
    manifest_bytes: bytes
    descriptor: Descriptor

    @property
    def digest(self) -> Digest:
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """Bytes of all that a registry would hold of it."""
        parts = (self.manifest.config, *self.manifest.layers)
        return len(self.manifest_bytes) + sum(part.size for part in parts)


def assemble(
    config: Config,
    layers: Sequence[LayerBlob],
    *,
    base: Config | None = None,
    created: int = EPOCH,
    annotations: Mapping[str, str] | None = None,
    told: Sequence[Told] | None = None,
) -> Assembled:
    """``config`` is what :func:`buildgraph.graph.configure.configure` gave; its layers and history are replaced.

    When the image's first layers are those of ``base``, base history is kept; every other layer gets an entry of its
    own. ``told`` are these entries instead: as many that are not empty as there are layers above the base's.
    """
    real = [layer for layer in layers if not layer.empty]
    diff_ids = tuple(layer.diff_id for layer in real)
    history = _history(layers, base, created, told)
    config = replace(config.with_layers(diff_ids, history), created=timestamp(created))
    config_bytes = config.to_bytes()
    manifest = Manifest(
        Descriptor(CONFIG, Digest.sha256(config_bytes), len(config_bytes)),
        tuple(layer.descriptor() for layer in real),
        annotations=dict(annotations or {}),
    )
    content = manifest.to_bytes()
    descriptor = Descriptor(
        MANIFEST, Digest.sha256(content), len(content), platform=config.platform
    )
    return Assembled(config, config_bytes, manifest, content, descriptor)


def index_of(images: Sequence[Descriptor], annotations: Mapping[str, str] | None = None) -> bytes:
    """An index of one image for several platforms, in the order given."""
    return Index(tuple(images), annotations=dict(annotations or {})).to_bytes()


def base_layers(manifest: Manifest, config: Config) -> tuple[LayerBlob, ...]:
    """The layers of an image that others made, for :func:`assemble`."""
    if len(manifest.layers) != len(config.diff_ids):
        raise ContentError(
            "bad-image",
            f"the manifest has {len(manifest.layers)} layers and the config {len(config.diff_ids)} diff IDs",
        )
    pairs = zip(manifest.layers, config.diff_ids, strict=True)
    return tuple(
        LayerBlob(
            diff_id,
            Compressed(layer.digest, layer.size, layer.media_type),
            annotations=layer.annotations,
            urls=layer.urls,
        )
        for layer, diff_id in pairs
    )


def timestamp(seconds: int) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _history(
    layers: Sequence[LayerBlob], base: Config | None, created: int, told: Sequence[Told] | None
) -> tuple[History, ...]:
    kept, rest = _base_history(layers, base)
    when = timestamp(created)
    of_told = sum(not one.empty for one in told or ())
    untold = rest[: len(rest) - of_told] if told is not None else rest
    own = [History(when, layer.created_by, empty_layer=layer.empty) for layer in untold]
    own += [History(when, t.created_by, t.author, t.comment, t.empty) for t in told or ()]
    return (*kept, *own)


def _base_history(
    layers: Sequence[LayerBlob], base: Config | None
) -> tuple[tuple[History, ...], Sequence[LayerBlob]]:
    """The base's history, if it is one entry per layer and its layers come first; and the layers left to describe."""
    if base is None:
        return (), layers
    count = len(base.diff_ids)
    first = tuple(layer.diff_id for layer in layers[:count] if not layer.empty)
    described = sum(not entry.empty_layer for entry in base.history)
    if first != base.diff_ids or described != count:
        return (), layers
    return base.history, layers[count:]
