"""What a store is, whatever keeps it: blobs by digest, records by key. A miss is None, never an exception."""

from collections.abc import Iterable, Mapping
from typing import BinaryIO, Protocol

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What a step yielded; at most a few hundred bytes.

    ``identities`` name, in order, the results of the inputs that it was computed from (a base layer's diff ID, a
    built layer's tree digest); a StepKey hit counts only where they equal the results chosen in this build.
    ``tree`` is the result's own identity: the digest of its tree object, a blob. ``diff_id`` is the layer's, None for
    a recipe (copy, write), whose layers depend on the stack. ``size`` counts the bytes of regular files.
    """

    kind: str
    action: ActionKey
    identities: tuple[str, ...]
    tree: Digest
    diff_id: Digest | None = None
    size: int = 0
    seconds: float = 0.0
    made: int = 0
    """Seconds since 1970, for ``reuse = { max-age }``."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """The one compressed form of a layer for a codec: made once, recorded, never re-derived and assumed equal."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What is known of a layer without its bytes: its tree object's digest, the size of its tar in bytes."""

    tree: Digest
    size: int


class BlobStore(Protocol):
    """Content-addressed bytes of any size. All methods may be called from several threads and processes."""

    def has(self, digest: Digest) -> bool: ...

    def size(self, digest: Digest) -> int | None: ...

    def read(self, digest: Digest) -> bytes | None:
        """The whole blob, verified; for documents, not for layers. Raises ContentError (``blob-damaged``)."""

    def open(self, digest: Digest) -> BinaryIO | None:
        """A stream that raises ContentError (``blob-damaged``) at its end when the bytes were not the digest's."""

    def put(self, content: bytes, algorithm: str = "sha256") -> Digest:
        """Durable and visible on return; idempotent."""

    def delete(self, digest: Digest) -> None:
        """Idempotent."""


class ActionCache(Protocol):
    """Records of what steps yielded, and the key documents that explain them.

    A result whose tree object is gone is a miss: whoever trusted it could build nothing on it.
    """

    def by_step(self, keys: Iterable[StepKey]) -> Mapping[StepKey, ActionResult]:
        """One batched look-up for a whole graph; what is missing is absent from the answer."""

    def by_action(self, key: ActionKey) -> ActionResult | None: ...

    def put_if_absent(self, key: ActionKey, result: ActionResult) -> ActionResult:
        """Atomic; returns what is now recorded, the winner's result when another was first."""

    def replace(self, key: ActionKey, result: ActionResult) -> None:
        """For a step that was forced to run again."""

    def alias(self, aliases: Mapping[StepKey, ActionKey]) -> None:
        """Later :meth:`by_step` look-ups find these results by their StepKey."""

    def forget(self, key: ActionKey) -> None:
        """Idempotent; aliases of the result become misses."""

    def document(self, key: str) -> bytes | None:
        """The key document stored under a StepKey or ActionKey."""

    def put_document(self, key: str, content: bytes) -> None:
        """Idempotent: a key names one document only."""
