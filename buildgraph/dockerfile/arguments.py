"""What follows an instruction's keyword, in the ways that instructions ask for it."""

from buildgraph.dockerfile.flags import Flags
from buildgraph.dockerfile.heredoc import Heredoc, parse_mark
from buildgraph.dockerfile.instructions import Command, Place
from buildgraph.dockerfile.lex import LogicalLine
from buildgraph.dockerfile.source import SPACES, Source
from buildgraph.dockerfile.split import Pair, blanks, json_strings, pairs, quoted
from buildgraph.errors import UsageError


class Arguments:
    """``rest`` is the text behind keyword and flags; every method may raise ``bad-arguments``."""

    __slots__ = ("_line", "_source", "escape", "flags", "keyword", "rest")

    def __init__(self, line: LogicalLine, source: Source, escape: str, keyword: str) -> None:
        self._line = line
        self._source = source
        self.escape = escape
        self.keyword = keyword
        self.rest = line.command.rest
        self.flags = Flags(keyword, line.command.flags, source, line.where, line.line_at)

    @property
    def place(self) -> Place:
        line = self._line
        return Place(line.where, line.text.strip(SPACES), line.command.keyword, line.comments)

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        return self._line.heredocs

    def one(self) -> str:
        """All of the rest; it must not be empty."""
        if not self.rest:
            raise self.bad(f"{self.keyword} wants one argument", f"write {self.keyword} …")
        return self.rest

    def words(self, *, least: int = 1) -> tuple[str, ...]:
        """A JSON array's strings, else what blanks part."""
        found = json_strings(self.rest)
        words = blanks(self.rest) if found is None else found
        if len(words) < least:
            raise self._too_few(least)
        return words

    def split(self) -> tuple[str, ...]:
        """What blanks part, JSON or not."""
        words = blanks(self.rest)
        if not words:
            raise self._too_few(1)
        return words

    def names(self) -> tuple[str, ...]:
        """What blanks outside quotes part."""
        words = quoted(self.rest, self.escape)
        if not words:
            raise self._too_few(1)
        return words

    def pairs(self, rest: str | None = None) -> tuple[Pair, ...]:
        found = pairs(self.rest if rest is None else rest, self.escape)
        if found == ():
            raise self._too_few(1)
        if isinstance(found, str):
            shown = f"'{found}' is no name=value" if found else "a name needs a value"
            raise self.bad(f"{self.keyword}: {shown}", f'write {self.keyword} name="value"')
        if not all(pair.name for pair in found):
            raise self.bad(f"{self.keyword} has a blank name", "write name=value")
        return found

    def command(self, rest: str | None = None) -> Command:
        text = self.rest if rest is None else rest
        words = json_strings(text)
        if words is not None:
            return Command(words=words, exec=True)
        return Command(text=text, heredocs=self.heredocs)

    def sources(self) -> tuple[tuple[str | Heredoc, ...], str]:
        """Sources, heredocs in their places, and the destination."""
        words = _joined(self.words(least=2))
        if len(words) < 2:
            raise self._too_few(2)
        if parse_mark(words[-1]):
            raise self.bad(f"{self.keyword} cannot copy to a heredoc", "the destination comes last")
        docs = {doc.name: doc for doc in self.heredocs}
        marks = (parse_mark(word) if docs else None for word in words[:-1])
        found = zip(words[:-1], marks, strict=True)
        return tuple(_filled(mark, docs) if mark else word for word, mark in found), words[-1]

    def _too_few(self, least: int) -> UsageError:
        if least == 1:
            return self.bad(f"{self.keyword} wants at least one argument", "")
        return self.bad(
            f"{self.keyword} wants a source and a destination",
            f"write {self.keyword} SOURCE… DESTINATION",
        )

    def bad(self, message: str, hint: str) -> UsageError:
        return self.error("bad-arguments", message, hint)

    def error(self, code: str, message: str, hint: str) -> UsageError:
        return self._source.error(self._line.where, code, message, hint=hint)


def _joined(words: tuple[str, ...]) -> tuple[str, ...]:
    """A ``<<`` with blanks before its name is one word with it."""
    if "<<" not in words:
        return words
    found: list[str] = []
    for word in words:
        if found and found[-1] == "<<":
            found[-1] += word
        else:
            found.append(word)
    return tuple(found)


def _filled(mark: Heredoc, docs: dict[str, Heredoc]) -> Heredoc:
    """The last heredoc of that name gives the content, as in BuildKit."""
    return mark._replace(content=docs[mark.name].content) if mark.name in docs else mark
