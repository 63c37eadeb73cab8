"""What was resolved once and must stay so? ``Buildfile.lock``, beside the Buildfile, written by buildgraph.

::

    lock = 1

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
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from buildgraph.digest import key_of
from buildgraph.errors import UsageError
from buildgraph.spec.parse import parse as parse_toml
from buildgraph.spec.position import Path as KeyPath
from buildgraph.spec.position import Positions
from buildgraph.values import dataclass, field

NAME = "Buildfile.lock"
VERSION = 1
_HEAD = "# Written by buildgraph; keep it under version control.\nlock = 1\n"


@dataclass(frozen=True, slots=True)
class PackagesPin:
    """``packages`` are ``name:architecture=version``, sorted. Stale once a step asks for something else."""

    suite: str
    requested: tuple[str, ...]
    packages: tuple[str, ...]

    def answers(self, packages: Collection[str], suite: str) -> bool:
        """Was this what the step asks for?"""
        return set(self.requested) == set(packages) and suite in ("", self.suite)

    @property
    def digest(self) -> str:
        """Hex BLAKE3 of what is installed; what was asked for is not part of it."""
        return key_of({"suite": self.suite, "packages": self.packages})


@dataclass(frozen=True, slots=True)
class Lock:
    """``pins`` by the step's name and the architecture. An immutable value: what changes it makes another."""

    pins: Mapping[tuple[str, str], PackagesPin] = field(default_factory=dict)

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
        return Lock({**self.pins, (step, arch): pin})

    def without(self, steps: Collection[str]) -> "Lock":
        """For ``lock --update NAME…``."""
        return Lock({key: pin for key, pin in self.pins.items() if key[0] not in steps})

    def keep(self, steps: Collection[str]) -> "Lock":
        """Without the pins of steps that the Buildfile no longer has."""
        return Lock({key: pin for key, pin in self.pins.items() if key[0] in steps})

    def to_bytes(self) -> bytes:
        parts = [_HEAD]
        for (step, arch), pin in sorted(self.pins.items()):
            parts.append(f"\n[packages.{_key(step)}.{_key(arch)}]\n")
            parts.append(f"suite = {_string(pin.suite)}\n")
            parts.append(f"requested = [{', '.join(_string(name) for name in pin.requested)}]\n")
            lines = "".join(f"    {_string(name)},\n" for name in sorted(pin.packages))
            parts.append(f"packages = [\n{lines}]\n")
        return "".join(parts).encode()


def parse(name: str, content: bytes) -> Lock:
    try:
        document, positions = parse_toml(name, content)
    except UsageError as error:
        hint = "resolve the conflict, or make it anew with: buildgraph lock --update"
        raise UsageError("bad-lock", error.message, hint=hint, where=error.where) from error
    if document.pop("lock", None) != VERSION:
        _refuse(positions, ("lock",), f"this is no lock of version {VERSION}")
    tables = document.pop("packages", {})
    for key in document:
        _refuse(positions, (key,), f"{key!r} is not known to this version of buildgraph")
    pins: dict[tuple[str, str], PackagesPin] = {}
    for step, arches in _table(tables, positions, ("packages",)).items():
        for arch, pin in _table(arches, positions, ("packages", step)).items():
            pins[step, arch] = _pin(pin, positions, ("packages", step, arch))
    return Lock(pins)


def write(file: Path, lock: Lock) -> bool:
    """False when the file already says so, and is left alone."""
    content = lock.to_bytes()
    try:
        if file.read_bytes() == content:
            return False
    except FileNotFoundError:
        if not lock.pins:
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


def _pin(value: Any, positions: Positions, path: KeyPath) -> PackagesPin:
    table = _table(value, positions, path)
    suite, requested, packages = (table.get(key) for key in ("suite", "requested", "packages"))
    lists = all(
        isinstance(items, list) and all(isinstance(item, str) for item in items)
        for items in (requested, packages)
    )
    if not isinstance(suite, str) or not lists or len(table) != 3:
        _refuse(positions, path, "a pin has suite, requested and packages")
    return PackagesPin(suite, tuple(requested or ()), tuple(sorted(packages or ())))


def _table(value: Any, positions: Positions, path: KeyPath) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(positions, path, f"{path[-1]} must be a table")
    return value


def _refuse(positions: Positions, path: KeyPath, message: str) -> NoReturn:
    where = positions.location(path)
    hint = "make the lock anew with: buildgraph lock --update"
    raise UsageError("bad-lock", message, hint=hint, where=where)


def _key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _string(name)


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    )
