"""What refers to a manifest: signatures, lists of contents, whatever names it as its ``subject``?

Registries that know the API (distribution-spec, "Listing Referrers") answer with an index. For the others an index
under the tag ``sha256-<hex>`` stands in, which whoever pushes a referrer keeps up to date; two who do so at the same
moment may lose one entry, as the specification says.
"""

from collections.abc import Callable

from buildgraph.digest import Digest
from buildgraph.oci.descriptor import INDEX, Descriptor
from buildgraph.oci.manifest import Index, Manifest, parse
from buildgraph.registry.documents import Fetched
from buildgraph.registry.endpoint import Place
from buildgraph.registry.listing import pages
from buildgraph.registry.transport import Transport
from buildgraph.values import replace

_EMPTY = "application/vnd.oci.empty.v1+json"


def referrers(transport: Transport, place: Place, digest: Digest) -> tuple[Descriptor, ...] | None:
    """None where the registry has no such API. Raises RegistryError, ContentError (``bad-document``)."""
    found: list[Descriptor] = []
    known = False
    first = place.url(f"referrers/{digest}")
    for content, kind in pages(transport, place, first, f"what refers to {digest}"):
        if kind != INDEX:  # the page of a server that knows no such address
            return None
        known = True
        found += index_of(content)
    return tuple(found) if known else None


def index_of(content: bytes) -> tuple[Descriptor, ...]:
    return Index.parse(content, name="the list of referrers").manifests


def fallback_tag(digest: Digest) -> str:
    return digest.replace(":", "-", 1)[:128]


def subject_of(content: bytes, media_type: str) -> tuple[Digest, Descriptor] | None:
    """The subject of a manifest, and the manifest as a list of referrers names it; None without a subject."""
    document = parse(content, media_type)
    if not document.subject:
        return None
    kind = document.artifact_type
    if isinstance(document, Manifest) and not kind and document.config.media_type != _EMPTY:
        kind = document.config.media_type
    descriptor = Descriptor(
        document.media_type,
        Digest.sha256(content),
        len(content),
        document.annotations,
        artifact_type=kind,
    )
    return document.subject.digest, descriptor


def enlist(entry: Descriptor, current: Fetched | None, put: Callable[[bytes, str], object]) -> None:
    """Add ``entry`` to the index that stands in for the API, ``current``, unless it is there."""
    index = Index.parse(current.content) if current else Index(())
    if all(known.digest != entry.digest for known in index.manifests):
        put(replace(index, manifests=(*index.manifests, entry)).to_bytes(), INDEX)
