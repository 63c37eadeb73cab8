"""The folders that Dockerfiles select from, each opened when the first selection asks for it."""

import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from buildgraph.build.workspace import Workspace
from buildgraph.errors import UsageError
from buildgraph.fs.facts import Facts

if TYPE_CHECKING:
    from buildgraph.fs.dockercontext import DockerContext


class Contexts:
    """``hidden`` are absolute paths that no context has: the store itself. Safe to ask from several threads."""

    def __init__(self, workspace: Workspace, hidden: tuple[bytes, ...]) -> None:
        self._workspace = workspace
        self._hidden = hidden
        self._open: dict[str, DockerContext] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str) -> "DockerContext":
        """Raises UsageError ``no-context``."""
        with self._lock:
            if name not in self._open:
                self._open[name] = self._opened(name)
            return self._open[name]

    def _opened(self, name: str) -> "DockerContext":
        from buildgraph.fs.dockercontext import DockerContext
        from buildgraph.fs.moby import Patterns

        workspace = self._workspace
        context = workspace.model.contexts[name]
        root = workspace.root / context.root
        if not root.is_dir():
            raise UsageError("no-context", f"the build context {context.root} is no folder")
        facts = Facts(workspace.facts.root, workspace.cache.since)
        ignore = Patterns.of_lines(context.ignore)
        return DockerContext(os.fsencode(root), workspace.cache, facts, ignore, self._hidden)

    def facts(self) -> Iterator[Facts]:
        for context in self._open.values():
            yield context.facts
