"""What is asked of a build, and what it answers; values only."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError
from buildgraph.fs.facts import Facts
from buildgraph.names import Platform
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.spec.docker import Limits
from buildgraph.values import dataclass, field

Want = Literal["targets", "all", "known"]
"""Which images of registries are opened: those that the request's targets rest on, every one, or none but those whose
documents are on this machine."""

OutputType = Literal["store", "oci", "oci-archive", "docker", "tar", "local"]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """``dest`` is a file or folder; with several targets it holds ``{name}``. ``-`` is the request's ``stdout``.

    ``compression`` and ``level`` say how layers of a Dockerfile's image are compressed; empty: as ever.
    """

    type: OutputType
    dest: str = ""
    compression: Literal["", "gzip", "zstd", "none"] = ""
    level: int | None = None


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """``--secret id=…``: exactly one of ``file`` and ``env`` is set."""

    id: str
    file: str = ""
    env: str = ""


Place = Literal["manifest", "index", "manifest-descriptor", "index-descriptor"]
"""A descriptor is what names a document: an index for a manifest, else ``index.json`` of a layout."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One that is not for the manifests of all platforms; an empty ``platform`` means all."""

    place: Place
    platform: str
    name: str
    value: str


NetworkMode = Literal["default", "none", "host"]


@dataclass(frozen=True, slots=True)
class DockerRequest:
    """What ``build`` of a Dockerfile is told, in docker's words.

    ``context`` and ``file`` are as written, from the request's directory; ``-`` is ``stdin``, an empty ``file`` the
    context's ``Dockerfile`` or ``dockerfile``. ``contexts`` are ``name=`` what is written behind it.
    """

    context: str = "."
    file: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    inherited: tuple[str, ...] = ()
    """Arguments whose values are those of the environment's variables, if it has them."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the manifests of all platforms."""
    placed: tuple[Annotation, ...] = ()
    network: NetworkMode = "default"
    hosts: Mapping[str, str] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()
    """Of ``network.host`` and ``security.insecure``."""
    pull: bool = False
    no_cache_filter: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    limits: Limits = Limits()
    keep_times: bool = False
    """Files in layers keep the times that they have, instead of one for all."""
    stdin: BinaryIO | None = field(default=None, compare=False)

    def placed_at(self, place: Place, platform: Platform | None = None) -> dict[str, str]:
        """Annotations for that place; where it has a platform, those for that platform."""
        return {
            each.name: each.value
            for each in self.placed
            if each.place == place
            and (not each.platform or platform is None or Platform.parse(each.platform) == platform)
        }


@dataclass(frozen=True, slots=True)
class Request:
    """One command's words. ``environ`` is the whole environment; nothing below reads ``os.environ``."""

    directory: Path
    home: Path
    environ: Mapping[str, str]
    file: Path | None = None
    targets: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    platform: str | None = None
    """One, or several with commas between them."""
    jobs: int | None = None
    memory: int | None = None
    keep_going: bool = False
    no_cache: bool = False
    no_checks: bool = False
    rebuild: tuple[str, ...] = ()
    frozen: bool = False
    require_cached: bool = False
    tags: tuple[str, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    ssh: Mapping[str, str] = field(default_factory=dict)
    """Sockets of agents by id; an empty one is that of ``SSH_AUTH_SOCK``."""
    metadata_file: Path | None = None
    iidfile: Path | None = None
    shell_on_failure: bool = False
    push: Literal["", "all", "each"] = ""
    """``all``: one release; ``each``: every image that was built, by itself."""
    docker: DockerRequest | None = None
    """Set where a Dockerfile is built; then there is no Buildfile, and its image is the one target."""
    caches: tuple[CacheURL, ...] | None = None
    """None: those of ``BUILDGRAPH_CACHE``, else the Buildfile's. Folders are absolute."""
    stdout: BinaryIO | None = field(default=None, compare=False)

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """Those that ``platform`` names; none where nothing was said."""
        return Platform.parse_all(self.platform or "")


@dataclass(frozen=True, slots=True)
class ImageResult:
    """``size`` is what a registry would hold; ``new_bytes`` what this build added to the store."""

    target: str
    digest: str
    config_digest: str
    tags: tuple[str, ...]
    size: int
    new_bytes: int


@dataclass(frozen=True, slots=True)
class Pushed:
    """Bytes of all images together; ``named`` are the tags and the digests that they name now, ``ca`` the bundle
    that was trusted for it."""

    uploaded: int = 0
    mounted: int = 0
    named: tuple[tuple[str, str], ...] = ()
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """``metadata`` is the document of ``--metadata-file``."""

    ok: bool
    metadata: Mapping[str, object]
    images: tuple[ImageResult, ...]
    failures: tuple[BuildgraphError, ...] = ()
    facts: Facts | None = None
    """What the answer rests on; None where the same command must not be answered from memory."""
    kept: Mapping[Digest, int] = field(default_factory=dict)
    """With ``facts``: the answer rests on these blobs of the store, too, and on their sizes."""
    pushed: Pushed | None = None
    """With ``facts``: the answer rests on these tags, too."""
