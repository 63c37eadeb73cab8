"""When were the sources of ADD changed last? Each is fetched once, and only if a Dockerfile's time is theirs."""

from contextlib import ExitStack

from buildgraph.events import Observer
from buildgraph.execute.archive import Surroundings
from buildgraph.spec.docker import GitTree, RemoteFile


def unknown(_source: GitTree | RemoteFile) -> None:
    """For those who ask no network."""


class SourceTimes:
    """``asked``: whether anything was, so that another build may hear something else."""

    def __init__(self, around: Surroundings, observer: Observer, undo: ExitStack) -> None:
        self._around = around
        self._observer = observer
        self._undo = undo
        self._known: dict[GitTree | RemoteFile, int | None] = {}

    @property
    def asked(self) -> bool:
        return bool(self._known)

    def __call__(self, source: GitTree | RemoteFile) -> int | None:
        from buildgraph.build.dockerfetch import source_time

        if source not in self._known:
            self._known[source] = source_time(source, self._around, self._observer, self._undo)
        return self._known[source]
