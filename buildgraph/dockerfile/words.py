"""What does a word of a Dockerfile become? Its variables, quotes and escapes are worked out as BuildKit does it.

``$v ${v} ${v:-w} ${v-w} ${v:+w} ${v+w} ${v:?m} ${v?m} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}``, where ``w``,
``m``, ``p`` and ``r`` are words themselves, to any depth. Nothing is expanded in ``'…'``; in ``"…"`` the escape
character quotes only ``$``, ``"`` and itself.
"""

import re
from collections.abc import Container, Mapping
from typing import Final

from buildgraph.dockerfile.expander import Expander
from buildgraph.dockerfile.source import SPACES
from buildgraph.values import dataclass

_SPECIAL: Final = {escape: re.compile(rf"""[$'"<{re.escape(escape)}]""") for escape in ("\\", "`")}
_BLANKS: Final = re.compile(f"[{re.escape(SPACES)}]+")


@dataclass(frozen=True, slots=True)
class Expansion:
    """``words`` is ``text`` split at the blanks that were not quoted.

    ``used`` and ``unset`` are the variables that were asked for, found and not; ``undefined`` those of ``unset`` that
    stood without a word that takes their place (``${v:-w}``, ``${v+w}``, ``${v?m}``).
    """

    text: str
    words: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()
    undefined: frozenset[str] = frozenset()


def expand(word: str, env: Mapping[str, str], escape: str = "\\") -> str:
    """``word`` with its variables, without its quotes.

    Raises :class:`UsageError`: ``bad-substitution``, ``unclosed-quote``, ``variable-required`` (``${v:?m}``),
    ``expansion-too-long``.
    """
    return expansion(word, env, escape).text


def expand_words(word: str, env: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """As :func:`expand`, split at the blanks, those of variables' values too, that no quotes hold together."""
    return expansion(word, env, escape).words


def expand_body(text: str, env: Mapping[str, str]) -> str:
    """A heredoc of COPY or ADD: quotes are ordinary there, and ``\\`` is always what escapes."""
    return expansion(text, env, quotes=False).text


def expansion(
    word: str,
    env: Mapping[str, str],
    escape: str = "\\",
    *,
    quotes: bool = True,
    raw: bool = False,
    keep_unset: bool = False,
    keep_quotes: bool = False,
    guessed: Container[str] | None = None,
) -> Expansion:
    """``raw`` keeps escapes, ``keep_quotes`` quotes, ``keep_unset`` what asks for variables that ``env`` lacks.

    ``guessed``: variables that ``env`` lacks may be set all the same, and those have another value than it says; what
    must be set (``${v:?m}``) is nothing where it is not, then, and no mistake.
    """
    if not _SPECIAL[escape].search(word):
        return Expansion(word, tuple(filter(None, _BLANKS.split(word))))
    expander = Expander(word, env, escape)
    expander.quotes = quotes
    expander.keep_unset, expander.keep_quotes = keep_unset, keep_quotes
    expander.guessed = guessed
    text, words = expander.run(raw=raw)
    return Expansion(
        text,
        words,
        frozenset(expander.used),
        frozenset(expander.unset),
        frozenset(expander.undefined),
    )
