"""Secrets: values that a command may see and nothing else may hold. They are masked wherever output passes."""

import os
from collections.abc import Mapping
from pathlib import Path

from buildgraph.errors import UsageError
from buildgraph.spec.model import Secret
from buildgraph.values import dataclass

_LEAST_MASKED = 4
"""Shorter values would mask half of every line and give away nothing by themselves."""


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
