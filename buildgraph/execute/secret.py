"""Secrets: values that a command may see and nothing else may hold. They are masked wherever output passes.

What a command itself writes is its layer's. Whether it wrote a secret there as it is, is looked for and told; only
steps that see one pay for that. Written in another way (encoded, compressed, as a name) it is not found.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from buildgraph.errors import UsageError
from buildgraph.fs.pack import Item
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import FILE
from buildgraph.graph.step import RunStep, SecretFile
from buildgraph.spec.model import Secret
from buildgraph.values import dataclass

_LEAST_MASKED = 4
"""Shorter values would mask half of every line and give away nothing by themselves."""
_LEAST_SOUGHT = 8
"""Shorter values are in some big file by chance."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a value comes from: a file or a variable; exactly one is set."""

    file: str = ""
    env: str = ""


class Secrets:
    """Values are read when a step needs them, and again for the next: none is kept but for masking."""

    def __init__(
        self,
        declared: Mapping[str, Secret],
        given: Mapping[str, SecretSource],
        environ: Mapping[str, str],
        root: Path,
    ) -> None:
        self._sources = {name: SecretSource(s.file, s.env) for name, s in declared.items()} | dict(
            given
        )
        self._environ = environ
        self._root = root
        self._masked: list[bytes] = []

    def value(self, name: str, *, required: bool) -> bytes | None:
        """Raises UsageError (``secret-missing``) when there is none and the step requires it."""
        found = self._read(self._sources.get(name))
        if found is None and required:
            raise UsageError(
                "secret-missing",
                f"secret {name}: not found, and it is required here",
                hint=f"give it with --secret id={name},src=FILE or --secret id={name},env=VARIABLE",
            )
        if found is not None:
            self._mask(found)
        return found

    def mask(self, line: bytes) -> bytes:
        for value in self._masked:
            line = line.replace(value, b"***")
        return line

    def split(self, begun: bytes) -> tuple[bytes, bytes]:
        """What of a line that is still coming can be shown now, and what may be the beginning of a secret."""
        masked = self.mask(begun)
        kept = max(0, len(masked) - max((len(value) - 1 for value in self._masked), default=0))
        return masked[:kept], masked[kept:]

    def left_in(self, step: RunStep, items: Iterable[Item]) -> Iterator[tuple[str, str]]:
        """The secrets of ``step`` that are in its files, and in which; whole values, without white space around."""
        ids = dict.fromkeys(mount.id for mount in step.mounts if isinstance(mount, SecretFile))
        values = {name: (self._read(self._sources.get(name)) or b"").strip() for name in ids}
        sought = {name: value for name, value in values.items() if len(value) >= _LEAST_SOUGHT}
        if not sought:
            return
        found: dict[str, list[bytes]] = {name: [] for name in sought}
        for item in items:
            if item.entry.kind == FILE and item.source:
                for name in _held(item.source, sought):
                    found[name].append(item.entry.path)
        for name, paths in found.items():
            if paths:
                more = f" and {len(paths) - 1} more" if paths[1:] else ""
                yield name, f"/{printable(paths[0])}{more}"

    def _mask(self, value: bytes) -> None:
        parts = {part.strip() for part in (value, *value.splitlines())}
        long = {part for part in parts if len(part) >= _LEAST_MASKED}
        self._masked = sorted(long.union(self._masked), key=len, reverse=True)

    def _read(self, source: SecretSource | None) -> bytes | None:
        if source is None:
            return None
        if source.env:
            text = self._environ.get(source.env)
            return None if text is None else text.encode("utf-8", "surrogateescape")
        path = self._root / os.path.expanduser(source.file)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError("secret-unreadable", f"{path}: {error.strerror}") from error


def _held(file: bytes, sought: Mapping[str, bytes]) -> set[str]:
    """The names of the values that are in ``file``."""
    overlap = max(map(len, sought.values())) - 1
    found: set[str] = set()
    rest = b""
    with open(file, "rb", buffering=0) as stream:
        while block := stream.read(_BLOCK):
            block = rest + block
            found.update(name for name, value in sought.items() if value in block)
            rest = block[-overlap:]
    return found
