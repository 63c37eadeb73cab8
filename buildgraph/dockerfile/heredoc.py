"""Here documents: ``[fd]<<[-]NAME`` in a RUN, COPY or ADD, and the lines up to the one that is NAME.

``<<-`` drops leading tabs, of the last line too; quotes or part of them around NAME keep the body from being expanded.
"""

import re
from typing import Final, NamedTuple

from buildgraph.dockerfile.words import expansion
from buildgraph.errors import UsageError

_MARK: Final = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")
_TABS: Final = re.compile(r"^\t+", re.MULTILINE)


class Heredoc(NamedTuple):
    """``content`` is what stands in the file, ``fd`` 0 where none is written."""

    name: str
    content: str = ""
    fd: int = 0
    expand: bool = True
    chomp: bool = False

    @property
    def body(self) -> str:
        return _TABS.sub("", self.content) if self.chomp else self.content


def parse_mark(word: str) -> Heredoc | None:
    """The heredoc that ``word`` announces, still without content; None where it announces none."""
    match = _MARK.fullmatch(word) if "<<" in word else None
    if match is None or not match[3]:
        return None
    try:
        plain = expansion(match[3], {}, keep_unset=True)
        quoted = expansion(match[3], {}, keep_unset=True, keep_quotes=True)
    except UsageError:
        return None
    if len(plain.words) != 1 or len(quoted.words) != 1:
        return None
    name = plain.words[0]
    expand = _quotes(name) == _quotes(quoted.words[0])
    fd = int(match[1][-9:] or 0)
    return Heredoc(name, fd=fd, expand=expand, chomp=match[2] == "-")


def marks(line: str) -> list[Heredoc]:
    """The heredocs that a joined line announces, in order."""
    try:
        words = expansion(line, {}, raw=True, keep_unset=True, keep_quotes=True).words
    except UsageError:
        return []
    return [mark for word in words if (mark := parse_mark(word))]


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
