"""What a build of a Dockerfile is asked for beside its text, and the variables that are there before its first line."""

from collections.abc import Callable, Mapping
from typing import Literal

from buildgraph.errors import UsageError
from buildgraph.names import Platform
from buildgraph.spec.docker import GitTree, Limits, RemoteFile
from buildgraph.spec.terms import Ref
from buildgraph.values import dataclass, field

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH_ARG = "SOURCE_DATE_EPOCH"
HOSTNAME_ARG = "BUILDKIT_SANDBOX_HOSTNAME"
NO_VARIABLES = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
"""An ARG of such a name is no variable of a RUN."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")

Network = Literal["none", "host", "default"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A named context that is a folder; ``root`` is absolute or from the workspace.

    ``time`` is that of what was fetched, in seconds since 1970; None for a folder of this machine.
    """

    root: str
    time: int | None = None


@dataclass(frozen=True, slots=True)
class LayoutImage:
    """A named context that is an image of an OCI layout."""

    path: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class RegistryImage:
    """A named context that is an image of a registry, or ``scratch``."""

    reference: str


NamedContext = Folder | LayoutImage | RegistryImage | Ref
"""A ``Ref`` is an image, step or base of the workspace."""


@dataclass(frozen=True, slots=True)
class Options:
    """``contexts`` and ``images`` are asked by :func:`buildgraph.dockerfile.origins.familiar` names.

    ``images``: tags that images of the workspace have. ``prefix`` stands before every name that conversion makes up.
    ``network``: what a RUN without ``--network`` gets. ``allow_host``, ``allow_insecure``: what a RUN may ask for.
    ``context_time`` is what ``SOURCE_DATE_EPOCH=context`` means, in seconds since 1970.
    """

    context: str = "."
    target: str = ""
    prefix: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, NamedContext] = field(default_factory=dict)
    images: Mapping[str, Ref] = field(default_factory=dict)
    platform: Platform = Platform("linux", "amd64")
    platform_asked: bool = False
    """Whether a person said so: the image is then of it, whatever its base is."""
    several_platforms: bool = False
    """Whether it is one of several, so that every base says in its name for which it is."""
    build_platform: Platform = Platform("linux", "amd64")
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Network = "default"
    allow_host: bool = False
    allow_insecure: bool = False
    hosts: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    shm_size: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    limits: Limits = Limits()
    keep_times: bool = False
    """Files in layers keep their times."""
    context_time: int | None = None
    time_of: Callable[[GitTree | RemoteFile], int | None] | None = field(
        default=None, compare=False
    )
    """When a source of ADD was changed last; None: nobody can be asked here."""


def predefined(options: Options, target: str) -> dict[str, str]:
    """The arguments that need no ARG before the first FROM. ``target`` is the name of the requested stage."""
    known = {**_platform("BUILD", options.build_platform), **_platform("TARGET", options.platform)}
    known["TARGETSTAGE"] = target or "default"
    return {name: options.args.get(name, value) for name, value in known.items()}


def _platform(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": "",
        f"{prefix}ARCH": platform.arch,
        f"{prefix}VARIANT": platform.variant,
    }


def proxies(args: Mapping[str, str]) -> dict[str, str]:
    """Both spellings of every proxy variable that the build was given."""
    found: dict[str, str] = {}
    for name, value in sorted(args.items()):
        if name.lower() in _PROXIES:
            found |= {name.lower(): value, name.upper(): value}
    return found


def epoch_of(value: str) -> int | None:
    """Seconds since 1970; None for nothing.

    Raises UsageError ``bad-epoch``.
    """
    if not value:
        return None
    digits = value.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 16:
        return int(value)
    raise UsageError(
        "bad-epoch",
        f"{EPOCH_ARG}={value!r} is no time",
        hint="write seconds since 1970, such as 1700000000; an empty value takes it away",
    )
