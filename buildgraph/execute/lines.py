"""The output of a command, in pieces as it comes, becomes whole lines."""

from collections.abc import Callable
from typing import Final

_LONGEST: Final = 1 << 16


class Lines:
    """Says each line without its end; a carriage return starts the line anew, as on a terminal.

    ``split`` says of a line that is too long to wait for its end what to say now and what to keep.
    """

    def __init__(
        self,
        say: Callable[[bytes], None],
        split: Callable[[bytes], tuple[bytes, bytes]] = lambda line: (line, b""),
    ) -> None:
        self._say = say
        self._split = split
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            self._say(line.rpartition(b"\r")[2])
        if len(self._rest) > _LONGEST:
            begun, self._rest = self._split(self._rest)
            if begun:
                self._say(begun)

    def end(self) -> None:
        """Says what came without a newline at the end."""
        if self._rest:
            self._say(self._rest)
            self._rest = b""
