"""Pins of images: which manifest a reference names, for every platform that somebody asks for."""

from collections.abc import Iterable, Sequence

from buildgraph.build.bases import BaseOpener
from buildgraph.errors import BuildgraphError
from buildgraph.names import Platform
from buildgraph.spec.linking import meaning
from buildgraph.spec.lock import Lock
from buildgraph.spec.model import Base
from buildgraph.spec.pins import ImagePin
from buildgraph.spec.problems import mean, near

_AT_ONCE = 8
_WELL_KNOWN = ("alpine", "busybox", "debian", "fedora", "golang", "node", "python", "ubuntu")


class ImagePins:
    """``lock`` is what was pinned before."""

    def __init__(self, opener: BaseOpener, lock: Lock) -> None:
        self._opener = opener
        self._before = lock

    def pin(self, bases: Sequence[Base], *, update: bool) -> tuple[Lock, list[str]]:
        """The lock with a pin for each of ``bases``, and what changed, one line each.

        To update moves a reference for every platform that has a pin, so that they stay one image.
        """
        names = {meaning(base.reference): base for base in bases}
        wanted = {(meaning(base.reference), str(self._opener.platform(base))) for base in bases}
        lock = self._before
        if update:
            wanted |= {key for key in lock.images if key[0] in names}
            lock = lock.without_images(names)
        missing = sorted(key for key in wanted if key not in lock.images)

        def resolve(key: tuple[str, str]) -> ImagePin | None:
            return self._resolve(names[key[0]], key[1], lock)

        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE, "lock") as pool:
            found = list(pool.map(resolve, missing))
        told = []
        for key, pin in zip(missing, found, strict=True):
            if pin is not None:
                lock = lock.pin_image(*key, pin)
            told += list(changes(names[key[0]].name, key, self._before.images.get(key), pin))
        return lock, told

    def _resolve(self, base: Base, platform: str, lock: Lock) -> ImagePin | None:
        """None where the image is no longer made for a platform that only the lock asks for."""
        asked = Platform.parse(platform)
        try:
            return self._opener.images.resolve(base.reference, asked, lock)[0]
        except BuildgraphError as error:
            if error.code == "no-platform" and asked != self._opener.platform(base):
                return None
            error.where = error.where or base.where
            error.hint = " ".join(filter(None, (_meant(base), self._advice(error))))
            raise

    def _advice(self, error: BuildgraphError) -> str:
        """The failure's own advice; of a registry that is not there, also who else may have the image."""
        if error.code == "registry-unreachable":
            return "; ".join(filter(None, (error.hint, self._opener.advice)))
        return error.hint or self._opener.advice


def _meant(base: Base) -> str:
    """A stage of the Dockerfile, or a well-known image, whose name is almost that."""
    name = base.reference.partition(":")[0]
    known = (*base.stages, *_WELL_KNOWN) if "/" not in name else ()
    return mean([word for word in near(name, known) if word != name])


def changes(
    name: str, key: tuple[str, str], old: ImagePin | None, new: ImagePin | None
) -> Iterable[str]:
    """What a pin's move is to people, in at most one line."""
    reference, platform = key
    if new is None:
        yield f"{name}: {reference} is no longer there for {platform}"
    elif old is None:
        yield f"{name}: pinned {reference} for {platform} to {new.named}"
    elif old != new:
        yield f"{name}: {reference} for {platform} {_short(old)} → {_short(new)}"


def _short(pin: ImagePin) -> str:
    return pin.named[:19]
