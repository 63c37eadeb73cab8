"""The scanner behind :mod:`buildgraph.dockerfile.words`: it looks at each character once.

Levels (a word, ``"…"``, the word of an operator in ``${…}``) stand on a stack of its own, so that depth costs nothing;
what variables add to a word is limited, so that ones that double each other end.
"""

import re
from collections.abc import Container, Mapping
from typing import Final

from buildgraph.dockerfile.source import shortened
from buildgraph.dockerfile.trimming import PatternError, replace, trim_prefix, trim_suffix
from buildgraph.dockerfile.wordlist import WordList
from buildgraph.errors import UsageError
from buildgraph.values import dataclass, field

_MOST_ADDED: Final = 1 << 22
"""Characters that a word may grow by: variables that double each other end here."""

_SPECIAL_NAMES: Final = frozenset("@*#?-$!0")
_PLAIN: Final = {
    escape: re.compile(rf"""[^$'"<}}/{re.escape(escape)}]+""") for escape in ("\\", "`")
}
_IN_QUOTES: Final = {
    escape: re.compile(rf"""[^$"{re.escape(escape)}]+""") for escape in ("\\", "`")
}
_NAME: Final = re.compile(r"[^\W\d]\w*")
_DIGITS: Final = re.compile(r"\d+")
_AFTER_HEREDOC: Final = re.compile(r"<?[\t\r ]*")


@dataclass(slots=True)
class _Frame:
    """One level: it ends at ``stop`` (empty: at the end of the text); ``raw`` keeps escapes.

    A level inside ``${…}`` knows the variable and the operator that it is the word of; ``pattern`` is the first half of
    ``${v/p/r}``.
    """

    stop: str
    raw: bool
    name: str = ""
    operator: str = ""
    pattern: str | None = None
    out: list[str] = field(default_factory=list)
    split: WordList = field(default_factory=WordList)


class Expander:
    """``run`` once; then ``used``, ``unset`` and ``undefined`` are what :class:`Expansion` says."""

    __slots__ = (
        "_at",
        "_env",
        "_escape",
        "_left",
        "_stack",
        "_text",
        "guessed",
        "keep_quotes",
        "keep_unset",
        "quotes",
        "undefined",
        "unset",
        "used",
    )

    def __init__(self, text: str, env: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._env = env
        self._escape = escape
        self._at = 0
        self._left = _MOST_ADDED
        self._stack: list[_Frame] = []
        self.quotes, self.keep_unset, self.keep_quotes = True, False, False
        self.guessed: Container[str] | None = None
        self.used: set[str] = set()
        self.unset: set[str] = set()
        self.undefined: set[str] = set()

    def run(self, *, raw: bool) -> tuple[str, tuple[str, ...]]:
        """The text, and the words that unquoted blanks part."""
        self._stack = [_Frame("", raw)]
        while self._at < len(self._text):
            if self._stack[-1].stop == '"':
                self._in_quotes()
            else:
                self._in_word()
        frame = self._stack[-1]
        if frame.stop == '"':
            raise _unclosed(self._text, '"')
        if frame.stop:
            raise self._bad(f"'{frame.stop}' is missing")
        return "".join(frame.out), frame.split.finish()

    def _in_word(self) -> None:
        text, frame = self._text, self._stack[-1]
        plain = _PLAIN[self._escape].match(text, self._at)
        if plain:
            self._at = plain.end()
            self._add(frame, plain[0])
            return
        char = text[self._at]
        self._at += 1
        if char == frame.stop:
            self._close(frame)
        elif char == "$":
            self._dollar()
        elif char == self._escape:
            self._escaped(frame)
        elif char == "'" and self.quotes:
            self._single(frame)
        elif char == '"' and self.quotes:
            self._stack.append(_Frame('"', frame.raw, out=['"'] if self.keep_quotes else []))
        elif char == "<":
            self._less(frame)
        else:
            self._add(frame, char)

    def _add(self, frame: _Frame, text: str) -> None:
        frame.out.append(text)
        if not frame.stop:
            frame.split.plain(text)

    def _add_quoted(self, frame: _Frame, text: str) -> None:
        frame.out.append(text)
        if not frame.stop:
            frame.split.quoted(text)

    def _escaped(self, frame: _Frame) -> None:
        if frame.raw:
            self._add_quoted(frame, self._escape)
        if self._at < len(self._text):
            self._add_quoted(frame, self._text[self._at])
            self._at += 1

    def _less(self, frame: _Frame) -> None:
        """``<<`` keeps the blanks behind it in its word: a heredoc may have some before its name."""
        if not self._text.startswith("<", self._at):
            self._add_quoted(frame, "<")
            return
        start = self._at - 1
        after = _AFTER_HEREDOC.match(self._text, self._at)
        assert after
        self._at = after.end()
        self._add_quoted(frame, self._text[start : self._at])

    def _single(self, frame: _Frame) -> None:
        end = self._text.find("'", self._at)
        if end < 0:
            raise _unclosed(self._text, "'")
        quoted = self._text[self._at : end]
        self._add_quoted(frame, f"'{quoted}'" if self.keep_quotes else quoted)
        self._at = end + 1

    def _in_quotes(self) -> None:
        text, frame = self._text, self._stack[-1]
        plain = _IN_QUOTES[self._escape].match(text, self._at)
        if plain:
            frame.out.append(plain[0])
            self._at = plain.end()
            return
        char = text[self._at]
        self._at += 1
        if char == '"':
            if self.keep_quotes:
                frame.out.append(char)
            self._stack.pop()
            self._add_quoted(self._stack[-1], "".join(frame.out))
        elif char == "$":
            self._dollar()
        else:
            self._escaped_in_quotes(frame)

    def _escaped_in_quotes(self, frame: _Frame) -> None:
        if frame.raw:
            frame.out.append(self._escape)
        following = self._text[self._at : self._at + 1]
        if following and following in ('"', "$", self._escape):
            frame.out.append(following)
            self._at += 1
        elif following:
            frame.out.append(self._escape)

    def _dollar(self) -> None:
        if not self._text.startswith("{", self._at):
            name = self._name()
            self._value(self._get(name) if name else "$", f"${name}")
            return
        self._at += 1
        if self._text[self._at : self._at + 1] in ("{", "}", ":", ""):
            raise self._bad("'${' wants a name")
        name = self._name()
        operator = self._text[self._at : self._at + 1]
        self._at += 1
        if operator == "}":
            self._value(self._get(name), f"${{{name}}}")
            return
        if operator == ":":
            operator += self._text[self._at : self._at + 1]
            self._at += 1
        if operator == "/" and self._text.startswith("/", self._at):
            operator = "//"
            self._at += 1
        if operator not in _OPERATORS and not (self.keep_unset and operator[:1] == ":"):
            why = f"'${{{name}{operator}' is no substitution" if operator else "'}' is missing"
            raise self._bad(why)
        stop = "/" if operator[0] == "/" else "}"
        self._stack.append(_Frame(stop, operator[0] in "#%/", name, operator))

    def _name(self) -> str:
        text, at = self._text, self._at
        match = _DIGITS.match(text, at) or _NAME.match(text, at)
        if match and (name := _as_go(match[0])):
            self._at = at + len(name)
            return name
        if text[at : at + 1] in _SPECIAL_NAMES:
            self._at += 1
            return text[at]
        return ""

    def _get(self, name: str, *, replaced: bool = False) -> str | None:
        value = self._env.get(name)
        if value is not None:
            self.used.add(name)
            return value
        self.unset.add(name)
        if not replaced:
            self.undefined.add(name)
        return None

    def _close(self, frame: _Frame) -> None:
        """The word of an operator is complete."""
        self._stack.pop()
        word = "".join(frame.out)
        if frame.stop == "/":
            self._stack.append(_Frame("}", raw=True, name=frame.name, operator=frame.operator))
            self._stack[-1].pattern = word
            return
        value = self._get(frame.name, replaced=frame.operator[-1] in "-+?")
        if value is None and self.keep_unset:
            self._value(_written(frame, word))
            return
        if not value and self._may_be_set(frame, value):
            return
        try:
            self._value(_operate(frame, value, word))
        except PatternError as error:
            raise self._bad(str(error)) from error

    def _may_be_set(self, frame: _Frame, value: str | None) -> bool:
        """Whether what must be set is so where the other variables are known."""
        if self.guessed is None or frame.operator[-1] != "?":
            return False
        return value is None or frame.name in self.guessed

    def _value(self, value: str | None, written: str = "") -> None:
        """Adds a variable's value where it stands; what asked for it, if that is to stay."""
        if value is None:
            value = written if self.keep_unset else ""
        self._left -= len(value)
        if self._left < 0:
            raise UsageError(
                "expansion-too-long",
                f"the variables of '{_short(self._text)}' add more than {_MOST_ADDED:,} characters",
                hint="variables that repeat each other grow without end",
            )
        frame = self._stack[-1]
        if frame.stop == '"':
            frame.out.append(value)
        else:
            self._add(frame, value)

    def _bad(self, why: str) -> UsageError:
        return UsageError(
            "bad-substitution",
            f"'{_short(self._text)}' cannot be expanded: {why}",
            hint="a '$' that means itself is written \\$ or stands in single quotes",
        )


def _as_go(name: str) -> str:
    """Up to the first of the signs (such as ``²``) that only Python takes for a part of a word."""
    if name.isascii():
        return name
    for at, char in enumerate(name):
        if not (char == "_" or char.isalpha() or char.isdecimal()):
            return name[:at]
    return name


_OPERATORS: Final = frozenset((":-", "-", ":+", "+", ":?", "?", "#", "%", "/", "//"))


def _operate(frame: _Frame, value: str | None, word: str) -> str:
    operator = frame.operator
    if operator[-1] in "-+?":
        return _default(frame, value, word)
    if operator[-1] == "/":
        return replace(value or "", frame.pattern or "", word, every=operator == "//")
    longest = word[:1] == operator
    trim = trim_prefix if operator == "#" else trim_suffix
    return trim(value or "", word[1:] if longest else word, longest=longest)


def _default(frame: _Frame, value: str | None, word: str) -> str:
    missing = value is None or (frame.operator[0] == ":" and not value)
    if frame.operator[-1] == "+":
        return "" if missing else word
    if not missing:
        return value or ""
    if frame.operator[-1] == "-":
        return word
    why = word or f"is not allowed to be {'unset' if value is None else 'empty'}"
    raise UsageError(
        "variable-required",
        shortened(f"{frame.name}: {why}"),
        hint=shortened(f"give it a value: --build-arg {frame.name}=…"),
    )


def _written(frame: _Frame, word: str) -> str:
    pattern = "" if frame.pattern is None else f"{frame.pattern}/"
    return f"${{{frame.name}{frame.operator}{pattern}{word}}}"


def _unclosed(text: str, quote: str) -> UsageError:
    return UsageError(
        "unclosed-quote",
        f"'{_short(text)}' has a {quote} that is never closed",
        hint=f'write \\{quote} for one that means itself; paths with blanks are written as in ["a b", "/to/"]',
    )


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
