"""Standard error as a place where builds are shown: which form, and what stands at the end."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Literal, TextIO, assert_never

from buildgraph.errors import BuildgraphError, ErrorGroup
from buildgraph.events import Event
from buildgraph.report import recap, words

Progress = Literal["auto", "tty", "plain", "json", "quiet"]


class Watch:
    """One build on the screen; afterwards it knows what to say if the next has nothing to do."""

    def __init__(self, show: Callable[[Event], None]) -> None:
        self._show = show
        self.recap = recap.Recap()

    def __call__(self, event: Event) -> None:
        self.recap(event)
        self._show(event)

    def unchanged(self) -> dict[str, bytes]:
        from buildgraph.report import jsonl

        finished, images, pushed = self.recap.unchanged()

        def text(*, styled: bool) -> bytes:
            lines = [recap.warning_line(each, styled=styled) for each in self.recap.lasting]
            lines += recap.unchanged_lines(finished, images, pushed, took="@TOOK@", styled=styled)
            return ("\n".join(lines) + "\n").encode()

        events: list[Event] = [*self.recap.lasting, *pushed, *images, finished]
        if self.recap.started is not None:
            events.insert(0, self.recap.started)
        lines = [jsonl.line(event, 0.0) for event in events]
        told = "\n".join(lines).replace('"time": 0.0', '"time": @TIME@')
        told = told.replace('"seconds": 0.0', '"seconds": @SECONDS@')
        return {
            "plain": text(styled=False),
            "styled": text(styled=True),
            "json": told.encode() + b"\n",
        }


class Terminal:
    """Writes to ``stream``, standard error unless a test says otherwise."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    @contextlib.contextmanager
    def watch(self, progress: Progress, *, styled: bool, verbose: bool) -> Iterator[Watch]:
        with self._shown(progress, styled=styled, verbose=verbose) as show:
            watch = Watch(show)
            yield watch
        form = self._form(progress)
        if form in ("tty", "plain"):
            width = words.columns(self._stream) if form == "tty" else 0
            self._write(*watch.recap.lines(styled=styled, width=width))

    def fail(self, error: BuildgraphError, progress: Progress, *, styled: bool) -> None:
        if progress == "json":
            from buildgraph.report import jsonl

            self._write(*jsonl.error_lines(error, time.time()))
        else:
            self._write(render(error, styled=styled))

    def note(self, message: str, progress: Progress) -> None:
        if progress not in ("json", "quiet"):
            self._write(message)

    def _form(self, progress: Progress) -> Literal["tty", "plain", "json", "quiet"]:
        if progress == "auto":
            dumb = os.environ.get("TERM") == "dumb"  # it cannot go back to a line
            return "tty" if self._stream.isatty() and not dumb else "plain"
        return progress

    def _shown(
        self, progress: Progress, *, styled: bool, verbose: bool
    ) -> AbstractContextManager[Callable[[Event], None]]:
        form = self._form(progress)
        match form:
            case "tty":
                from buildgraph.report.live import Live

                return Live(self._stream, styled=styled, verbose=verbose)
            case "plain":
                from buildgraph.report.plain import Plain

                return contextlib.nullcontext(Plain(self._stream, styled=styled, verbose=verbose))
            case "json":
                from buildgraph.report import jsonl

                return contextlib.nullcontext(jsonl.Lines(self._stream))
            case "quiet":
                return contextlib.nullcontext(_ignore)
            case _:
                assert_never(form)

    def _write(self, *lines: str) -> None:
        with contextlib.suppress(io.UnsupportedOperation):
            for line in lines:
                self._stream.write(line + "\n")
            self._stream.flush()


def _ignore(_event: Event) -> None:
    pass


def render(error: BuildgraphError, *, styled: bool) -> str:
    """As :meth:`BuildgraphError.render` says it, with the parts that matter set off by colour."""
    if isinstance(error, ErrorGroup):
        return "\n\n".join(render(each, styled=styled) for each in error.errors)
    text = error.render()
    if not styled:
        return text
    head = f"error[{error.code}]:"
    text = text.replace(head, words.paint(head, "red", on=True), 1)
    return text.replace("\n  help:", "\n  " + words.paint("help:", "cyan", on=True), 1)
