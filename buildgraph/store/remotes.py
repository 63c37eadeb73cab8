"""Which repositories hold which blobs, as far as this machine has seen it: what need not be asked again.

Only what was once there is remembered. A registry that has lost a blob refuses the manifest that names it; then all
that was seen of that repository is forgotten.

    remote:HOST/PATH   the digests that were seen in this repository, the latest last, at most 4096
    remotes:HOST       the paths of the repositories of that host that anything was seen of
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from buildgraph.digest import Digest

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.index import RecordIndex

_MOST: Final = 4096


class LocalKnown:
    """``repository`` is ``host[:port]/path``. Kept in memory until :meth:`save`; safe to use from several threads."""

    def __init__(self, index: Callable[[], "RecordIndex"]) -> None:
        self._index = index
        self._seen: dict[str, dict[str, None]] = {}
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def has(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            return str(digest) in self._of(repository)

    def add(self, repository: str, digest: Digest) -> None:
        with self._lock:
            self._of(repository)[str(digest)] = None
            self._changed.add(repository)

    def forget(self, repository: str) -> None:
        with self._lock:
            self._seen[repository] = {}
            self._changed.add(repository)

    def places(self, repository: str, digests: Sequence[Digest]) -> dict[Digest, tuple[str, ...]]:
        """For each digest the paths of other repositories of the same host that were seen to have it."""
        host, _, own = repository.partition("/")
        with self._lock:
            paths = {*_texts(self._index().get(f"remotes:{host}"))}
            paths |= {
                path for here, _, path in (r.partition("/") for r in self._changed) if here == host
            }
            seen = {path: self._of(f"{host}/{path}") for path in sorted(paths - {own})}
        return {
            digest: tuple(path for path, known in seen.items() if digest in known)
            for digest in digests
        }

    def save(self) -> None:
        """Idempotent."""
        with self._lock, self._index().transaction():
            for repository in sorted(self._changed):
                host, _, path = repository.partition("/")
                seen: list[Value] = [*self._seen[repository]]
                self._index().set(f"remote:{repository}", seen[-_MOST:])
                paths = _texts(self._index().get(f"remotes:{host}"))
                if path not in paths:
                    self._index().set(f"remotes:{host}", [*sorted((*paths, path))])
            self._changed.clear()

    def _of(self, repository: str) -> dict[str, None]:
        if repository not in self._seen:
            found = _texts(self._index().get(f"remote:{repository}"))
            self._seen[repository] = dict.fromkeys(found)
        return self._seen[repository]


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
