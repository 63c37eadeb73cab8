"""How is the rest of an instruction's line cut? Keyword, flags, then words, a JSON array, or ``name=value`` pairs.

The pieces keep their quotes, escapes and variables: what they become is for :mod:`buildgraph.dockerfile.words`.
"""

import re
from typing import Final, NamedTuple

from buildgraph.dockerfile.source import SPACES

_BLANKS: Final = re.compile(r"[\t\v\f\r ]+")
_SPACE: Final = re.escape(SPACES)
_SPACES: Final = re.compile(f"[{_SPACE}]*")
_PLAIN_FLAG: Final = re.compile(rf"--[^{_SPACE}'\"\\`]*(?=[{_SPACE}]|$)")
_WORDS: Final = {
    escape: re.compile(
        rf"""(?>[^{_SPACE}'"{re.escape(escape)}]+|{re.escape(escape)}."""
        rf"""|'[^']*(?:'|$)|"(?>[^"{re.escape(escape)}]+|{re.escape(escape)}.)*(?:"|$))+""",
        re.DOTALL,
    )
    for escape in ("\\", "`")
}


class Flag(NamedTuple):
    """``value`` is None without a ``=``; ``offset`` is where the flag stands in the joined line."""

    name: str
    value: str | None
    offset: int


class Command(NamedTuple):
    """A joined line: its keyword as written, its flags, and the rest without blanks around it."""

    keyword: str
    flags: tuple[Flag, ...]
    rest: str


def command(line: str, escape: str) -> Command:
    text = line.strip(SPACES)
    indent = len(line) - len(line.lstrip(SPACES))
    match = _BLANKS.search(text)
    if match is None:
        return Command(text, (), "")
    start = match.end()
    if not text.startswith("--", _past_spaces(text, start)):
        return Command(text[: match.start()], (), text[start:].strip(SPACES))
    flags, start = _flags(text, start, escape, indent)
    return Command(text[: match.start()], flags, text[start:].strip(SPACES))


def _past_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    assert match
    return match.end()


def _flags(text: str, at: int, escape: str, indent: int) -> tuple[tuple[Flag, ...], int]:
    """The leading words that begin with ``--``, without quotes and escapes; ``--`` alone ends them."""
    found: list[Flag] = []
    at = _past_spaces(text, at)
    while text.startswith("--", at):
        start = at
        plain = _PLAIN_FLAG.match(text, at)
        word, at = (plain[0], plain.end()) if plain else _flag_word(text, at, escape)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        found.append(Flag(name[2:], value if equals else None, indent + start))
        at = _past_spaces(text, at)
    return tuple(found), at


def _flag_word(text: str, at: int, escape: str) -> tuple[str, int]:
    out, quote = [], ""
    while at < len(text):
        char = text[at]
        at += 1
        if char == escape:
            out.append(text[at : at + 1])
            at += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        elif char in SPACES:
            return "".join(out), at - 1
        else:
            out.append(char)
    return "".join(out), min(at, len(text))


def blanks(rest: str) -> tuple[str, ...]:
    """Cut at blanks, whatever quotes say."""
    return tuple(_BLANKS.split(rest)) if rest else ()


def quoted(rest: str, escape: str) -> tuple[str, ...]:
    """Cut at blanks outside quotes."""
    if rest.endswith(escape):
        rest = _without_lone_escape(rest, escape)
    return tuple(_WORDS[escape].findall(rest))


def _without_lone_escape(rest: str, escape: str) -> str:
    """An escape that quotes nothing, at the very end, does not count."""
    quote, at = "", 0
    while at < len(rest):
        char = rest[at]
        if char == escape and quote != "'":
            if at + 1 == len(rest):
                return rest[:-1]
            at += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        at += 1
    return rest


class Pair(NamedTuple):
    """``value`` is None for a name alone; ``legacy``: ``ENV name the rest``."""

    name: str
    value: str | None
    legacy: bool = False


def pairs(rest: str, escape: str) -> tuple[Pair, ...] | str:
    """The pairs of ENV and LABEL, or the word that is none; ``""`` where the old form lacks its value."""
    words = quoted(rest, escape)
    if not words:
        return ()
    if "=" not in words[0]:
        cut = _BLANKS.split(rest, maxsplit=1)
        return (Pair(cut[0], cut[1], legacy=True),) if len(cut) == 2 else ""
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            return word
        found.append(Pair(name, value))
    return tuple(found)


def json_strings(rest: str) -> tuple[str, ...] | None:
    """A JSON array of strings; None for anything else, which is then plain text."""
    rest = rest.lstrip(SPACES)
    if not rest.startswith("["):
        return None
    import json

    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(_without_surrogates(item) for item in value)


def _without_surrogates(text: str) -> str:
    """``\\ud800`` alone is U+FFFD in Go."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )
