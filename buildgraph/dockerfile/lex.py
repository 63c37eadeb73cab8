"""From text to logical lines: directives, comments, continuations and heredocs.

* A line whose last character but blanks is the escape character, with no escape character before it, goes on in the
  next; comments in between vanish, so do empty lines (BuildKit warns of them).
* ``# escape=``, ``# syntax=`` and ``# check=`` count before anything else, each once; after the first line that is
  none of them they are comments.
* ``syntax`` and ``check`` are also found behind a ``#!`` line, ``syntax`` as ``// syntax=`` and in a JSON object too.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from buildgraph.dockerfile.heredoc import Heredoc, marks
from buildgraph.dockerfile.source import SPACES, Lines, Source
from buildgraph.dockerfile.split import Command, command, json_strings

_DIRECTIVE: Final = re.compile(
    rf"#[{re.escape(SPACES)}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*"
)
_NAMES: Final = frozenset(("syntax", "escape", "check"))
_LONGEST: Final = 65535
_WITH_HEREDOC: Final = frozenset(("RUN", "COPY", "ADD"))


class Directive(NamedTuple):
    name: str
    value: str
    line: int


class LogicalLine(NamedTuple):
    """One instruction: ``text`` is its lines joined, ``comments`` stand right above it, no empty one between.

    ``joints`` are the offsets in ``text`` where each of its physical lines begins, with their numbers.
    ``empty_continuation`` is the last of them if one of them was empty, else 0.
    """

    where: Lines
    text: str
    command: Command
    comments: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    joints: tuple[tuple[int, int], ...]
    empty_continuation: int

    def line_at(self, offset: int) -> int:
        """The physical line of a place in ``text``."""
        return self.joints[max(0, bisect_left(self.joints, (offset + 1, 0)) - 1)][1]


class Lexer:
    """``escape`` and ``directives`` are known once the first line was handed out."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.escape = "\\"
        self.directives: dict[str, Directive] = {}
        self._heading = True
        self._next = 0

    def lines(self) -> Iterator[LogicalLine]:
        """Raises :class:`UsageError` at what cannot be read; what came before was handed out."""
        comments: list[str] = []
        count = len(self.source.lines)
        while self._next < count:
            written = self._physical()
            line = written.lstrip(SPACES)
            if line.startswith("#"):
                if not (self._heading and self._directive(line)):
                    text = written[1:].strip(SPACES)
                    comments.append(text)
                    if not text:
                        comments = []
                continue
            self._heading = False
            if line:
                yield self._logical(line, tuple(comments))
            comments = []

    def _physical(self) -> str:
        written = self.source.lines[self._next]
        self._next += 1
        line = written.rstrip("\r\n")
        if len(line) > _LONGEST // 4 and len(written.removesuffix("\n").encode()) > _LONGEST:
            raise self.source.error(
                Lines(self._next, self._next),
                "line-too-long",
                f"line {self._next} has more than {_LONGEST} bytes",
                hint="break it with the escape character at the end of its parts",
            )
        return line

    def _directive(self, line: str) -> bool:
        match = _DIRECTIVE.fullmatch(line)
        name = match[1].lower() if match else ""
        if match is None or name not in _NAMES:
            self._heading = False
            return False
        where = Lines(self._next, self._next)
        if name in self.directives:
            message = f"the directive {name} stands here for the second time"
            raise self.source.error(where, "repeated-directive", message, hint="remove one of them")
        if name == "escape":
            if match[2] not in ("\\", "`"):
                message = f"the escape character cannot be '{match[2]}'"
                hint = "it is \\ (the default) or `"
                raise self.source.error(where, "bad-escape", message, hint=hint)
            self.escape = match[2]
        self.directives[name] = Directive(name, match[2], self._next)
        return True

    def _logical(self, line: str, comments: tuple[str, ...]) -> LogicalLine:
        first = self._next
        empty, ends = False, 0
        text, more = self._continued(line)
        joints: tuple[tuple[int, int], ...] = ((0, first),)
        if more:
            parts, length, starts = [text], len(text), [(0, first)]
            while more and self._next < len(self.source.lines):
                written = self._physical()
                inner = written.lstrip(SPACES)
                if inner.startswith("#"):
                    continue
                if not inner:
                    empty = True
                    continue
                text, more = self._continued(written)
                starts.append((length, self._next))
                parts.append(text)
                length += len(text)
            text, joints = "".join(parts), tuple(starts)
            ends = self._next if empty else 0
        cut = command(text, self.escape)
        where = Lines(first, self._next)
        docs = self._heredocs(cut, text, where) if "<<" in text else ()
        if docs:
            where = Lines(first, self._next)
        return LogicalLine(where, text, cut, comments, docs, joints, ends)

    def _continued(self, line: str) -> tuple[str, bool]:
        stripped = line.rstrip(" \t")
        if not stripped.endswith(self.escape) or stripped[-2:-1] == self.escape:
            return line, False
        return stripped[:-1], True

    def _heredocs(self, cut: Command, text: str, where: Lines) -> tuple[Heredoc, ...]:
        keyword = cut.keyword.upper()
        if keyword == "ONBUILD":
            cut = command(cut.rest, self.escape)
            keyword = cut.keyword.upper()
        if keyword not in _WITH_HEREDOC or json_strings(cut.rest) is not None:
            return ()
        return tuple(self._heredoc(mark, where) for mark in marks(text))

    def _heredoc(self, mark: Heredoc, where: Lines) -> Heredoc:
        body: list[str] = []
        while self._next < len(self.source.lines):
            line = self._physical()
            if (line.lstrip("\t") if mark.chomp else line) == mark.name:
                return mark._replace(content="".join(body))
            body.append(self.source.lines[self._next - 1])
        raise self.source.error(
            where,
            "unterminated-heredoc",
            f"the heredoc '{mark.name}' never ends",
            hint=f"a line that is exactly {mark.name} ends it",
        )


def syntax_of(text: str) -> str:
    """The image that ``syntax`` names, in any of its forms; empty without one. It is read, never fetched."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].startswith("#!"):
        del lines[0]
    for comment in ("#", "//"):
        found = directive_in(lines, "syntax", comment)
        if found:
            return found.split(" ")[0]
    if not text.lstrip().startswith("{"):
        return ""
    import json

    try:
        value = json.loads("\n".join(lines)).get("syntax", "")
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def directive_in(lines: list[str], name: str, comment: str = "#") -> str:
    """The value of a directive, where only directives stand before it; empty without one."""
    for line in lines:
        if not line.startswith(comment):
            return ""
        match = _DIRECTIVE.fullmatch("#" + line[len(comment) :].rstrip("\r"))
        if match is None or match[1].lower() not in _NAMES:
            return ""
        if match[1].lower() == name:
            return match[2]
    return ""
