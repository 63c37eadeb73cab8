"""What the images of the store consist of: the blobs that an index or manifest refers to, however deep.

Reads files directly and names nothing in a lease: collecting and verifying must not protect what they look at.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.oci.descriptor import INDEXES, MANIFESTS, Descriptor
from buildgraph.oci.manifest import Index, parse


class Reached(NamedTuple):
    """``root`` is the place in the given roots of the entry that leads here."""

    root: int
    digest: Digest
    present: bool


def reached(home: Path, roots: Iterable[Descriptor]) -> Iterator[Reached]:
    """Each blob once per root that leads to it, the root's own first; what cannot be parsed leads nowhere."""
    for at, root in enumerate(roots):
        seen: set[Digest] = set()
        pending = [root]
        while pending:
            descriptor = pending.pop()
            if descriptor.digest in seen:
                continue
            seen.add(descriptor.digest)
            path = blob_path(home, descriptor.digest)
            yield Reached(at, descriptor.digest, path.is_file())
            if descriptor.media_type in MANIFESTS or descriptor.media_type in INDEXES:
                pending += _children(path, descriptor)


def blob_path(home: Path, digest: Digest) -> Path:
    return home / "blobs" / digest.algorithm / digest.hex


def _children(path: Path, descriptor: Descriptor) -> tuple[Descriptor, ...]:
    try:
        document = parse(path.read_bytes(), descriptor.media_type)
    except (OSError, ContentError):
        return ()
    subject = (document.subject,) if document.subject else ()
    if isinstance(document, Index):
        return (*subject, *document.manifests)
    return (*subject, document.config, *document.layers)
