"""``--progress tty``: what runs now as a small tree that is redrawn in place, what ended above it.

rich is loaded and its screen opened when the first step starts, or something is waited for: a build that reuses
everything needs neither.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TextIO, assert_never

from buildgraph.events import (
    BuildFinished,
    BuildStarted,
    Event,
    ImageFinished,
    ImagePushed,
    StepFinished,
    StepOutput,
    StepStarted,
    TransferFinished,
    TransferProgressed,
    TransferStarted,
    WaitFinished,
    WaitStarted,
    Warned,
)
from buildgraph.report import words
from buildgraph.report.recap import warning_line
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from rich.live import Live as RichLive
    from rich.text import Text

_LEAST_NAME = 16


@dataclass(slots=True)
class Running:
    """A step at work; ``line`` is the last that its command wrote."""

    event: StepStarted
    since: float
    line: str = ""


class Live:
    """Use as a context manager: leaving removes the tree and gives the terminal back."""

    def __init__(
        self,
        stream: TextIO,
        *,
        styled: bool,
        verbose: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._styled = styled
        self._verbose = verbose
        self._clock = clock
        self._lock = threading.RLock()
        self._screen: RichLive | None = None
        self._started = BuildStarted((), 0)
        self._began = clock()
        self._running: dict[str, Running] = {}
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._note(event)
        match event:
            case StepStarted() | WaitStarted():
                self._open()
            case WaitFinished() if event.found:
                self._above(self._found(event))
            case TransferStarted() if event.size >= words.WORTH_SHOWING:
                self._open()
            case StepFinished() if self._worth_a_line(event):
                self._above(self._ending(event))
            case Warned():
                self._above(warning_line(event, styled=self._styled))
            case BuildFinished():
                self._close()
            case _:
                pass

    def _note(self, event: Event) -> None:
        match event:
            case BuildStarted():
                self._started = event
            case WaitStarted():
                doing = StepStarted(event.subject, "wait", event.doing)
                self._running[event.subject] = Running(doing, self._clock())
            case WaitFinished():
                self._running.pop(event.subject, None)
            case StepStarted():
                self._running[event.step] = Running(event, self._clock())
            case StepOutput():
                if event.step in self._running and (line := words.clean(event.line).strip()):
                    self._running[event.step].line = line
            case StepFinished():
                self._running.pop(event.step, None)
                self._done += 1
            case TransferStarted():
                word = {"fetch": "fetches", "upload": "sends"}[event.direction]
                name = StepStarted(f"{event.blob[:19]}", event.direction, f"{word} {event.place}")
                self._running[event.blob] = Running(name, self._clock())
            case TransferProgressed():
                if event.blob in self._running:
                    done = f"{words.size(event.done)} of {words.size(event.size)}"
                    self._running[event.blob].line = done
            case TransferFinished():
                self._running.pop(event.blob, None)
            case ImageFinished() | ImagePushed() | Warned() | BuildFinished():
                pass
            case _:
                assert_never(event)

    def _worth_a_line(self, event: StepFinished) -> bool:
        return self._verbose or event.outcome not in ("reused", "skipped", "cancelled")

    def _ending(self, event: StepFinished) -> str:
        word, style = {
            "executed": ("done", "green"),
            "cutoff": ("cut off", "cyan"),
            "failed": ("failed", "red"),
        }.get(event.outcome, (event.outcome, "dim"))
        parts = [words.paint(word.rjust(7), style, on=self._styled), event.step]
        if event.outcome in ("executed", "failed"):
            parts.append(words.paint(words.seconds(event.seconds), "dim", on=self._styled))
        if event.outcome == "executed":
            parts.append(words.paint(words.size(event.size), "dim", on=self._styled))
        elif event.outcome in ("cutoff", "reused", "skipped") and event.reason:
            parts.append(words.paint(event.reason, "dim", on=self._styled))
        return "  ".join(parts)

    def _found(self, event: WaitFinished) -> str:
        word = words.paint("found".rjust(7), "green", on=self._styled)
        took = words.paint(words.seconds(event.seconds), "dim", on=self._styled)
        return "  ".join(
            (word, event.subject, took, words.paint(event.found, "dim", on=self._styled))
        )

    def frame(self, width: int, height: int, *, ascii_only: bool = False) -> "Text":
        """The tree as it is now, no line wider than ``width``; ``height`` counts the terminal's lines."""
        from rich.text import Text

        with self._lock:
            now = self._clock()
            lines = [self._head(now)]
            running = list(self._running.values())
        shown = running[: max(1, height - 3)]
        widest = max(_LEAST_NAME, width // 2)  # what a step says must have room, too
        names = [_cut(one.event.step, widest, ascii_only=ascii_only) for one in shown]
        name = max(map(len, names), default=0)
        for at, one in enumerate(shown):
            last = at == len(shown) - 1 and len(shown) == len(running)
            twig = ("`- " if last else "|- ") if ascii_only else ("└─ " if last else "├─ ")
            lines.append(
                Text.assemble((twig, "dim"), self._branch(one, names[at].ljust(name), now))
            )
        if len(running) > len(shown):
            lines.append(Text(f"   and {len(running) - len(shown)} more", "dim"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _head(self, now: float) -> "Text":
        from rich.text import Text

        passed = now - self._began
        text = Text()
        if self._started.targets:  # else images are moved, not built
            text.append(f"{self._done}/{self._started.steps}  ", "bold")
        text.append(words.seconds(passed))
        targets = ", ".join(self._started.targets)
        return text.append(f"  {targets}", "dim")

    def _branch(self, one: Running, name: str, now: float) -> "Text":
        from rich.text import Text

        passed = words.seconds(now - one.since)
        if one.event.expected and one.event.expected > now - one.since:
            passed += f" of {words.seconds(one.event.expected)}"
        text = Text.assemble((name, "cyan"), f"  {passed}")
        doing = one.line or words.clean(one.event.title) or one.event.reason
        return text.append(f"  {doing}", "dim")

    def _open(self) -> None:
        if self._screen is not None:
            return
        from rich.console import Console
        from rich.live import Live as RichLive

        console = Console(
            file=self._stream,
            force_terminal=True,
            highlight=False,
            color_system="auto" if self._styled else None,
            _environ=_surroundings(self._stream),
        )

        def draw() -> "Text":
            options, free = console.options, len("^C")
            width = max(1, console.width - free)
            return self.frame(width, console.height, ascii_only=options.ascii_only)

        self._screen = RichLive(
            console=console,
            get_renderable=draw,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._screen.start()

    def _above(self, line: str) -> None:
        if self._screen is None:
            self._stream.write(line + "\n")
            self._stream.flush()
            return
        from rich.text import Text

        self._screen.console.print(Text.from_ansi(line), soft_wrap=True)

    def _close(self) -> None:
        if self._screen is not None:
            self._screen.stop()
            self._screen = None


def _surroundings(stream: TextIO) -> Mapping[str, str]:
    """A terminal that knows its size is asked for it, at every redrawing; COLUMNS may be older, or of another one."""
    sizes = ("COLUMNS", "LINES") if words.columns(stream) else ()
    return {name: value for name, value in os.environ.items() if name not in sizes}


def _cut(name: str, most: int, *, ascii_only: bool) -> str:
    dots = "..." if ascii_only else "…"
    return name if len(name) <= most else name[: most - len(dots)] + dots
