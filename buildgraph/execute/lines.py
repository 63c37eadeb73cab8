"""The output of a command, in pieces as it comes, becomes whole lines."""

from collections.abc import Callable
from typing import Final

_LONGEST: Final = 1 << 16


class Lines:
    """Says each line without its end; a carriage return starts the line anew, as on a terminal."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            self._say(line.rpartition(b"\r")[2])
        if len(self._rest) > _LONGEST:
            self._say(self._rest)
            self._rest = b""

    def end(self) -> None:
        """Says what came without a newline at the end."""
        if self._rest:
            self._say(self._rest)
            self._rest = b""
