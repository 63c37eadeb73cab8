"""Which commands are so plain that nothing need be parsed?

To load the parser and declare options takes longer than to move a small image. ``pull``, ``push`` and ``copy`` with
nothing but their words, and of the options only where the store is and how progress is shown, begin at once. All else,
and everything that may be a mistake or a question, goes to the parser, which understands these words alike.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, get_args

from buildgraph.cli.session import Progress, Settings

COMPLETE: Final = "_BUILDGRAPH_COMPLETE"
"""The variable through which a shell asks for completions."""

_COUNTS: Final = {"pull": (1,), "push": (1, 2), "copy": (2,)}
"""How many words may follow the command."""


def begin(arguments: Sequence[str], settings: Settings) -> Callable[[], None] | None:
    """The command that ``arguments`` are, with its options in ``settings``; None, and nothing set, for any other."""
    if COMPLETE in os.environ:
        return None
    words: list[str] = []
    given: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--home", "--progress"):
            value = value if equals else next(rest, "")
            if not value or value.startswith("-"):
                return None
            given[option[2:]] = value
        elif argument.startswith("-"):
            return None
        else:
            words.append(argument)
    progress = next(
        (one for one in get_args(Progress) if one == given.get("progress", "auto")), None
    )
    if progress is None or not words or len(words) - 1 not in _COUNTS.get(words[0], ()):
        return None
    from buildgraph.cli import transfers

    settings.home, settings.progress = given.get("home", ""), progress
    commands: dict[str, Callable[..., None]] = {
        "pull": transfers.pull,
        "push": transfers.push,
        "copy": transfers.copy,
    }
    name, *asked = words
    return lambda: commands[name](settings.session(), *asked)
