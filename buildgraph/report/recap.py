"""What came of a build: gathered from its events, told in a few lines at its end."""

from collections.abc import Mapping, Sequence

from buildgraph.events import (
    BuildFinished,
    BuildStarted,
    Event,
    ImageFinished,
    ImagePushed,
    Outcome,
    StepFinished,
    Warned,
)
from buildgraph.report import words
from buildgraph.values import dataclass, field

_WORDS: Mapping[Outcome, str] = {
    "executed": "ran",
    "reused": "reused",
    "cutoff": "cut off",
    "failed": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}

_LISTED = 12
"""So many steps are named; what is more is counted."""

_LASTING = frozenset({"dockerfile-check", "merge-conflict", "unused-build-arg"})
"""Warnings of what was built, not of what happened meanwhile: every build tells them, also one with nothing to do."""


@dataclass(slots=True)
class Recap:
    """Fed with events; the observer's rule (one call at a time) holds here too."""

    started: BuildStarted | None = None
    finished: BuildFinished | None = None
    steps: dict[str, StepFinished] = field(default_factory=dict)
    images: dict[str, ImageFinished] = field(default_factory=dict)
    pushed: list[ImagePushed] = field(default_factory=list)
    lasting: list[Warned] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        match event:
            case BuildStarted():
                self.started = event
            case StepFinished():
                self.steps[event.step] = event
            case ImageFinished():
                self.images[event.target] = event
            case ImagePushed():
                self.pushed.append(event)
            case Warned(code) if code in _LASTING:
                self.lasting.append(event)
            case BuildFinished():
                self.finished = event
            case _:
                pass

    def counts(self) -> dict[Outcome, int]:
        """By outcome, those that occurred."""
        told = self.finished.steps if self.finished else {}
        own: dict[Outcome, int] = {}
        for step in self.steps.values():
            own[step.outcome] = own.get(step.outcome, 0) + 1
        return {name: number for name in _WORDS if (number := told.get(name, own.get(name, 0)))}

    def lines(self, *, styled: bool, width: int = 0) -> list[str]:
        """Nothing when the build did not end by itself. Steps are named in rows of ``width`` columns, if known."""
        if self.finished is None:
            return []
        lines = [self._headline(self.finished, self.counts(), styled=styled)]
        for outcome in ("executed", "cutoff", "failed"):
            lines += self._named(outcome, styled=styled, width=width)
        lines += image_lines(tuple(self.images.values()), styled=styled)
        return lines + pushed_lines(self.pushed, styled=styled)

    def unchanged(
        self,
    ) -> tuple[BuildFinished, tuple[ImageFinished, ...], tuple[ImagePushed, ...]]:
        """What the next build ends with if nothing changes until then."""
        counts = self.counts()
        done = sum(counts.get(name, 0) for name in ("executed", "reused", "cutoff"))
        steps = {"executed": 0, "reused": done, "cutoff": 0, "failed": 0, "skipped": 0}
        images = tuple(
            ImageFinished(i.target, i.digest, i.size, 0, i.tags) for i in self.images.values()
        )
        pushed = tuple(ImagePushed(p.target, p.names, p.digest, 0, 0) for p in self.pushed)
        return BuildFinished(ok=True, seconds=0.0, steps=steps), images, pushed

    def _headline(
        self, finished: BuildFinished, counts: Mapping[Outcome, int], *, styled: bool
    ) -> str:
        parts = [f"{number} {_WORDS[name]}" for name, number in counts.items()]
        nothing_ran = not counts.get("executed")
        word = ("up to date" if nothing_ran else "built") if finished.ok else "failed"
        painted = words.paint(word, "green" if finished.ok else "red", on=styled)
        took = words.seconds(finished.seconds)
        return f"{painted} in {took}" + (f": {', '.join(parts)}" if parts else "")

    def _named(self, outcome: Outcome, *, styled: bool, width: int) -> list[str]:
        named = [step for step in self.steps.values() if step.outcome == outcome]
        if not named:
            return []
        named.sort(key=lambda step: -step.seconds)
        texts = [_brief(step) for step in named[:_LISTED]]
        if len(named) > _LISTED:
            texts.append(f"and {len(named) - _LISTED} more")
        first, *rest = _rows(texts, width - len("  cut off  "))
        label = words.paint(_WORDS[outcome].ljust(8), "dim", on=styled)
        return [f"  {label} {first}", *(" " * len("  cut off  ") + row for row in rest)]


def _rows(texts: Sequence[str], width: int) -> list[str]:
    """``texts`` with commas between them, in as few rows as ``width`` allows; one row where there is none."""
    rows = [""]
    for at, text in enumerate(texts):
        item = text + ("," if at + 1 < len(texts) else "")
        longer = f"{rows[-1]} {item}".lstrip()
        if len(longer) <= width or width <= 0 or not rows[-1]:
            rows[-1] = longer
        else:
            rows.append(item)
    return rows


def _brief(step: StepFinished) -> str:
    return f"{step.step} ({words.seconds(step.seconds)})" if step.seconds else step.step


def unchanged_lines(
    finished: BuildFinished,
    images: tuple[ImageFinished, ...],
    pushed: tuple[ImagePushed, ...],
    *,
    took: str,
    styled: bool,
) -> list[str]:
    """The end of a build that had nothing to do; ``took`` stands where the time goes."""
    word = words.paint("up to date", "green", on=styled)
    head = f"{word} in {took}: {finished.steps['reused']} reused"
    return [head, *image_lines(images, styled=styled), *pushed_lines(pushed, styled=styled)]


def warning_line(warned: Warned, *, styled: bool) -> str:
    mark = words.paint("warning", "yellow", on=styled)
    return f"{mark}[{warned.code}]: {warned.message}"


def pushed_lines(pushed: Sequence[ImagePushed], *, styled: bool) -> list[str]:
    if not pushed:
        return []
    sizes = (
        (sum(each.uploaded for each in pushed), "uploaded"),
        (sum(each.mounted for each in pushed), "mounted"),
    )
    moved = [f"{words.size(size)} {what}" for size, what in sizes if size]
    count = sum(len(each.names) for each in pushed)
    label = words.paint("pushed", "dim", on=styled)
    names = f"{count} name{'s' if count != 1 else ''}"
    return [f"  {label} {names}, {' and '.join(moved) or 'nothing had to move'}"]


def image_lines(images: tuple[ImageFinished, ...], *, styled: bool) -> list[str]:
    width = max((len(image.target) for image in images), default=0)
    lines = []
    for image in images:
        name = words.paint(image.target.ljust(width), "bold", on=styled)
        new = f"{words.size(image.new_bytes)} new" if image.new_bytes else "nothing new"
        tags = f"  {' '.join(image.tags)}" if image.tags else ""
        lines.append(f"  {name}  {image.digest}  {words.size(image.size)}, {new}{tags}")
    return lines
