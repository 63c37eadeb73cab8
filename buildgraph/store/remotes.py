"""Which repositories hold which blobs, as far as this machine has seen it: what need not be asked again.

Only what was once there is remembered. A registry that has lost a blob refuses the manifest that names it; then all
that was seen of that repository is forgotten. One file for each repository, ``/`` of its path written as ``+``, so that
a push opens no record index::

    seen/HOST/PATH     DIGEST newline: the registry was seen to have it · ``?DIGEST`` newline: it was said to, by the
                       base or the remote cache that a layer is from. The latest last; read are the last 4096

Lines are appended, each writer's in one piece. A line that is neither, as a crash may leave it, says nothing.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from buildgraph.digest import Digest
from buildgraph.store.atomic import replace

_MOST: Final = 4096


class LocalKnown:
    """``repository`` is ``host[:port]/path``. Kept in memory until :meth:`save`; safe to use from several threads.

    What cannot be read or written is not known: that costs requests, and is no error.
    """

    def __init__(self, folder: Path, temp: Callable[[], Path]) -> None:
        """``temp`` names unused files on the file system of ``folder``."""
        self._folder = folder
        self._temp = temp
        self._seen: dict[str, dict[str, None]] = {}
        self._fresh: dict[str, list[str]] = {}
        self._outdated: set[str] = set()
        self._lock = threading.Lock()

    def has(self, repository: str, digest: Digest) -> bool:
        with self._lock:
            return digest in self._of(repository)

    def add(self, repository: str, digest: Digest) -> None:
        with self._lock:
            self._note(repository, digest)

    def hear(self, repository: str, digests: Iterable[Digest]) -> None:
        """It is said to have them: worth a try to mount them from, no reason not to ask."""
        with self._lock:
            for digest in digests:
                self._note(repository, f"?{digest}")

    def forget(self, repository: str) -> None:
        with self._lock:
            self._seen[repository] = {}
            self._fresh.pop(repository, None)
            self._outdated.add(repository)

    def places(self, repository: str, digests: Sequence[Digest]) -> dict[Digest, tuple[str, ...]]:
        """For each digest the paths of other repositories of the same host that may have it, those that were seen to
        first."""
        host, _, own = repository.partition("/")
        with self._lock:
            paths = {
                path for here, _, path in (r.partition("/") for r in self._fresh) if here == host
            }
            with suppress(OSError):
                paths |= {name.replace("+", "/") for name in os.listdir(self._folder / host)}
            known = {path: self._of(f"{host}/{path}") for path in sorted(paths - {own})}
        return {
            digest: tuple(
                dict.fromkeys(
                    path
                    for line in (digest, f"?{digest}")
                    for path, seen in known.items()
                    if line in seen
                )
            )
            for digest in digests
        }

    def save(self) -> None:
        """Idempotent."""
        with self._lock:
            for repository in self._outdated:
                self._replace(repository)
            for repository, lines in self._fresh.items():
                if repository not in self._outdated:
                    self._append(repository, lines)
            self._outdated.clear()
            self._fresh.clear()

    def _note(self, repository: str, line: str) -> None:
        seen = self._of(repository)
        if line not in seen:
            seen[line] = None
            self._fresh.setdefault(repository, []).append(line)

    def _of(self, repository: str) -> dict[str, None]:
        if repository not in self._seen:
            text = ""
            with suppress(OSError):
                text = self._file(repository).read_text("ascii", "replace")
            *lines, torn = text.split("\n")
            if torn or len(lines) > 2 * _MOST:
                self._outdated.add(repository)
            self._seen[repository] = dict.fromkeys(lines[-_MOST:])
        return self._seen[repository]

    def _append(self, repository: str, lines: list[str]) -> None:
        file, text = self._file(repository), "".join(f"{line}\n" for line in lines)
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)

    def _replace(self, repository: str) -> None:
        file, lines = self._file(repository), [*self._seen[repository]][-_MOST:]
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, exist_ok=True)
            replace(file, "".join(f"{line}\n" for line in lines).encode(), self._temp())

    def _file(self, repository: str) -> Path:
        host, _, path = repository.partition("/")
        return self._folder / host / path.replace("/", "+")
