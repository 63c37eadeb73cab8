"""What the lock says of one thing: values, and the lines of ``Buildfile.lock`` that they are."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from buildgraph.digest import Digest, key_of
from buildgraph.errors import ContentError
from buildgraph.values import dataclass


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

    def lines(self) -> str:
        packages = "".join(f"    {quoted(name)},\n" for name in sorted(self.packages))
        return (
            f"suite = {quoted(self.suite)}\n"
            f"requested = [{', '.join(map(quoted, self.requested))}]\n"
            f"packages = [\n{packages}]\n"
        )

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> "PackagesPin":
        """Raises ValueError, saying what a pin has."""
        suite, requested, packages = (table.get(key) for key in ("suite", "requested", "packages"))
        lists = all(
            isinstance(items, list) and all(isinstance(item, str) for item in items)
            for items in (requested, packages)
        )
        if not isinstance(suite, str) or not lists or len(table) != 3:
            raise ValueError("a pin has suite, requested and packages")
        return cls(suite, tuple(requested or ()), tuple(sorted(packages or ())))


@dataclass(frozen=True, slots=True)
class ImagePin:
    """One image for one platform. ``index`` is what the reference named, where that is an index; else empty."""

    manifest: Digest
    config: Digest
    config_size: int
    index: str = ""

    @property
    def named(self) -> str:
        """The digest that the reference named when it was resolved."""
        return self.index or self.manifest

    def lines(self) -> str:
        index = f"index = {quoted(self.index)}\n" if self.index else ""
        return (
            f"{index}manifest = {quoted(self.manifest)}\n"
            f"config = {quoted(self.config)}\n"
            f"config-size = {self.config_size}\n"
        )

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> "ImagePin":
        """Raises ValueError, saying what a pin has."""
        size = table.get("config-size")
        digests = {key: table[key] for key in ("index", "manifest", "config") if key in table}
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError("a pin of an image has config-size")
        if len(table) != len(digests) + 1 or not {"manifest", "config"} <= digests.keys():
            raise ValueError("a pin of an image has index, manifest, config and config-size")
        try:
            checked = {key: Digest.parse(str(text)) for key, text in digests.items()}
        except ContentError as error:
            raise ValueError(error.message) from error
        index = checked.get("index", "")
        return cls(checked["manifest"], checked["config"], size, index)


def key(name: str) -> str:
    """A TOML key."""
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else quoted(name)


def quoted(text: str) -> str:
    """A TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    plain = (c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped)
    return f'"{"".join(plain)}"'


HEAD: Final = "# Written by buildgraph; keep it under version control.\nlock = 1\n"
