"""What do builds write into the workspace itself? No selection takes it, unless an include names it.

Outputs (``--output``, ``--metadata-file``, ``--iidfile``) stay outputs in the builds after the one that wrote them. The
record index remembers them as long as they are there, below the root::

    outputs:WORKSPACE   [path in hex, …]

A folder that had something in it before an output went there is the user's own: only the build that writes leaves it
out.
"""

import os
from collections.abc import Iterator
from typing import Self

from buildgraph.build.choosing import choose
from buildgraph.build.request import Request
from buildgraph.build.sidecar import NAME as SIDECAR
from buildgraph.build.workspace import Workspace
from buildgraph.store.local import LocalStore


class Written:
    """A context manager around the build that writes: at its end the outputs are remembered."""

    def __init__(self, request: Request, workspace: Workspace, store: LocalStore) -> None:
        self._store = store
        self._root = os.path.realpath(workspace.root)
        self._key = f"outputs:{workspace.id}"
        own = (request.home, workspace.root / "Buildfile.lock", workspace.root / SIDECAR)
        self._own = list(self._below(map(os.fspath, own)))
        self._now = list(self._below(_outputs(request, workspace)))
        self._recorded = self._read()
        self._known = [path for path in self._recorded if os.path.lexists(self._full(path))]
        self._fresh = [path for path in self._now if self._is_free(path)]

    def paths(self) -> tuple[bytes, ...]:
        """Below the root, the store and the lock among them."""
        return tuple(map(os.fsencode, dict.fromkeys((*self._own, *self._now, *self._known))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        fresh = (path for path in self._fresh if os.path.lexists(self._full(path)))
        left = sorted({*self._known, *fresh})
        if left != self._recorded and not self._store.frozen:
            index = self._store.index()
            with index.transaction():
                if left:
                    index.set(self._key, [os.fsencode(path).hex() for path in left])
                else:
                    index.delete(self._key)

    def _read(self) -> list[str]:
        found = self._store.index().get(self._key)
        texts = found if isinstance(found, list) else []
        return [os.fsdecode(bytes.fromhex(text)) for text in texts if isinstance(text, str)]

    def _is_free(self, path: str) -> bool:
        """Whether all that will be there is the build's own."""
        full = self._full(path)
        return path in self._known or not os.path.isdir(full) or not os.listdir(full)

    def _full(self, path: str) -> str:
        return os.path.join(self._root, path)

    def _below(self, paths: Iterator[str]) -> Iterator[str]:
        for path in paths:
            real = os.path.realpath(path)
            if real.startswith(self._root.rstrip("/") + "/"):
                yield os.path.relpath(real, self._root)


def _outputs(request: Request, workspace: Workspace) -> Iterator[str]:
    yield from (os.fspath(file) for file in (request.metadata_file, request.iidfile) if file)
    for output in request.outputs:
        names = [""]
        if "{name}" in output.dest:
            chosen = choose(workspace.graph, request.targets)
            names = [target.partition(":")[2] for target in chosen]
        if output.dest and output.dest != "-":
            for name in names:
                yield os.fspath(request.directory / output.dest.replace("{name}", name))
