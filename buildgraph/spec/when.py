"""Does a ``when`` condition hold? A parser of its own for six words and two operators.

    either  := both ("or" both)*            inverse := "not" inverse | compare
    both    := inverse ("and" inverse)*     compare := value (("==" | "!=" | "in" | "not" "in") value)?
    value   := 'text' | "text" | "[" value ("," value)* "]" | name.name | "(" either ")"

Values are strings; ``in`` looks for one in an array of them. A value that stands alone holds unless it is empty or
``false`` (``git.dirty``). The right side of ``and`` and ``or`` is not asked for when the left side decides.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NoReturn

from buildgraph.errors import UsageError
from buildgraph.values import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<word>[A-Za-z_][A-Za-z0-9_.-]*)|(?P<sign>==|!=|[\[\](),])|(?P<bad>\S))"
)
_WORDS = ("and", "or", "not", "in")
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Compare:
    operator: Literal["==", "!=", "in", "not in"]
    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Junction:
    """``any`` of the parts or all of them."""

    any: bool
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    part: "Condition"


Condition = str | tuple["Condition", ...] | Name | Compare | Junction | Inverse


def parse(text: str) -> Condition:
    """Raises :class:`UsageError` (``bad-condition``) that quotes what could not be read."""
    return _Parser(text).whole()


def names(condition: Condition) -> Iterator[str]:
    match condition:
        case Name(name):
            yield name
        case Compare(_, left, right):
            yield from names(left)
            yield from names(right)
        case Junction(_, parts) | (*parts,):
            for part in parts:
                yield from names(part)
        case Inverse(part):
            yield from names(part)
        case _:
            return


def holds(condition: Condition, lookup: Callable[[str], str]) -> bool:
    match condition:
        case Junction(True, parts):
            return any(holds(part, lookup) for part in parts)
        case Junction(False, parts):
            return all(holds(part, lookup) for part in parts)
        case Inverse(part):
            return not holds(part, lookup)
        case Compare(operator, left, right):
            found = _value(left, lookup)
            wanted = _value(right, lookup)
            if operator in ("==", "!="):
                return (found == wanted) == (operator == "==")
            return (found in wanted) == (operator == "in")
        case _:
            return _value(condition, lookup) not in ("", "false", ())


def _value(condition: Condition, lookup: Callable[[str], str]) -> str | tuple[object, ...]:
    match condition:
        case str():
            return condition
        case Name(name):
            return lookup(name)
        case (*items,):
            return tuple(_value(item, lookup) for item in items)
        case _:
            return "true" if holds(condition, lookup) else "false"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [
            (match.lastgroup or "", match[match.lastgroup or 0])
            for match in _TOKEN.finditer(text.rstrip())
        ]
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        if not self._tokens:
            self._fail("it is empty")
        condition = self._either()
        if self._at < len(self._tokens):
            self._fail(f"{self._tokens[self._at][1]!r} is not expected there")
        return condition

    def _either(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail("it is nested too deep")
        parts = [self._both()]
        while self._take("word", "or"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Junction(any=True, parts=tuple(parts))

    def _both(self) -> Condition:
        parts = [self._inverse()]
        while self._take("word", "and"):
            parts.append(self._inverse())
        return parts[0] if len(parts) == 1 else Junction(any=False, parts=tuple(parts))

    def _inverse(self) -> Condition:
        inverted = False
        while self._take("word", "not"):
            inverted = not inverted
        part = self._compare()
        return Inverse(part) if inverted else part

    def _compare(self) -> Condition:
        left = self._operand()
        for operator in ("==", "!="):
            if self._take("sign", operator):
                return Compare("==" if operator == "==" else "!=", left, self._operand())
        inverted = self._peek(0) == ("word", "not") and self._peek(1) == ("word", "in")
        self._at += inverted
        if self._take("word", "in"):
            right = self._operand()
            if not isinstance(right, tuple):
                self._fail("what follows 'in' is not an array such as ['main', 'next']")
            return Compare("not in" if inverted else "in", left, right)
        return left

    def _operand(self) -> Condition:
        kind, text = self._peek(0)
        self._at += 1
        if kind == "text":
            return text[1:-1]
        if kind == "word" and text not in _WORDS:
            return Name(text)
        if text == "(":
            inner = self._either()
            if not self._take("sign", ")"):
                self._fail("a ) is missing")
            return inner
        if text == "[":
            return self._array()
        return self._fail(
            f"{text!r} is not a value" if text else "it ends where a value is expected"
        )

    def _array(self) -> Condition:
        items: list[Condition] = []
        while not self._take("sign", "]"):
            if items and not self._take("sign", ","):
                self._fail("a , or ] is missing")
            if items and self._take("sign", "]"):
                break
            kind, text = self._peek(0)
            if kind not in ("text", "word"):
                self._fail(f"{text!r} is not a value" if text else "a ] is missing")
            items.append(self._operand())
        return tuple(items)

    def _peek(self, ahead: int) -> tuple[str, str]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("", "")

    def _take(self, kind: str, text: str) -> bool:
        taken = self._peek(0) == (kind, text)
        self._at += taken
        return taken

    def _fail(self, why: str) -> NoReturn:
        raise UsageError(
            "bad-condition",
            f"the condition {self._text!r} cannot be read: {why}",
            hint="""compare with ==, !=, in, and combine with and, or, not: "vars.branch == 'main'\"""",
        )
