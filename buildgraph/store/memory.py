"""The store contracts kept in memory: for tests of whoever needs a store, and the second opinion of the suites."""

import io
import threading
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.store.base import ActionResult, BlobStore
from buildgraph.store.blobs import damaged


class MemoryBlobs:
    """A ``BlobStore``."""

    def __init__(self) -> None:
        self._contents: dict[Digest, bytes] = {}

    def has(self, digest: Digest) -> bool:
        return digest in self._contents

    def size(self, digest: Digest) -> int | None:
        content = self._contents.get(digest)
        return None if content is None else len(content)

    def read(self, digest: Digest) -> bytes | None:
        content = self._contents.get(digest)
        if content is not None and Digest.of(content, digest.algorithm) != digest:
            del self._contents[digest]
            raise damaged(digest)
        return content

    def open(self, digest: Digest) -> BinaryIO | None:
        content = self.read(digest)
        return None if content is None else io.BytesIO(content)

    def put(self, content: bytes, algorithm: str = "sha256") -> Digest:
        digest = Digest.of(content, algorithm)
        self._contents[digest] = bytes(content)
        return digest

    def delete(self, digest: Digest) -> None:
        self._contents.pop(digest, None)


class MemoryRecords:
    """An ``ActionCache`` whose results' tree objects lie in ``blobs``."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._results: dict[ActionKey, ActionResult] = {}
        self._aliases: dict[StepKey, ActionKey] = {}
        self._documents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def by_step(self, keys: Iterable[StepKey]) -> Mapping[StepKey, ActionResult]:
        found = {}
        for key in keys:
            action = self._aliases.get(key)
            result = self.by_action(action) if action else None
            if result:
                found[key] = result
        return found

    def by_action(self, key: ActionKey) -> ActionResult | None:
        result = self._results.get(key)
        return result if result and self._blobs.has(result.tree) else None

    def put_if_absent(self, key: ActionKey, result: ActionResult) -> ActionResult:
        with self._lock:
            winner = self.by_action(key)
            if winner is None:
                self._results[key] = winner = result
        return winner

    def replace(self, key: ActionKey, result: ActionResult) -> None:
        self._results[key] = result

    def alias(self, aliases: Mapping[StepKey, ActionKey]) -> None:
        self._aliases.update(aliases)

    def forget(self, key: ActionKey) -> None:
        self._results.pop(key, None)

    def document(self, key: str) -> bytes | None:
        return self._documents.get(key)

    def put_document(self, key: str, content: bytes) -> None:
        self._documents[key] = content
