"""What is this manifest? Bytes from a registry become a descriptor only when everything about them agrees.

At most 4 MiB; the digest that was asked for, and the one that the registry announces; a media type that the document
does not contradict. A Content-Type that names no kind of manifest (none at all, ``application/json``, …) says nothing,
and the document must say what it is itself.
"""

import re
from typing import Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import INDEXES, MANIFESTS, Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import parse
from buildgraph.registry.failure import RegistryError
from buildgraph.registry.transport import Response
from buildgraph.values import dataclass

ACCEPT: Final = ", ".join(sorted(MANIFESTS | INDEXES, reverse=True))
_KNOWN: Final = MANIFESTS | INDEXES
_DIGEST: Final = r"[a-z0-9]{3,16}:[0-9a-f]{32,128}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index with the bytes that its digest names."""

    descriptor: Descriptor
    content: bytes


def announced(response: Response) -> Descriptor | None:
    """The descriptor that the answer to a HEAD gives; None when it says too little, or what cannot be."""
    kind = media_type(response)
    length = response.length
    try:
        digest = Digest.parse(response.header("Docker-Content-Digest"))
    except ContentError:
        return None
    if kind not in _KNOWN or not length or length > LARGEST or digest.algorithm != "sha256":
        return None
    return Descriptor(kind, digest, length)


def read_manifest(response: Response, name: str, wanted: Digest | None) -> Fetched:
    """``wanted`` is the digest that was asked for, None for a tag.

    Raises ContentError (``bad-document``, ``old-manifest``, ``manifest-damaged``); CutError.
    """
    length = response.length
    if length is not None and length > LARGEST:
        raise _too_long(name)
    content = response.read(LARGEST + 1)
    if len(content) > LARGEST:
        response.discard()
        raise _too_long(name)
    digest = _checked(response, content, name, wanted)
    kind = media_type(response)
    document = parse(content, kind if kind in _KNOWN else "", name)
    return Fetched(Descriptor(document.media_type, digest, len(content)), content)


def media_type(response: Response) -> str:
    return response.header("Content-Type").partition(";")[0].strip().lower()


def check_answer(response: Response, digest: Digest, name: str) -> None:
    """The registry must have taken what was sent. Raises RegistryError (``registry-digest``)."""
    said = response.header("Docker-Content-Digest")
    if said.startswith("sha256:") and said != digest:
        raise RegistryError(
            "registry-digest",
            f"{name} was sent as {digest}, and the registry calls it {_shown(said)}",
        )


def _checked(response: Response, content: bytes, name: str, wanted: Digest | None) -> Digest:
    digest = Digest.sha256(content)
    said = response.header("Docker-Content-Digest")
    for claim in (wanted, said):
        if claim and not _is(content, claim, digest):
            raise ContentError(
                "manifest-damaged", f"{name} is {digest}, where {_shown(claim)} was announced"
            )
    return wanted or digest


def _is(content: bytes, claim: str, digest: Digest) -> bool:
    """A digest of a kind that is not known proves nothing; the registry may have announced one beside the other."""
    algorithm, _, hexadecimal = claim.partition(":")
    if algorithm == "sha512":
        return Digest.of(content, "sha512").hex == hexadecimal
    return claim == digest


def _shown(claim: str) -> str:
    return claim if re.fullmatch(_DIGEST, claim) else "something that is no digest"


def _too_long(name: str) -> ContentError:
    return ContentError("bad-document", f"{name} has more than {LARGEST} bytes")
