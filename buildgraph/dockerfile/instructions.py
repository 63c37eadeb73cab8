"""What stands in a Dockerfile: one value per instruction, with its lines, its flags decoded and its words as written.

Words are not expanded (:mod:`buildgraph.dockerfile.words` does that, when the variables are known); where they are
not to be expanded at all, the field says so. ``Instruction`` is the closed union of what stands in a stage.
"""

from buildgraph.dockerfile.heredoc import Heredoc
from buildgraph.dockerfile.lex import Directive
from buildgraph.dockerfile.source import Lines, Source
from buildgraph.dockerfile.split import Pair
from buildgraph.errors import Location, UsageError
from buildgraph.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """How an instruction stands in the file: ``text`` is its joined line, ``keyword`` in the case it was written in.

    ``comments`` are the lines of comment right above it.
    """

    where: Lines
    text: str
    keyword: str
    comments: tuple[str, ...] = ()


class Written:
    """What every instruction has; the values below declare ``at`` as their first field."""

    __slots__ = ()
    at: Place

    @property
    def where(self) -> Lines:
        return self.at.where

    @property
    def text(self) -> str:
        return self.at.text

    @property
    def keyword(self) -> str:
        return self.at.keyword

    @property
    def comments(self) -> tuple[str, ...]:
        return self.at.comments

    @property
    def name(self) -> str:
        return self.at.keyword.upper()


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: ``words`` if ``exec`` (the JSON form), else a shell's ``text``; heredocs belong to the text."""

    words: tuple[str, ...] = ()
    text: str = ""
    exec: bool = False
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class MountOption:
    """``value`` is None for a key alone (``ro``); it is expanded, except that of ``from``."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class MountFlag:
    """One ``--mount``, its options in order; ``line`` is where it stands."""

    options: tuple[MountOption, ...]
    line: int

    def get(self, *keys: str) -> str | None:
        """The last value given under one of ``keys``."""
        return next((o.value for o in reversed(self.options) if o.key in keys), None)


@dataclass(frozen=True, slots=True)
class ArgPair:
    """``default`` is None for ``ARG name``; ``description`` is the comment ``# name description`` above."""

    name: str
    default: str | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class From(Written):
    """``stage`` is lower case and empty without ``AS``; ``stage_written`` and ``as_written`` are as they stand."""

    at: Place
    base: str
    stage: str = ""
    platform: str = ""
    stage_written: str = ""
    as_written: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Written):
    at: Place
    pairs: tuple[ArgPair, ...]


@dataclass(frozen=True, slots=True)
class Env(Written):
    """Keys and values are expanded, with the variables from before the line."""

    at: Place
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Label(Written):
    at: Place
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Run(Written):
    """Never expanded, but for the options of ``mounts``."""

    at: Place
    command: Command
    mounts: tuple[MountFlag, ...] = ()
    network: str = ""
    security: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy(Written):
    """``sources`` in order, heredocs among them; ``origin`` is ``--from``, never expanded.

    ``chown``, ``chmod``, ``exclude``, ``to`` and the sources are.
    """

    at: Place
    sources: tuple[str | Heredoc, ...]
    to: str
    origin: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add(Written):
    """As :class:`Copy`; ``unpack`` is None where nothing is said."""

    at: Place
    sources: tuple[str | Heredoc, ...]
    to: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Cmd(Written):
    at: Place
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(Written):
    at: Place
    command: Command


@dataclass(frozen=True, slots=True)
class Shell(Written):
    at: Place
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workdir(Written):
    at: Place
    path: str


@dataclass(frozen=True, slots=True)
class User(Written):
    at: Place
    user: str


@dataclass(frozen=True, slots=True)
class Expose(Written):
    """Each of ``ports`` is expanded to words, which blanks part even in quotes; sorted as written."""

    at: Place
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(Written):
    at: Place
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopsignal(Written):
    at: Place
    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Written):
    """``command`` is None for ``NONE``; times in nanoseconds, 0 where nothing is said. Nothing is expanded."""

    at: Place
    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild(Written):
    """``expression`` is the trigger's text, heredocs with it; ``trigger`` its keyword in upper case."""

    at: Place
    expression: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Maintainer(Written):
    at: Place
    author: str


Instruction = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Add
    | Cmd
    | Entrypoint
    | Shell
    | Workdir
    | User
    | Expose
    | Volume
    | Stopsignal
    | Healthcheck
    | Onbuild
    | Maintainer
)


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next; ``index`` counts from 0."""

    index: int
    origin: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """As progress calls it: ``stage-N`` without a name of its own."""
        return self.origin.stage or f"stage-{self.index}"


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """``args`` are the ARGs before the first FROM; ``empty_continuations`` are the last lines of what
    holds an empty one, where BuildKit tells of it."""

    source: Source = field(compare=False)
    escape: str
    directives: tuple[Directive, ...]
    args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    empty_continuations: tuple[Lines, ...] = ()

    def location(self, where: Lines) -> Location:
        return self.source.location(where)

    def error(self, where: Lines, code: str, message: str, *, hint: str = "") -> UsageError:
        """An error at ``where``, with its excerpt."""
        return self.source.error(where, code, message, hint=hint)
