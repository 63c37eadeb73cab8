"""The Buildfile after reading: checked, variables filled in, defaults applied, names resolved.

Values only. What a person wrote is decoded by ``load``; everything here can be trusted: names exist, kinds are
single, paths are relative to the workspace root and do not escape, modes and owners are numbers.
"""

from collections.abc import Mapping
from typing import Literal

from buildgraph.errors import Location
from buildgraph.names import Platform
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.spec.docker import (
    DockerCopy,
    DockerImage,
    DockerSource,
    DockerTable,
    FileContext,
    GitTree,
    HistoryLine,
    InlineFile,
    Limits,
    RemoteFile,
    Workdir,
)
from buildgraph.spec.imageconfig import Healthcheck, ImageConfig, Unset
from buildgraph.spec.terms import EnvName, Late, Mode, Owner, Ref, RefKind, Text, Variants
from buildgraph.values import dataclass, field

# the model's own parts that stand in modules of their own
__all__ = [
    "DockerCopy",
    "DockerImage",
    "DockerSource",
    "DockerTable",
    "EnvName",
    "FileContext",
    "GitTree",
    "Healthcheck",
    "HistoryLine",
    "ImageConfig",
    "InlineFile",
    "Late",
    "Limits",
    "Mode",
    "Owner",
    "Ref",
    "RefKind",
    "RemoteFile",
    "Text",
    "Unset",
    "Variants",
    "Workdir",
]


@dataclass(frozen=True, slots=True)
class Base:
    """``path`` may be absolute; ``reference`` is the tag inside a layout or archive, empty when none was written.

    Of an ``image``, ``reference`` is the whole reference, as it was written, and ``path`` is empty.
    """

    name: str
    kind: Literal["image", "layout", "archive", "rootfs", "scratch"]
    where: Location
    path: str = ""
    reference: str = ""
    platform: Platform | None = None
    stages: tuple[str, ...] = field(default=(), compare=False)
    """Those of its Dockerfile: one of them may be meant where there is no such image."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files: below ``path`` of the context (``ref`` is None) or of the full filesystem of ``ref``.

    ``path`` is relative to the workspace root ("." is the root) in the context, absolute in a ``ref``.
    ``include`` and ``exclude`` are globs relative to ``path``; empty ``include`` takes everything. ``context`` names
    one of :attr:`Model.contexts`; empty is the workspace itself.
    """

    path: str
    ref: Ref | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    context: str = ""


@dataclass(frozen=True, slots=True)
class CopyItem:
    """``to`` is absolute; a trailing slash makes it a directory. ``follow``: links in the source are followed."""

    source: Selection
    to: str
    where: Location
    owner: Owner | None = None
    mode: Mode | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    items: tuple[CopyItem, ...]


@dataclass(frozen=True, slots=True)
class WriteItem:
    """``kind`` file: ``value`` is the text; link: the target; dir: unused."""

    kind: Literal["file", "dir", "link"]
    path: str
    value: str = ""
    mode: Mode | None = None
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Write:
    items: tuple[WriteItem, ...]


@dataclass(frozen=True, slots=True)
class BindMount:
    """``inline`` instead of ``source``: the text of a script (a heredoc with a shebang), executable."""

    source: Selection
    target: Text
    write: bool = False
    inline: str = ""


@dataclass(frozen=True, slots=True)
class CacheMount:
    id: str
    target: Text
    sharing: Literal["shared", "private", "locked"] = "shared"
    owner: Owner | None = None
    mode: Mode | None = None
    seed: Selection | None = None
    """What a new cache begins with (``from=`` and ``source=`` in a Dockerfile)."""
    read_only: bool = False
    path: str = ""
    """The folder of the cache that is mounted; empty is all of it (``source=`` without ``from=``)."""


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """``size`` in bytes, 0 for the kernel's default."""

    target: Text
    size: int = 0
    owner: Owner | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class SecretMount:
    """Exactly one of ``target`` (a file) and ``env`` (a variable) is set."""

    id: str
    target: Text | None = None
    env: str = ""
    required: bool = False
    owner: Owner | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class SshMount:
    """The socket of an ssh agent; ``SSH_AUTH_SOCK`` names it."""

    id: str
    target: Text
    required: bool = False
    owner: Owner | None = None
    mode: Mode | None = None


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


@dataclass(frozen=True, slots=True)
class Script:
    """A script file of the context, run as it is with ``args``."""

    file: str
    args: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """``on`` holds ``"network"`` and exit codes."""

    attempts: int
    on: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reuse:
    """``never`` or a limit in seconds; both empty means always."""

    never: bool = False
    max_age: int | None = None


DEFAULT_DISCARD = (
    "/var/log/apt/**",
    "/var/log/dpkg.log",
    "/var/log/alternatives.log",
    "/var/log/bootstrap.log",
    "/var/cache/apt/**",
    "/var/lib/apt/lists/**",
    "/var/cache/ldconfig/aux-cache",
)


@dataclass(frozen=True, slots=True)
class Run:
    """``command``: one Text is shell form, a tuple is argv, a Script is a file. None inherits from the stack."""

    command: Text | tuple[Text, ...] | Script
    env: Mapping[str, Text] = field(default_factory=dict)
    workdir: Text | None = None
    user: Text | None = None
    shell: tuple[str, ...] | None = None
    tools: tuple[Ref, ...] = ()
    """``with`` in the Buildfile."""
    network: Literal["none", "host", "private", "default"] = "none"
    """``default`` is docker's own and in no Buildfile: private where the machine can give that, else host."""
    mounts: tuple[Mount, ...] = ()
    outputs: tuple[str, ...] | None = None
    discard: tuple[str, ...] = DEFAULT_DISCARD
    timeout: float | None = None
    """Seconds."""
    retry: Retry | None = None
    cpus: float | None = None
    memory: int | None = None
    """Bytes."""
    pool: str = ""
    reuse: Reuse = Reuse()
    hosts: Mapping[str, str] = field(default_factory=dict)
    dockerfile: bool = False
    """A RUN: nothing is added to ``env`` but the fixed SOURCE_DATE_EPOCH; users have their supplementary groups."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Proxy variables that the command sees and no key holds."""
    hostname: str = ""
    shm_size: int = 0
    """Bytes; 0 is the default."""
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Soft and hard limit by docker's name, such as ``nofile``."""
    limits: Limits = Limits()
    insecure: bool = False
    """``--security=insecure``."""


@dataclass(frozen=True, slots=True)
class Packages:
    """A Debian root of its own, made by mmdebstrap."""

    packages: tuple[str, ...]
    suite: str = ""
    mirror: str = ""
    keyring: str = ""


@dataclass(frozen=True, slots=True)
class Normalize:
    """``mode`` None means the default of what is copied: git for the context, keep for everything else."""

    mode: Literal["git", "keep"] | None = None
    time: Literal["epoch", "keep"] = "epoch"


@dataclass(frozen=True, slots=True)
class Step:
    """``platform_build``: runs once, on the machine's own platform. ``merge_strict``: conflicts of siblings fail."""

    name: str
    kind: Copy | Write | Run | Packages | DockerCopy | Workdir
    where: Location
    on: tuple[Ref, ...] = ()
    description: str = ""
    platforms: tuple[Platform, ...] = ()
    platform_build: bool = False
    platform: Platform | None = None
    """What it is made for, where that is not what the workspace is built for, or only one platform of several."""
    normalize: Normalize = Normalize()
    merge_strict: bool = False
    fields: Mapping[str, Location] = field(default_factory=dict)
    """Where each key of the table stands, for messages."""
    title: str = ""
    """What progress calls it, where that is not its name: ``[build 2/7] RUN make``."""
    late: Late | None = None
    """Set until what waits for the config of its stack is filled in."""


@dataclass(frozen=True, slots=True)
class Image:
    """``tags`` are full references; those that mention ``${key}`` still hold it literally as ``${key}``."""

    name: str
    on: tuple[Ref, ...]
    where: Location
    config: ImageConfig = ImageConfig()
    description: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    checks: tuple[Ref, ...] = ()
    squash: bool = False
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    level: int | None = None
    merge_strict: bool = False
    fields: Mapping[str, Location] = field(default_factory=dict)
    docker: DockerImage | None = None
    """Set for an image from a Dockerfile; ``config`` is then left at its default."""
    platform: Platform | None = None
    """As of a step."""
    source: DockerTable | None = None
    """Where the Dockerfile is that it is yet to be converted from; until then ``on`` is empty."""
    late: Late | None = None
    """As of a step."""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    targets: tuple[Ref, ...]
    where: Location
    description: str = ""


@dataclass(frozen=True, slots=True)
class Secret:
    """One of ``file`` and ``env`` is set."""

    name: str
    file: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """``epoch`` is seconds since 1970, None for the default (the fixed time).

    ``platform`` is the one that everything is for which says no other; ``platforms`` are all that were written.
    """

    name: str
    default: tuple[Ref, ...] = ()
    platform: Platform = Platform("linux", "amd64")
    platforms: tuple[Platform, ...] = ()
    ignore: tuple[str, ...] = ()
    epoch: int | None = None
    ca: str = ""
    ca_where: Location | None = field(default=None, compare=False)
    caches: tuple[CacheURL, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A whole workspace, in the order in which its tables were written.

    ``linked`` are bases that are images of the workspace, by those images' names; they are none of ``bases``.
    """

    workspace: Workspace
    bases: Mapping[str, Base]
    steps: Mapping[str, Step]
    images: Mapping[str, Image]
    groups: Mapping[str, Group]
    secrets: Mapping[str, Secret]
    variables: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, FileContext] = field(default_factory=dict)
    variants: Mapping[Ref, Variants] = field(default_factory=dict)
    """By the name that was written: tables of which several platforms have each their own."""
    off: Mapping[str, Location] = field(default_factory=dict)
    """What its condition switched off, and where that stands."""
    linked: Mapping[str, str] = field(default_factory=dict)
