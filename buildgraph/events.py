"""What happens in a build, as values; the library tells, ``report`` shows.

Every event is one line of ``--progress json`` (``docs/reference/events.md``): its class name in kebab-case is
``event``, its fields are the line's fields. Times are added by whoever writes the line, not here.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from buildgraph.values import dataclass, field

Outcome = Literal["executed", "reused", "cutoff", "failed", "skipped", "cancelled"]

Direction = Literal["fetch", "upload"]


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """``steps`` is how many steps the targets need; ``remaining`` how long they took last time, in seconds."""

    targets: tuple[str, ...]
    steps: int
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class WaitStarted:
    """Time goes into ``subject`` (a step, image, file or address), though no step runs for it; ``doing`` says for what.

    Told of what takes longer than half a second. Between this and its end ``step-output`` may have its name.
    """

    subject: str
    doing: str


@dataclass(frozen=True, slots=True)
class WaitFinished:
    """It is done, unless an error follows; ``found`` says what came of it, if that is worth a word."""

    subject: str
    seconds: float
    found: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began to do work; ``reason`` says why in one sentence, ``expected`` is its last duration in seconds.

    ``title`` is the instruction of a Dockerfile, ``[build 2/7] RUN make``; other steps have none.
    """

    step: str
    kind: str
    reason: str
    expected: float | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One line that a step's command wrote, secrets masked, without its newline."""

    step: str
    line: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is settled. ``size`` is the layer's uncompressed size in bytes."""

    step: str
    kind: str
    outcome: Outcome
    seconds: float = 0.0
    tree: str = ""
    size: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImageFinished:
    """An image is in the store; ``new_bytes`` are blob bytes that the store did not have before this build."""

    target: str
    digest: str
    size: int
    new_bytes: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImagePushed:
    """A registry has the image under its names. Bytes; both are 0 when it was there already."""

    target: str
    names: tuple[str, ...]
    digest: str
    uploaded: int = 0
    mounted: int = 0


@dataclass(frozen=True, slots=True)
class Warned:
    """Something to know that does not end the build."""

    code: str
    message: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class BuildFinished:
    """The last event. ``steps`` counts by outcome: executed, reused, cutoff, failed, skipped."""

    ok: bool
    seconds: float
    steps: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """A blob begins to come from, or go to, a repository of a registry; ``size`` in bytes."""

    direction: Direction
    blob: str
    place: str
    size: int


@dataclass(frozen=True, slots=True)
class TransferProgressed:
    """``done`` of ``size`` bytes have passed; told a few times a second."""

    blob: str
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """No more of the blob passes; ``size`` is how many bytes did."""

    direction: Direction
    blob: str
    place: str
    size: int
    seconds: float


Event = (
    BuildStarted
    | WaitStarted
    | WaitFinished
    | StepStarted
    | StepOutput
    | StepFinished
    | ImageFinished
    | ImagePushed
    | Warned
    | BuildFinished
    | TransferStarted
    | TransferProgressed
    | TransferFinished
)

Observer = Callable[[Event], None]
"""Called from any thread, one call at a time; must not block for long and must not raise."""
