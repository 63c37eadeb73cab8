"""What was resolved once and must stay so? ``Buildfile.lock``, beside the Buildfile, written by buildgraph.

::

    lock = 1

    [images."docker.io/library/debian:bookworm-slim"."linux/amd64"]   # an image, and the platform it is for
    index = "sha256:…"               # what the reference named; left out where that is no index
    manifest = "sha256:…"
    config = "sha256:…"
    config-size = 1469               # bytes

    [packages.debian.amd64]          # a packages step, and the architecture that it was resolved for
    suite = "bookworm"
    requested = ["curl"]             # what the step asked for; another wish makes the pin stale
    packages = [                     # all that was installed, as name:architecture=version
        "adduser:all=3.134",
        "curl:amd64=7.88.1-10+deb12u8",
    ]

Tables and packages are sorted, so that the same pins are the same bytes and merges touch few lines. Other tables
belong to later versions: a file that has one is refused rather than rewritten without it.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from buildgraph.errors import UsageError
from buildgraph.spec.parse import parse as parse_toml
from buildgraph.spec.pins import HEAD, ImagePin, PackagesPin, key
from buildgraph.spec.position import Path as KeyPath
from buildgraph.spec.position import Positions
from buildgraph.values import dataclass, field, replace

NAME = "Buildfile.lock"
VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lock:
    """``pins`` by a packages step's name and the architecture; ``images`` by what the reference means
    (:func:`buildgraph.spec.linking.meaning`) and the platform. An immutable value: what changes it makes another."""

    pins: Mapping[tuple[str, str], PackagesPin] = field(default_factory=dict)
    images: Mapping[tuple[str, str], ImagePin] = field(default_factory=dict)

    @classmethod
    def load(cls, content: bytes | None, file: Path) -> "Lock":
        """``content`` None means that there is no lock. Raises :class:`UsageError` (``bad-lock``)."""
        return cls() if content is None else parse(file.name, content)

    def packages(self, step: str, arch: str = "") -> tuple[str, ...]:
        """What the step installed when it was locked, ``()`` if it was not; ``arch`` may be left out if it is one."""
        pin = self.find(step, arch)
        return pin.packages if pin else ()

    def find(self, step: str, arch: str = "") -> PackagesPin | None:
        if arch:
            return self.pins.get((step, arch))
        found = [pin for (name, _), pin in self.pins.items() if name == step]
        return found[0] if len(found) == 1 else None

    def pin(self, step: str, arch: str, pin: PackagesPin) -> "Lock":
        return replace(self, pins={**self.pins, (step, arch): pin})

    def pin_image(self, reference: str, platform: str, pin: ImagePin) -> "Lock":
        return replace(self, images={**self.images, (reference, platform): pin})

    def named(self, reference: str) -> str:
        """The digest that the reference named for other platforms; empty where it has no pin, or they disagree."""
        found = {pin.named for (name, _), pin in self.images.items() if name == reference}
        return found.pop() if len(found) == 1 else ""

    def without(self, steps: Collection[str]) -> "Lock":
        """For ``lock --update NAME…``."""
        return replace(self, pins={k: pin for k, pin in self.pins.items() if k[0] not in steps})

    def keep(self, steps: Collection[str]) -> "Lock":
        """Without the pins of steps that the Buildfile no longer has."""
        return replace(self, pins={k: pin for k, pin in self.pins.items() if k[0] in steps})

    def without_images(self, references: Collection[str]) -> "Lock":
        left = {k: pin for k, pin in self.images.items() if k[0] not in references}
        return replace(self, images=left)

    def keep_images(self, references: Collection[str]) -> "Lock":
        """Without the pins of references that nothing uses any more."""
        kept = {k: pin for k, pin in self.images.items() if k[0] in references}
        return replace(self, images=kept)

    def to_bytes(self) -> bytes:
        parts = [HEAD, *_tables("images", self.images.items())]
        return "".join([*parts, *_tables("packages", self.pins.items())]).encode()


def _tables(
    kind: str, pins: Iterable[tuple[tuple[str, str], ImagePin | PackagesPin]]
) -> Iterable[str]:
    for (name, variant), pin in sorted(pins, key=lambda item: item[0]):
        yield f"\n[{kind}.{key(name)}.{key(variant)}]\n{pin.lines()}"


def parse(name: str, content: bytes) -> Lock:
    try:
        document, positions = parse_toml(name, content)
    except UsageError as error:
        hint = "resolve the conflict, or make it anew with: buildgraph lock --update"
        raise UsageError("bad-lock", error.message, hint=hint, where=error.where) from error
    if document.pop("lock", None) != VERSION:
        _refuse(positions, ("lock",), f"this is no lock of version {VERSION}")
    pins = _pins(document.pop("packages", {}), positions, "packages", PackagesPin.read)
    images = _pins(document.pop("images", {}), positions, "images", ImagePin.read)
    for unknown in document:
        _refuse(positions, (unknown,), f"{unknown!r} is not known to this version of buildgraph")
    return Lock(pins, images)


def write(file: Path, lock: Lock) -> bool:
    """False when the file already says so, and is left alone."""
    content = lock.to_bytes()
    try:
        if file.read_bytes() == content:
            return False
    except FileNotFoundError:
        if not lock.pins and not lock.images:
            return False
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _pins(
    tables: Any, positions: Positions, kind: str, read: Callable[[Mapping[str, Any]], T]
) -> dict[tuple[str, str], T]:
    found = {}
    for name, variants in _table(tables, positions, (kind,)).items():
        for variant, value in _table(variants, positions, (kind, name)).items():
            path = (kind, name, variant)
            try:
                found[name, variant] = read(_table(value, positions, path))
            except ValueError as error:
                _refuse(positions, path, str(error))
    return found


def _table(value: Any, positions: Positions, path: KeyPath) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(positions, path, f"{path[-1]} must be a table")
    return value


def _refuse(positions: Positions, path: KeyPath, message: str) -> NoReturn:
    where = positions.location(path)
    hint = "make the lock anew with: buildgraph lock --update"
    raise UsageError("bad-lock", message, hint=hint, where=where)
