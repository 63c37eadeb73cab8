"""How much may a Dockerfile become? Variables, histories and copies of stages multiply what a few lines say.

A line of ten characters can stand for a value of millions, as often as it is written; what all of a file's lines
together may add up to is limited, so that every file ends in time and memory linear to its size, or is refused.
"""

from typing import Final

from buildgraph.errors import UsageError

MOST: Final = 1 << 26
"""Characters of values and history; what is counted otherwise says so."""


class Budget:
    """One for all that is made of one file."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST

    def spend(self, amount: int) -> None:
        """Raises :class:`UsageError` ``dockerfile-too-large``."""
        self._left -= amount
        if self._left < 0:
            raise UsageError(
                "dockerfile-too-large",
                f"variables and history grow to more than {MOST:,} characters by this line",
                hint="leave out what repeats long values",
            )
