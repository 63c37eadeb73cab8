"""Manifests and indexes (image-spec, manifest.md and image-index.md; docker's schema 2 reads alike).

Bytes to values and back; unknown fields are kept. Writing is deterministic: fields in the order of the
specification, maps and unknown fields sorted, no white space. The bytes of a document that was read are its
identity: keep them, never re-encode what is to keep its digest.
"""

from collections.abc import Mapping
from typing import Final

from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import INDEX, INDEXES, MANIFEST, MANIFESTS, Descriptor
from buildgraph.oci.document import Fields, Json, decode, encode, ordered
from buildgraph.values import dataclass, field

__all__ = ["BASE_DIGEST", "BASE_NAME", "Descriptor", "Index", "Manifest", "parse"]


BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"
"""Annotations of a manifest (image-spec, annotations.md): what an image stands on, and the digest of its manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = MANIFEST
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    subject: Descriptor | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes, media_type: str = "", name: str = "the manifest") -> "Manifest":
        """``media_type`` is what a descriptor or header says the document is."""
        document = parse(content, media_type, name)
        if not isinstance(document, Manifest):
            raise ContentError("bad-document", f"{name} is an index of manifests")
        return document

    def to_bytes(self) -> bytes:
        out: dict[str, Json] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        out["config"] = self.config.document()
        out["layers"] = [layer.document() for layer in self.layers]
        return encode(out | _tail(self.subject, self.annotations, self.extra))


@dataclass(frozen=True, slots=True)
class Index:
    manifests: tuple[Descriptor, ...]
    media_type: str = INDEX
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    subject: Descriptor | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes, media_type: str = "", name: str = "the index") -> "Index":
        document = parse(content, media_type, name)
        if not isinstance(document, Index):
            raise ContentError("bad-document", f"{name} is a manifest, not an index")
        return document

    def to_bytes(self) -> bytes:
        out: dict[str, Json] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        out["manifests"] = [manifest.document() for manifest in self.manifests]
        return encode(out | _tail(self.subject, self.annotations, self.extra))


def parse(content: bytes, media_type: str = "", name: str = "the manifest") -> Manifest | Index:
    """Which of the two it is says the document, and ``media_type`` must not say otherwise.

    Raises ContentError: ``bad-document``, or ``old-manifest`` for docker's schema 1.
    """
    fields = decode(content, name)
    if fields.number("schemaVersion") == 1:
        raise ContentError(
            "old-manifest",
            f"{name} is of docker's schema 1, which is not read",
            hint="copy the image with a tool that converts it: skopeo copy --format oci",
        )
    if fields.number("schemaVersion") != 2:
        raise fields.fail("has a schema version other than 2")
    own = fields.text("mediaType")
    if own and media_type and own != media_type:
        raise fields.fail(f"calls itself {own[:80]!r} but is announced as {media_type[:80]!r}")
    if ("manifests" in fields) and ("layers" in fields or "config" in fields):
        raise fields.fail("claims to be a manifest and an index at once")
    kind = own or media_type
    if kind in MANIFESTS or (not kind and "layers" in fields):
        return _manifest(fields, kind or MANIFEST)
    if kind in INDEXES or (not kind and "manifests" in fields):
        return _index(fields, kind or INDEX)
    raise fields.fail(f"is neither a manifest nor an index, but {kind[:80]!r}")


def _manifest(fields: Fields, media_type: str) -> Manifest:
    config = fields.child("config")
    if config is None:
        raise fields.fail("has no config")
    return Manifest(
        Descriptor.read(config),
        tuple(Descriptor.read(layer) for layer in fields.children("layers")),
        media_type,
        fields.mapping("annotations"),
        fields.text("artifactType"),
        _subject(fields),
        fields.rest(),
    )


def _index(fields: Fields, media_type: str) -> Index:
    return Index(
        tuple(Descriptor.read(manifest) for manifest in fields.children("manifests")),
        media_type,
        fields.mapping("annotations"),
        fields.text("artifactType"),
        _subject(fields),
        fields.rest(),
    )


def _subject(fields: Fields) -> Descriptor | None:
    subject = fields.child("subject")
    return Descriptor.read(subject) if subject else None


def _tail(
    subject: Descriptor | None, annotations: Mapping[str, str], extra: Mapping[str, Json]
) -> dict[str, Json]:
    out: dict[str, Json] = {}
    if subject:
        out["subject"] = subject.document()
    if annotations:
        out["annotations"] = ordered(annotations)
    return out | ordered(extra)
