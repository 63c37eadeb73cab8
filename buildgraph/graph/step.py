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
from buildgraph.spec.model import Base, InlineFile, Limits, Mode, Owner, Retry, Reuse, WriteItem
from buildgraph.values import dataclass, field

StepId = NewType("StepId", str)
"""The kind and name of the table that makes the step, e.g. ``step:deps`` or ``base:debian``."""

Stack = tuple[StepId, ...]
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class ContextFiles:
    """Files below ``path`` of the context; globs are relative to it. ``context`` names a Dockerfile's."""

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: bool = False
    context: str = ""

    @property
    def contents(self) -> bool:
        """Of a folder of the context it is always its contents that are taken."""
        return False


@dataclass(frozen=True, slots=True)
class StackFiles:
    """Files below the absolute ``path`` of the full filesystem of ``stack``, which was written as ``name``."""

    stack: Stack
    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name: str = field(default="", compare=False)
    follow: bool = False

    @property
    def contents(self) -> bool:
        """Whether includes choose among what is in a folder; then a copy's destination is no copy of the folder."""
        return bool(self.include)


Files = ContextFiles | StackFiles


@dataclass(frozen=True, slots=True)
class DockerFiles:
    """A source word of COPY or ADD: ``pattern`` from the root of a Dockerfile's context, or of ``stack`` unless None.

    ``parents``: what is before ``/./`` is left out of the paths, the rest kept; ``exclude`` are moby's patterns;
    ``unpack``: files that are archives are unpacked.
    """

    pattern: str
    stack: Stack | None = None
    context: str = ""
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool = False
    name: str = field(default="", compare=False)


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
class DockerCopyStep:
    """COPY or ADD; ``to`` is absolute. ``link``: the layer is the same whatever is below, but for the attributes of
    directories there. ``keep_time``: files keep the times that they have where they come from."""

    id: StepId
    sources: tuple[DockerFiles | InlineFile, ...]
    to: str
    owner: Owner | None
    mode: Mode | None
    link: bool
    names: Stack
    where: Location = field(compare=False)
    keep_time: bool = False


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """``names`` is the stack in which ``user`` is looked up; empty where it needs no look-up."""

    id: StepId
    path: str
    user: str
    names: Stack
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
class ScriptFile:
    """A script that is part of the build file itself, executable and read-only."""

    content: str
    target: str


@dataclass(frozen=True, slots=True)
class CacheDir:
    """``seed`` is what a new cache begins with; ``path`` the folder in it that is mounted."""

    id: str
    target: str
    sharing: Literal["shared", "private", "locked"]
    owner: Owner | None
    mode: Mode | None
    seed: Files | None = None
    read_only: bool = False
    path: str = ""


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


@dataclass(frozen=True, slots=True)
class SshSocket:
    id: str
    target: str
    required: bool
    owner: Owner | None
    mode: Mode | None


StepMount = BindFiles | ScriptFile | CacheDir | TmpfsDir | SecretFile | SshSocket


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
    network: Literal["none", "host", "private", "default"]
    """``default``: docker's, one of its own where the machine can give it that, else the machine's."""
    mounts: tuple[StepMount, ...]
    outputs: tuple[str, ...] | None
    discard: tuple[str, ...]
    hosts: tuple[tuple[str, str], ...]
    platform: str
    keep_time: bool
    where: Location = field(compare=False)
    git_modes: bool = False
    """Files that the command made or changed become 0644 or 0755, directories 0755."""
    merge_strict: bool = field(default=False, compare=False)
    timeout: float | None = field(default=None, compare=False)
    retry: Retry | None = field(default=None, compare=False)
    reuse: Reuse = field(default=Reuse(), compare=False)
    cpus: float | None = field(default=None, compare=False)
    memory: int | None = field(default=None, compare=False)
    pool: str = field(default="", compare=False)
    dockerfile: bool = False
    """Users have all their groups, and caches of other owners are other caches."""
    hostname: str = ""
    insecure: bool = False
    proxies: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Variables that the command sees, which are part of nothing."""
    shm_size: int = field(default=0, compare=False)
    ulimits: tuple[tuple[str, int, int], ...] = field(default=(), compare=False)
    limits: Limits = field(default=Limits(), compare=False)


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
    keep_time: bool = False
    git_modes: bool = False


@dataclass(frozen=True, slots=True)
class FetchStep:
    """A layer of one file, ``name``, mode 0600: what ``url`` gives. ``checksum`` is a digest or empty."""

    id: StepId
    url: str
    name: str
    checksum: str
    where: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class GitStep:
    """A layer of the files of ``subdir`` at ``ref``. ``checksum`` is the commit, or how it begins, or empty."""

    id: StepId
    url: str
    ref: str
    subdir: str
    checksum: str
    keep_git_dir: bool
    submodules: bool
    where: Location = field(compare=False)


RemoteStep = FetchStep | GitStep

RecipeStep = CopyStep | DockerCopyStep | WorkdirStep | WriteStep
"""What lays files down by a recipe, without running anything."""

Step = BaseStep | RecipeStep | RunStep | PackagesStep | RemoteStep


def is_pinned(step: RemoteStep) -> bool:
    """Whether it can be nothing else than it was, whatever is out there now."""
    if isinstance(step, FetchStep):
        return bool(step.checksum)
    commits = [len(text) in (40, 64) and set(text) <= _HEX for text in (step.ref, step.checksum)]
    named = step.keep_git_dir and step.ref and not commits[0]  # a tag's own object may be another
    return any(commits) and not named


def name_of(step: StepId) -> str:
    """``step deps``, ``base debian``: as messages call it."""
    return step.replace(":", " ", 1)


def kind_of(step: Step) -> str:
    """``base``, ``copy`` (of both languages), ``workdir``, ``write``, ``run``, ``packages``, ``fetch`` or ``git``."""
    return type(step).__name__.removesuffix("Step").removeprefix("Docker").lower()


def files_of(step: Step) -> Iterator[Files]:
    """Every selection of files that the step reads, in the order in which it is written."""
    if isinstance(step, CopyStep):
        for part in step.parts:
            yield part.files
    elif isinstance(step, RunStep):
        for mount in step.mounts:
            if isinstance(mount, BindFiles):
                yield mount.files
            elif isinstance(mount, CacheDir) and mount.seed is not None:
                yield mount.seed


def inputs_of(step: Step) -> Stack:
    """The steps whose results it needs, in the order in which its record names their identities."""
    found: dict[StepId, None] = {}
    if isinstance(step, RunStep):
        found.update(dict.fromkeys(step.tools + step.stack))
    if isinstance(step, CopyStep | DockerCopyStep | WorkdirStep):
        found.update(dict.fromkeys(step.names))
    if isinstance(step, DockerCopyStep):
        for source in step.sources:
            if isinstance(source, DockerFiles):
                found.update(dict.fromkeys(source.stack or ()))
    for files in files_of(step):
        if isinstance(files, StackFiles):
            found.update(dict.fromkeys(files.stack))
    return tuple(found)
