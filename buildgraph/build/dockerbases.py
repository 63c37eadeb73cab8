"""Bases that Dockerfiles begin with: opened when a conversion asks for them, pinned as soon as they are met.

A tag must mean one image for as long as a build lasts, though it is met again and again: the pins are kept in a lock,
which only the caller can write.
"""

from collections.abc import Callable

from buildgraph.build.bases import BaseOpener, OpenBases
from buildgraph.build.imagepins import ImagePins
from buildgraph.spec.lock import Lock
from buildgraph.spec.model import Model


class DockerBases:
    """``keep`` learns of every lock with new pins. Nothing is asked of a registry where ``frozen``."""

    def __init__(
        self,
        opener: BaseOpener,
        lock: Lock,
        *,
        frozen: bool = False,
        keep: Callable[[Lock], object] = lambda _lock: None,
    ) -> None:
        self.opener = opener
        self._frozen = frozen
        self._keep = keep
        self.lock = lock

    def open(self, model: Model, *, wanted: bool = True) -> OpenBases:
        """Those of registries that are not known here only where ``wanted``."""
        wanted = wanted and not self._frozen
        images = [base for base in model.bases.values() if base.kind == "image"]
        unpinned = [base for base in images if self.opener.pin(base, self.lock) is None]
        new = [base for base in unpinned if self.opener.stored(base) is None]
        if new and wanted:
            self.lock = ImagePins(self.opener, self.lock).pin(new, update=False)[0]
            self._keep(self.lock)
        names = frozenset(model.bases if wanted else ())
        return self.opener.open_all(model, self.lock, names, resolve=False)
