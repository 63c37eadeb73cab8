"""Descriptors (image-spec, descriptor.md): what a blob is, its digest, its size; and the media types used here."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from buildgraph.digest import Digest
from buildgraph.names import Platform
from buildgraph.oci.document import Fields, Json, ordered
from buildgraph.values import dataclass, field

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"

MANIFESTS: Final = frozenset((MANIFEST, DOCKER_MANIFEST))
INDEXES: Final = frozenset((INDEX, DOCKER_INDEX))
CONFIGS: Final = frozenset((CONFIG, DOCKER_CONFIG))

_OCI_LAYERS: Final = {
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER + "+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER + "+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}
_CODECS: Final = {"gzip": "gzip", "zstd": "zstd"}
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}", re.ASCII)


def oci_layer_type(media_type: str) -> str:
    """Docker's layer types by the image-spec's names for the same bytes; any other type as it is."""
    return _OCI_LAYERS.get(media_type, media_type)


def codec_of(media_type: str) -> str | None:
    """``gzip``, ``zstd`` or ``none`` of a layer's media type; None when it is no layer type that we know."""
    base, _, suffix = oci_layer_type(media_type).partition("+")
    if base not in (LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar"):
        return None
    return _CODECS.get(suffix) if suffix else "none"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """``platform_extra`` (``os.version``, ``os.features``) and ``extra`` hold what is kept but not used."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    artifact_type: str = ""
    platform_extra: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> "Descriptor":
        media_type = fields.text("mediaType")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise fields.fail(f"has no usable media type: {media_type[:60]!r}")
        digest, size = fields.digest("digest"), fields.number("size")
        platform, platform_extra = None, {}
        if spec := fields.child("platform"):
            platform = Platform(spec.text("os"), spec.text("architecture"), spec.text("variant"))
            platform_extra = spec.rest()
        annotations = fields.mapping("annotations")
        urls, artifact_type = fields.texts("urls") or (), fields.text("artifactType")
        extra = fields.rest()  # embedded data is checked, and kept among these
        if data := fields.text("data"):
            _check_embedded(fields, data, digest, size)
        return cls(
            media_type,
            digest,
            size,
            annotations,
            platform,
            urls,
            artifact_type,
            platform_extra,
            extra,
        )

    def document(self) -> dict[str, Json]:
        out: dict[str, Json] = {"mediaType": self.media_type}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        out |= {"digest": self.digest, "size": self.size}
        if self.urls:
            out["urls"] = list(self.urls)
        if self.annotations:
            out["annotations"] = ordered(self.annotations)
        if self.platform:
            out["platform"] = self._platform(self.platform)
        return out | ordered(self.extra)

    def _platform(self, platform: Platform) -> dict[str, Json]:
        out: dict[str, Json] = {"architecture": platform.arch, "os": platform.os}
        if platform.variant:
            out["variant"] = platform.variant
        return out | ordered(self.platform_extra)


def _check_embedded(fields: Fields, data: str, digest: Digest, size: int) -> None:
    """descriptor.md "Embedded Content": the bytes in ``data`` must be those of the digest."""
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise fields.fail("has embedded data that is not base64") from error
    if (
        len(content) != size
        or digest.algorithm not in ("sha256", "sha512")
        or Digest.of(content, digest.algorithm) != digest
    ):
        raise fields.fail(f"has embedded data that is not what {digest} names")
