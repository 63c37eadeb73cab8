"""An image's own keys of its config, as a Buildfile writes them: a part of :mod:`buildgraph.spec.model`."""

from collections.abc import Mapping

from buildgraph.spec.terms import Text
from buildgraph.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test`` in Docker's form, ``("NONE",)``, ``("CMD", …)`` or ``("CMD-SHELL", …)``; times in nanoseconds."""

    test: tuple[Text, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Unset:
    """Globs for what is kept in maps and lists; flags for single values."""

    env: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()
    """Of entrypoint, cmd, healthcheck, user, workdir, onbuild."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's own keys; None and empty mean "as inherited". A single Text is shell form."""

    user: Text | None = None
    workdir: Text | None = None
    env: Mapping[str, Text] = field(default_factory=dict)
    entrypoint: Text | tuple[Text, ...] | None = None
    cmd: Text | tuple[Text, ...] | None = None
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, Text] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    onbuild: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    unset: Unset = Unset()
