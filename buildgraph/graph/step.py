"""Steps: what yields layers. A closed union; ``match`` on it and end in ``assert_never``.

Everything that a step's result can depend on is a field here, after inheritance and with references resolved to
stacks of step ids; what cannot change a result (timeouts, resource limits, secrets' values) is marked
``compare=False``. A *stack* is a tuple of step ids, bottom first, each once.
"""

from collections.abc import Iterator
from typing import Literal, NewType

from buildgraph.digest import Digest
from buildgraph.errors import Location
from buildgraph.oci.config import Config
from buildgraph.spec.model import Base, Mode, Owner, Retry, Reuse, WriteItem
from buildgraph.values import dataclass, field

StepId = NewType("StepId", str)
"""The kind and name of the table that makes the step, e.g. ``step:deps`` or ``base:debian``."""

Stack = tuple[StepId, ...]


@dataclass(frozen=True, slots=True)
class ContextFiles:
    """Files below ``path`` of the context; globs are relative to it."""

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: bool = False


@dataclass(frozen=True, slots=True)
class StackFiles:
    """Files below the absolute ``path`` of the full filesystem of ``stack``, which was written as ``name``."""

    stack: Stack
    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name: str = field(default="", compare=False)


Files = ContextFiles | StackFiles


@dataclass(frozen=True, slots=True)
class BaseStep:
    """Layers from outside. ``layers`` are their diff IDs, bottom first, known from the config without their bytes."""

    id: StepId
    base: Base
    layers: tuple[Digest, ...]
    config: Config = field(compare=False)


@dataclass(frozen=True, slots=True)
class CopyPart:
    files: Files
    to: str
    owner: Owner | None
    mode: Mode | None
    where: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class CopyStep:
    """``names`` is the stack in which names of owners are looked up; ``keep_mode`` None is each source's default."""

    id: StepId
    parts: tuple[CopyPart, ...]
    names: Stack
    keep_mode: bool | None
    keep_time: bool
    where: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class WriteStep:
    id: StepId
    items: tuple[WriteItem, ...]
    where: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class BindFiles:
    """A read-only view of ``files`` at ``target``; ``write``: an overlay that is thrown away."""

    files: Files
    target: str
    write: bool = False
    executable: bool = False
    """A script that runs as it is, whatever its mode says."""


@dataclass(frozen=True, slots=True)
class CacheDir:
    id: str
    target: str
    sharing: Literal["shared", "private", "locked"]
    owner: Owner | None
    mode: Mode | None


@dataclass(frozen=True, slots=True)
class TmpfsDir:
    target: str
    size: int
    owner: Owner | None
    mode: Mode | None


@dataclass(frozen=True, slots=True)
class SecretFile:
    """``target`` is a file, or ``env`` a variable. The value is nowhere in the graph."""

    id: str
    target: str
    env: str
    required: bool
    owner: Owner | None
    mode: Mode | None


StepMount = BindFiles | CacheDir | TmpfsDir | SecretFile


@dataclass(frozen=True, slots=True)
class RunStep:
    """``argv`` includes the shell; ``env`` is the whole environment of the command, sorted by name."""

    id: StepId
    stack: Stack
    tools: Stack
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    user: str
    workdir: str
    network: Literal["none", "host", "private"]
    mounts: tuple[StepMount, ...]
    outputs: tuple[str, ...] | None
    discard: tuple[str, ...]
    hosts: tuple[tuple[str, str], ...]
    platform: str
    keep_time: bool
    where: Location = field(compare=False)
    merge_strict: bool = field(default=False, compare=False)
    timeout: int | None = field(default=None, compare=False)
    retry: Retry | None = field(default=None, compare=False)
    reuse: Reuse = field(default=Reuse(), compare=False)
    cpus: float | None = field(default=None, compare=False)
    memory: int | None = field(default=None, compare=False)
    pool: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """A Debian root. ``pins`` are ``name=version`` of every package in it, sorted, from the lock; empty: not locked."""

    id: StepId
    packages: tuple[str, ...]
    suite: str
    platform: str
    pins: tuple[str, ...]
    mirror: str = field(compare=False)
    keyring: str = field(compare=False)
    where: Location = field(compare=False)


Step = BaseStep | CopyStep | WriteStep | RunStep | PackagesStep


def kind_of(step: Step) -> str:
    """``base``, ``copy``, ``write``, ``run`` or ``packages``."""
    return type(step).__name__.removesuffix("Step").lower()


def files_of(step: Step) -> Iterator[Files]:
    """Every selection of files that the step reads, in the order in which it is written."""
    if isinstance(step, CopyStep):
        for part in step.parts:
            yield part.files
    elif isinstance(step, RunStep):
        for mount in step.mounts:
            if isinstance(mount, BindFiles):
                yield mount.files


def inputs_of(step: Step) -> Stack:
    """The steps whose results it needs, in the order in which its record names their identities."""
    found: dict[StepId, None] = {}
    if isinstance(step, RunStep):
        found.update(dict.fromkeys(step.tools + step.stack))
    if isinstance(step, CopyStep):
        found.update(dict.fromkeys(step.names))
    for files in files_of(step):
        if isinstance(files, StackFiles):
            found.update(dict.fromkeys(files.stack))
    return tuple(found)
