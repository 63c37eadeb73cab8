"""Which words does an expanded text fall into? Blanks part them, those of variables' values too; quoted ones do not."""

import re
from typing import Final

from buildgraph.dockerfile.source import SPACES

_BLANKS: Final = re.compile(f"[{re.escape(SPACES)}]+")


class WordList:
    """Words as they come to light, piece by piece."""

    __slots__ = ("_word", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self._word: list[str] = []

    def plain(self, text: str) -> None:
        """Text whose blanks part words."""
        pieces = _BLANKS.split(text)
        for number, piece in enumerate(pieces):
            if number:
                self._end()
            if piece:
                self._word.append(piece)

    def quoted(self, text: str) -> None:
        if text:
            self._word.append(text)

    def _end(self) -> None:
        if self._word:
            self.words.append("".join(self._word))
            self._word.clear()

    def finish(self) -> tuple[str, ...]:
        self._end()
        return tuple(self.words)
