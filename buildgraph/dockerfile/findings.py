"""What the checks have found so far, each with its lines; a rule that is turned off finds nothing."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from buildgraph.dockerfile.instructions import Dockerfile, Written
from buildgraph.dockerfile.rules import Control, Rule
from buildgraph.dockerfile.source import Lines, visible
from buildgraph.errors import Location
from buildgraph.values import dataclass

_MOST_SUGGESTED: Final = 100
_MOST_KNOWN: Final = 1000
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """``location`` has the lines of the instruction, as an error has them."""

    rule: Rule
    message: str
    where: Lines
    location: Location


class Findings:
    def __init__(self, dockerfile: Dockerfile, control: Control) -> None:
        self._dockerfile = dockerfile
        self._control = control
        self._found: dict[tuple[str, str, Lines], Finding] = {}
        self._suggested = 0

    def at(self, each: Written, rule: Rule, *values: str, where: Lines | None = None) -> None:
        """``where`` is told if the finding does not stand where the instruction does."""
        if self._control.above(each.comments).runs(rule):
            self._add(rule, where or each.where, values)

    def add(self, rule: Rule, where: Lines, *values: str) -> None:
        if self._control.runs(rule):
            self._add(rule, where, values)

    def _add(self, rule: Rule, where: Lines, values: Iterable[str]) -> None:
        message = visible(rule.message.format(*values))
        key = (rule.name, message, where)
        if key not in self._found:
            location = self._dockerfile.location(where)
            self._found[key] = Finding(rule, message, where, location)

    def suggest(self, name: str, known: Iterable[str], sign: str = "") -> str:
        """`` (did you mean $PATH?)``: a name less than three edits away; nothing once enough was suggested."""
        self._suggested += 1
        if self._suggested > _MOST_SUGGESTED or not 3 <= len(name) <= _LONGEST:
            return ""
        alike = (each for each in islice(known, _MOST_KNOWN) if abs(len(each) - len(name)) < 3)
        found = min(((_distance(name, each), each) for each in alike), default=(3, ""))
        return f" (did you mean {sign}{found[1]}?)" if found[0] < 3 else ""

    def sorted(self) -> tuple[Finding, ...]:
        return tuple(sorted(self._found.values(), key=lambda found: found.where))

    def fatal(self) -> tuple[str, ...]:
        if not self._control.error:
            return ()
        return tuple(sorted({found.rule.name for found in self._found.values()}))


def _distance(left: str, right: str) -> int:
    """Edits from one to the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for at, char in enumerate(left, 1):
        before, row[0] = row[0], at
        for other, there in enumerate(right, 1):
            edits = min(row[other] + 1, row[other - 1] + 1, before + (char != there))
            before, row[other] = row[other], edits
    return row[-1]
