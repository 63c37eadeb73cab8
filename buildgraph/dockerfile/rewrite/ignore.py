"""What an ignore file leaves out, in a Buildfile's globs.

A Buildfile has no ``!``: what an ignore file takes back becomes a selection of its own, which includes it and leaves
out what later lines exclude again. Lines are looked at from the folder that is copied, for globs are relative to that.
"""

import re
from collections.abc import Iterable, Sequence

from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import is_wild
from buildgraph.fs.moby import Patterns
from buildgraph.fs.mobypattern import clean
from buildgraph.values import dataclass

ANY = "**"
_BRACE = re.compile(r"[{}]")
_CLASS = re.compile(r"(?<!\\)\[\^")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: its glob cut at the slashes; ``back`` for a line with ``!``."""

    parts: tuple[str, ...]
    back: bool = False

    @property
    def glob(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One selection: what ``include`` names, or everything, without what ``exclude`` names."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def read(lines: Iterable[str]) -> tuple[Rule, ...]:
    """Without lines that take back a name which is not excluded: these say nothing of what is in it, either.

    Raises UsageError ``cannot-convert`` for what no glob says.
    """
    found: list[Rule] = []
    before: list[str] = []
    for number, line in enumerate(lines):
        text = (line.removeprefix("\ufeff") if number == 0 else line).strip()
        if not text or text.startswith("#"):
            continue
        back = text.startswith("!")
        path = clean(text.removeprefix("!").strip())
        if path and not (back and not is_wild(path) and not Patterns(before).matches(path)):
            found.append(Rule(parts_of(path), back))
            before.append(text)
    return tuple(found)


def parts_of(pattern: str) -> tuple[str, ...]:
    """A pattern of an ignore file, ``--exclude`` or ``--parents``, as the parts of a glob."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == ANY or ANY not in part:
            parts.append(glob_part(part))
        elif part.startswith(ANY) and not parts and ANY not in part[2:]:
            parts += [ANY, glob_part("*" + part[2:])]
        else:
            raise UsageError(
                "cannot-convert",
                f"no glob says what the pattern {pattern!r} says",
                hint="write it with ** between slashes",
            )
    return tuple(parts)


def glob_part(part: str) -> str:
    """Of one name: braces mean something in a Buildfile, and classes are negated with ``!``."""
    return _CLASS.sub("[!", _BRACE.sub(r"\\\g<0>", part))


def below(rules: Sequence[Rule], folder: str) -> tuple[Rule, ...]:
    """The rules as they stand from ``folder`` on; one that means all of the folder is ``**``."""
    names = [name for name in folder.split("/") if name not in ("", ".")]
    if not names:
        return tuple(rules)
    found = []
    for rule in rules:
        rests = _rests(rule.parts, names)
        if () in rests:
            rests = {(ANY,)}
        found += [Rule(rest, rule.back) for rest in sorted(rests)]
    return tuple(found)


def _rests(parts: tuple[str, ...], names: Sequence[str]) -> set[tuple[str, ...]]:
    """What is left of a glob behind ``names``; the empty one where it means them, or a folder above."""
    states = {parts}
    for name in names:
        moved: set[tuple[str, ...]] = set()
        for state in states:
            moved |= _step(state, name)
        if () in moved or (ANY,) in moved:
            return {()}
        states = moved
    return {s for s in states if (ANY, *s) not in states}


def _step(state: tuple[str, ...], name: str) -> set[tuple[str, ...]]:
    if not state:
        return set()
    if state[0] == ANY:
        return {state} | _step(state[1:], name)
    matches = Patterns([state[0].replace("[!", "[^")]).matches(name)
    return {state[1:]} if matches else set()


def selections(rules: Sequence[Rule]) -> list[Chosen]:
    """Together they choose what the rules leave."""
    start = max((at + 1 for at, rule in enumerate(rules) if rule.glob in ("*", ANY)), default=0)
    everything = not start or rules[start - 1].back
    rest = rules[start:]
    found = [Chosen((), _excluded(rest))] if everything else []
    at = 0
    while at < len(rest):
        taken = []
        while at < len(rest) and rest[at].back:
            taken.append(rest[at].glob)
            at += 1
        if taken:
            found.append(Chosen(tuple(taken), _excluded(rest[at:])))
        at += 1
    return found


def _excluded(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule.glob for rule in rules if not rule.back))
