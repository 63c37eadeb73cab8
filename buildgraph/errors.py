"""What went wrong, as a user reads it: one base class, one subclass per exit code.

The class says which exit code ends the program (``exit_code``); ``code`` is stable, kebab-case and listed in
``docs/reference/errors.md``; ``message`` is one sentence with the offending value; ``hint`` says what to do;
``where`` points at the line that is to blame.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from buildgraph.values import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file that a person wrote; ``line`` counts from 1, 0 means the whole file.

    ``last`` is the last line of what spans several; ``excerpt`` may have several lines.
    """

    file: str
    line: int = 0
    excerpt: str = ""
    last: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}" + (f"-{self.last}" if self.last > self.line else "")


class BuildgraphError(Exception):
    """Base of every error that is shown to a user; never raised itself."""

    exit_code = 1

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        where: Location | None = None,
        detail: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.where = where
        self.detail = tuple(detail)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross from worker processes; ``Exception`` alone would lose the keywords."""
        state = (type(self), self.code, self.message, self.hint, self.where, self.detail)
        return (_rebuild, state)

    def render(self) -> str:
        """The error as plain text: location and excerpt first, then message, details and hint."""
        lines = []
        if self.where:
            lines.append(f"{self.where}:")
            if self.where.excerpt:
                lines += [f"    {line}" for line in self.where.excerpt.split("\n")]
        lines.append(f"error[{self.code}]: {self.message}")
        lines += [f"  {line}" for line in self.detail]
        if self.hint:
            lines.append(f"  help: {self.hint}")
        return "\n".join(lines)


def _rebuild(
    cls: type[BuildgraphError],
    code: str,
    message: str,
    hint: str,
    where: Location | None,
    detail: tuple[str, ...],
) -> BuildgraphError:
    return cls(code, message, hint=hint, where=where, detail=detail)


class StepFailedError(BuildgraphError):
    """A step, check or container command failed (exit 1)."""


class UsageError(BuildgraphError):
    """Wrong usage, or a mistake in what a person wrote (exit 2)."""

    exit_code = 2


class MachineError(BuildgraphError):
    """This machine lacks something (exit 3); ``hint`` names the command that installs it."""

    exit_code = 3


class RemoteError(BuildgraphError):
    """A registry or remote store refused or failed (exit 4)."""

    exit_code = 4


class LayerLostError(RemoteError):
    """Nobody gives the bytes of a layer any more that a step can make again."""

    digest = ""
    """Of the blob."""


class DifferenceError(BuildgraphError):
    """``--frozen``, ``--require-cached`` or ``verify`` found a difference (exit 5)."""

    exit_code = 5


class ContentError(BuildgraphError):
    """Bytes are not what their name says, or an archive is unusable (exit 1)."""


class DroppedError(ContentError):
    """A blob of the store was damaged and is no longer there; what made it can make it again."""

    digest = ""


class ErrorGroup(BuildgraphError):  # noqa: N818 - several errors, not one
    """Several errors found in one run; shown one after the other, exit code of the first."""

    def __init__(self, errors: Iterable[BuildgraphError]) -> None:
        self.errors = tuple(errors)
        count = len(self.errors)
        super().__init__("several", f"{count} error{'s' if count != 1 else ''}")
        self.exit_code = self.errors[0].exit_code if self.errors else 1

    def __reduce__(self) -> tuple[object, ...]:
        return (ErrorGroup, (self.errors,))

    def render(self) -> str:
        return "\n\n".join(error.render() for error in self.errors)


@contextmanager
def blaming(where: Location) -> Iterator[None]:
    """What goes wrong inside, unless it is the machine or says where itself, is said of the table at ``where``."""
    try:
        yield
    except MachineError:
        raise
    except BuildgraphError as error:
        error.where = error.where or where
        raise
