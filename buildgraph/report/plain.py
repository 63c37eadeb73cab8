"""``--progress plain``: lines for a log, grouped by step, each with the name of its step before it.

One running step at a time has the floor: its lines are shown as they come. The others' lines wait until they get
the floor or end, so that groups stay whole although steps run side by side. A step that waits with more than
``PATIENCE`` characters is let through, so that nothing grows without bound. What is waited for is told until the
build has begun; from then on steps tell what goes on.
"""

from typing import TextIO

from buildgraph.events import (
    BuildStarted,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    TransferFinished,
    WaitFinished,
    WaitStarted,
    Warned,
)
from buildgraph.report import words
from buildgraph.report.recap import warning_line

PATIENCE = 4_000_000


def transferred(event: TransferFinished) -> str:
    word = {"fetch": "fetched", "upload": "sent"}[event.direction]
    way = {"fetch": "from", "upload": "to"}[event.direction]
    took = f"{words.size(event.size)} in {words.seconds(event.seconds)}"
    return f"{word} {event.blob[:19]} {way} {event.place}, {took}"


class Plain:
    def __init__(self, stream: TextIO, *, styled: bool, verbose: bool) -> None:
        self._stream = stream
        self._styled = styled
        self._verbose = verbose
        self._begun = False
        self._floor = ""
        self._waiting: dict[str, list[str]] = {}
        self._held: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._waiting[event.step] = []
                self._held[event.step] = 0
                self._floor = self._floor or event.step
                head = words.clean(event.title) or event.kind
                self._say(event.step, self._dim(f"{head}: {event.reason}"))
            case BuildStarted():
                self._begun = True
            case WaitStarted() if not self._begun:
                self._say(event.subject, self._dim(event.doing))
            case WaitFinished() if event.found and not self._begun:
                took = words.seconds(event.seconds)
                self._say(event.subject, self._dim(f"{event.found} in {took}"))
            case StepOutput():
                self._say(event.step, words.clean(event.line))
            case StepFinished():
                self._finish(event)
            case TransferFinished() if self._verbose or event.size >= words.WORTH_SHOWING:
                self._write(self._dim(transferred(event)))
            case Warned():
                self._write(warning_line(event, styled=self._styled))
            case _:
                pass
        self._stream.flush()

    def _finish(self, event: StepFinished) -> None:
        begun = event.step in self._waiting
        if begun or self._verbose or event.outcome in ("cutoff", "failed"):
            self._say(event.step, self._ending(event))
        self._let_out(event.step)
        self._waiting.pop(event.step, None)
        self._held.pop(event.step, None)
        if self._floor == event.step:
            self._floor = next(iter(self._waiting), "")
            self._let_out(self._floor)

    def _ending(self, event: StepFinished) -> str:
        match event.outcome:
            case "executed":
                return self._dim(
                    f"done in {words.seconds(event.seconds)}, {words.size(event.size)}"
                )
            case "failed":
                text = f"failed after {words.seconds(event.seconds)}"
                return words.paint(text, "red", on=self._styled)
            case "cutoff":
                return self._dim(f"cut off: {event.reason or 'its inputs came out as before'}")
            case "reused" | "skipped":
                return self._dim(event.outcome + (f": {event.reason}" if event.reason else ""))
            case "cancelled":
                return self._dim("cancelled")

    def _say(self, step: str, text: str) -> None:
        name = words.paint(step, "cyan", on=self._styled)
        line = f"{name} | {text}"
        if step == self._floor or step not in self._waiting:
            self._write(line)
            return
        self._waiting[step].append(line)
        self._held[step] += len(line)
        if self._held[step] > PATIENCE:
            self._let_out(step)

    def _let_out(self, step: str) -> None:
        for line in self._waiting.get(step, ()):
            self._write(line)
        if step in self._waiting:
            self._waiting[step] = []
            self._held[step] = 0

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")

    def _dim(self, text: str) -> str:
        return words.paint(text, "dim", on=self._styled)
