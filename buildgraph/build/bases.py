"""Bases of a Buildfile, opened: their configs and diff IDs, and who has their layers' bytes.

An image of a registry is opened by its pin. Without the network that works where its documents are on this machine;
others are asked for only if somebody wants them, and one without a pin only if it may be resolved here and now.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from buildgraph.build.baseimages import BaseImages
from buildgraph.build.localbases import LocalBases, OpenBase, opened
from buildgraph.build.registries import Access, RegistryLayers
from buildgraph.build.storebases import StoreBases
from buildgraph.errors import BuildgraphError
from buildgraph.execute.bases import BaseLayer
from buildgraph.execute.waiting import Waiting
from buildgraph.graph.graph import BaseFacts
from buildgraph.graph.step import StepId
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform, Reference
from buildgraph.spec.linking import meaning
from buildgraph.spec.lock import Lock
from buildgraph.spec.model import Base, Model, Ref
from buildgraph.spec.pins import ImagePin
from buildgraph.store.base import Compressed
from buildgraph.values import dataclass, field

_AT_ONCE = 8


@dataclass(slots=True)
class OpenBases(Mapping[str, BaseFacts]):
    """Bases by name. One that cannot be opened raises its error when it is asked for."""

    found: dict[str, BaseFacts] = field(default_factory=dict)
    layers: dict[StepId, tuple[BaseLayer, ...]] = field(default_factory=dict)
    failed: dict[str, BuildgraphError] = field(default_factory=dict)
    absent: dict[str, BuildgraphError] = field(default_factory=dict)
    """What failed and nobody wants; not among the others."""
    unpinned: tuple[str, ...] = ()
    """Images that are wanted and that no pin resolves; not among the others."""

    def __getitem__(self, name: str) -> BaseFacts:
        if name in self.failed:
            raise self.failed[name]
        return self.found[name]

    def check(self) -> None:
        """Raises what any of them raises."""
        for error in self.failed.values():
            raise error

    def leave_out(self, names: Iterable[str]) -> None:
        """What stands on these bases, which failed, is no part of the graph."""
        self.absent |= {name: self.failed.pop(name) for name in tuple(names)}

    def __iter__(self) -> Iterator[str]:
        return iter({**self.found, **self.failed})

    def __len__(self) -> int:
        return len({**self.found, **self.failed})


class BaseOpener:
    """``platform`` is the one of bases that name none. Images are looked for in ``stored`` first, if there is one."""

    def __init__(
        self,
        platform: Platform,
        local: LocalBases,
        images: BaseImages,
        access: Access,
        stored: StoreBases | None = None,
    ) -> None:
        self._stored = stored
        self._platform = platform
        self._local = local
        self._access = access
        self._opened = OpenBases()
        self.images = images
        self.stop = access.stop

    def open_all(
        self, model: Model, lock: Lock, wanted: Collection[str], *, resolve: bool
    ) -> OpenBases:
        """Once more after the lock has changed: what lies on this machine stays open.

        Images that are neither ``wanted`` nor known here are left out, and so are those without a pin, unless
        ``resolve``: then they are what their references name now, and no lock says so.
        """
        every = self._opened
        every.failed.clear()
        every.absent.clear()
        distant: list[Base] = []
        for base in model.bases.values():
            if base.kind == "image":
                every.found.pop(base.name, None)
                self._attempt(base, lambda base: self._known(base, lock))
                distant += [base] if base.name in wanted and base.name not in every else []
            elif base.name not in every.found:
                with Waiting(self._access.observer, base.name, f"reads {base.path}"):
                    self._attempt(base, self._local.open)
        asked = [base for base in distant if resolve or self.pin(base, lock)]
        self._ask(asked, lock)
        every.unpinned = tuple(base.name for base in distant if base not in asked)
        return every

    def platform(self, base: Base) -> Platform:
        return base.platform or self._platform

    def stored(self, base: Base) -> OpenBase | None:
        """The image that the store has under that name."""
        if self._stored is None:
            return None
        return self._stored.open(base.reference, self.platform(base))

    @property
    def advice(self) -> str:
        """For whoever meant an image that no registry gives."""
        return self._stored.advice if self._stored else ""

    def pin(self, base: Base, lock: Lock) -> ImagePin | None:
        return lock.images.get((meaning(base.reference), str(self.platform(base))))

    def _attempt(self, base: Base, open_base: Callable[[Base], OpenBase | None]) -> None:
        try:
            made = open_base(base)
        except BuildgraphError as error:
            error.where = error.where or base.where
            self._opened.failed[base.name] = error
            return
        if made is not None:
            self._opened.found[base.name] = made.facts
            self._opened.layers[StepId(str(Ref("base", base.name)))] = made.layers

    def _known(self, base: Base, lock: Lock) -> OpenBase | None:
        if (found := self.stored(base)) is not None:
            return found
        pin = self.pin(base, lock)
        source = pin and self.images.known(base.reference, self.platform(base), pin)
        return self._image(base, source) if source else None

    def _ask(self, bases: Sequence[Base], lock: Lock) -> None:
        """Registries take their time, so several are asked at once."""
        if not bases:
            return
        from concurrent.futures import ThreadPoolExecutor

        from buildgraph.execute.interrupt import interruptible

        def ask(base: Base) -> None:
            self._attempt(base, lambda base: self._asked(base, lock))

        with interruptible(self.stop.set), ThreadPoolExecutor(_AT_ONCE, "bases") as pool:
            list(pool.map(ask, bases))

    def _asked(self, base: Base, lock: Lock) -> OpenBase:
        pin, platform = self.pin(base, lock), self.platform(base)
        if pin:
            return self._image(base, self.images.fetch(base.reference, platform, pin))
        return self._image(base, self.images.resolve(base.reference, platform, lock)[1])

    def _image(self, base: Base, source: ImageSource) -> OpenBase:
        place = Reference.parse(base.reference).repository
        blobs = tuple(
            Compressed(layer.digest, layer.size, layer.media_type)
            for layer in source.manifest.layers
        )
        layers = RegistryLayers(self._access, place, blobs)
        return opened(source, layers, place, meaning(base.reference))
