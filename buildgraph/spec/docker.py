"""What a Dockerfile asks for that a Buildfile does not: the kinds of its instructions, its images, its contexts.

Values only, a part of :mod:`buildgraph.spec.model`.
"""

from collections.abc import Mapping

from buildgraph.oci.config import Config
from buildgraph.spec.terms import Mode, Owner, Ref
from buildgraph.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What control groups give a RUN, in docker's words; zero and empty are no limit. Bytes, microseconds, weights."""

    memory: int = 0
    memory_swap: int = 0
    """Memory and swap together; -1: as much swap as there is."""
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    """The group below which a command's own is made, from the root of all."""


@dataclass(frozen=True, slots=True)
class FileContext:
    """A folder that a Dockerfile's copies and binds select from: a build context, or a named one that is a folder.

    ``root`` is absolute or from the workspace. ``ignore`` are the lines of its ignore file, moby's patterns in order.
    """

    root: str
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A heredoc of COPY or ADD; a file ``name`` where the destination is a directory."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """ADD of a URL. ``checksum`` is a digest or empty; ``name`` is what the URL calls the file."""

    url: str
    name: str
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class GitTree:
    """ADD of a git repository at ``ref`` (a branch, tag or commit; empty: its HEAD), from ``subdir`` of it."""

    url: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True


@dataclass(frozen=True, slots=True)
class DockerSource:
    """A source word of COPY or ADD: a path with Go's wildcards, from the root of the context or of ``ref``."""

    pattern: str
    ref: Ref | None = None
    context: str = ""


@dataclass(frozen=True, slots=True)
class DockerCopy:
    """COPY or ADD (Dockerfile reference, "COPY", "ADD"); all that comes from the context keeps its mode, owner 0:0.

    ``to`` is absolute, joined with WORKDIR; a trailing slash is kept. ``unpack``: local archives are unpacked (None: as
    the instruction does it by itself: ADD local ones, COPY and ADD of URLs never). ``owner`` may hold names, looked up
    in the stack that the step stands on; an empty group is the user's own, for a number the same number.
    """

    sources: tuple[DockerSource | InlineFile | RemoteFile | GitTree, ...]
    to: str
    add: bool = False
    owner: Owner | None = None
    mode: Mode | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Workdir:
    """WORKDIR: ``path`` is made with all missing parents, owned by ``user`` where new; what exists stays as it is."""

    path: str
    user: str = ""


@dataclass(frozen=True, slots=True)
class DockerTable:
    """``dockerfile = …`` of an image that is not converted yet; paths are from the workspace root."""

    file: str
    context: str = "."
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str | Ref] = field(default_factory=dict)
    """By name, in docker's words, or a table of the workspace."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One instruction's entry; ``step`` made its layer, None where it has none (``empty_layer``)."""

    created_by: str
    step: Ref | None = None
    comment: str = "buildkit.dockerfile.v0"
    author: str = ""


@dataclass(frozen=True, slots=True)
class DockerImage:
    """What a Dockerfile makes of an image: its whole config, computed, and its own history; empty layers are kept.

    ``history`` follows that of the base, the first entry of the image's stack.
    """

    config: Config
    history: tuple[HistoryLine, ...]
    epoch: int | None = None
    """Its own SOURCE_DATE_EPOCH; None for the workspace's."""
