"""What every command knows: where it works, how it speaks."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from buildgraph.cli import warm
from buildgraph.errors import BuildgraphError, UsageError
from buildgraph.events import Event
from buildgraph.values import dataclass

Progress = Literal["auto", "tty", "plain", "json", "quiet"]
Color = Literal["auto", "always", "never"]


class Watcher(Protocol):
    """An observer of one build that can also say what the same build would show with nothing left to do."""

    def __call__(self, event: Event, /) -> None: ...

    def unchanged(self) -> dict[str, bytes]:
        """Sections ``plain``, ``styled`` and ``json`` of a warm answer."""


class Screen(Protocol):
    """Where progress and messages go: standard error, in one of several forms."""

    def watch(
        self, progress: Progress, *, styled: bool, verbose: bool
    ) -> AbstractContextManager[Watcher]: ...

    def fail(self, error: BuildgraphError, progress: Progress, *, styled: bool) -> None: ...

    def note(self, message: str, progress: Progress) -> None:
        """One line for a person; nothing where a program reads."""


@dataclass(frozen=True, slots=True)
class Session:
    """The working folder is the process's: ``-C`` has been followed before this exists.

    ``named`` is what ``-f`` says, as it was written; empty without it.
    """

    directory: Path
    named: str
    home: Path
    progress: Progress
    color: Color
    verbose: bool
    screen: Screen
    arguments: tuple[str, ...]
    plan_file: Path | None
    """Where a warm answer to these arguments is kept."""

    @property
    def file(self) -> Path | None:
        """The Buildfile that ``-f`` names. Raises UsageError ``not-a-buildfile`` for any other file."""
        if names_dockerfile(self.named):
            raise UsageError(
                "not-a-buildfile",
                f"{self.named!r} is no Buildfile",
                hint="name a .toml file; build, plan, why, graph, ls, query, check and convert take a Dockerfile",
            )
        return Path(os.path.abspath(self.named)) if self.named else None

    @property
    def styled(self) -> bool:
        return warm.colored(self.color)

    def watch(self) -> AbstractContextManager[Watcher]:
        return self.screen.watch(self.progress, styled=self.styled, verbose=self.verbose)

    def fail(self, error: BuildgraphError) -> None:
        self.screen.fail(error, self.progress, styled=self.styled)

    def note(self, message: str) -> None:
        self.screen.note(message, self.progress)


def stdout() -> BinaryIO:
    """Standard output for bytes. Raises UsageError ``bad-option-value`` if it is a terminal."""
    if sys.stdout.isatty():
        raise UsageError(
            "bad-option-value",
            "an output goes to standard output, which is a terminal",
            hint="send it to a file or a pipe: … > image.tar",
        )
    return sys.stdout.buffer


def names_dockerfile(file: str) -> bool:
    """Whether ``-f`` means no Buildfile; a folder is where one is."""
    return bool(file) and not file.endswith(".toml") and not os.path.isdir(file)


@dataclass(slots=True)
class Settings:
    """What has been read so far of the options that stand anywhere; the later one wins."""

    screen: Screen
    arguments: tuple[str, ...] = ()
    directory: str = ""
    file: str = ""
    home: str = ""
    progress: Progress = "auto"
    color: Color = "auto"
    verbose: bool = False
    plan_file: Path | None = None

    @property
    def styled(self) -> bool:
        return warm.colored(self.color)

    def session(self) -> Session:
        """Follow ``-C`` and settle every path."""
        try:
            home = Path(os.path.abspath(self.home or warm.default_home(os.environ)))
            here = Path.cwd()
        except FileNotFoundError as error:
            raise UsageError(
                "bad-directory",
                "the working folder is gone",
                hint="change into another one",
            ) from error
        if self.directory:
            try:
                os.chdir(self.directory)
            except OSError as error:
                raise UsageError(
                    "bad-directory", f"cannot work in {self.directory!r}: {error.strerror}"
                ) from error
            here = Path.cwd()
        return Session(
            here,
            self.file,
            home,
            self.progress,
            self.color,
            self.verbose,
            self.screen,
            self.arguments,
            self.plan_file,
        )
