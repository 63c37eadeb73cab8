"""Dockerfiles and words as two other readers see them.

``dockerfile`` is BuildKit's own parser of some years ago (Go); ``e2b_dockerfile_utils`` a port of a later one. Where
they differ from today's BuildKit, :func:`go_lags` and :func:`port_differs` leave the text out, each with its reason.
"""

import re

import dockerfile
from e2b_dockerfile_utils import DockerfileSyntaxError, ShellLex, parse_dockerfile_ast

from buildgraph.dockerfile.lex import Lexer
from buildgraph.dockerfile.readers import READERS
from buildgraph.dockerfile.source import SPACES, Source
from buildgraph.dockerfile.split import blanks, json_strings, pairs, quoted
from buildgraph.dockerfile.words import expansion
from buildgraph.errors import UsageError

ENV = {"A": "a b", "E": "", "X": "xxyy", "P": "/a/b.c", "N": "1\n2", "S": "*"}

Seen = tuple[str, tuple[str, ...], tuple[str, ...], bool, int, int, tuple[tuple[str, str], ...]]
"""Keyword, flags, arguments, JSON or not, first and last line, names and contents of heredocs."""

_BY_WORDS = {"FROM": blanks, "EXPOSE": blanks}
_LISTS = ("COPY", "ADD", "VOLUME")
_COMMANDS = ("RUN", "CMD", "ENTRYPOINT", "SHELL")


def our_lines(text: str) -> list[Seen] | None:
    """The logical lines, cut as each instruction is; None for an error."""
    lexer = Lexer(Source(text, "Dockerfile"))
    try:
        seen = [_seen(line, lexer.escape) for line in lexer.lines()]
    except (UsageError, ValueError):
        return None
    return [line for line in seen if line[0].upper() in READERS]


def _seen(line, escape) -> Seen:
    keyword, flags, rest = line.command
    if keyword.upper() == "ONBUILD":
        rest = ""  # a line of its own, which both cut otherwise
    written = tuple(f"--{f.name}" + ("" if f.value is None else f"={f.value}") for f in flags)
    arguments, json = _arguments(keyword.upper(), rest, escape)
    docs = tuple((doc.name, doc.content) for doc in line.heredocs)
    return keyword, written, arguments, json, line.where.first, line.where.last, docs


def _arguments(keyword, rest, escape):
    if keyword in ("ENV", "LABEL"):
        found = pairs(rest, escape)
        if isinstance(found, str):
            raise ValueError(found)
        return tuple(text for pair in found for text in (pair.name, pair.value)), False
    if keyword == "ARG":
        return quoted(rest, escape), False
    if keyword in ("FROM", "EXPOSE"):
        return blanks(rest), False
    if keyword == "HEALTHCHECK":
        kind, _, command = re.split(f"([{re.escape(SPACES)}]+|$)", rest, maxsplit=1)
        inner, json = _arguments("CMD", command, escape)
        return ((kind, *inner), json) if kind else ((), False)
    strings = json_strings(rest) if keyword in (*_LISTS, *_COMMANDS) else None
    if strings is not None:
        return strings, True
    if keyword in _LISTS:
        return blanks(rest), False
    return ((rest,) if rest else ()), False


def _commands(text):
    """Keyword, rest and escape character of every instruction, as far as the text can be read."""
    lexer = Lexer(Source(text, "Dockerfile"))
    try:
        for line in lexer.lines():
            yield line.command, lexer.escape
    except UsageError:
        return


def _is_strange_array(found) -> bool:
    if found.keyword.upper() == "HEALTHCHECK":
        return "[" in found.rest
    return found.rest.startswith("[") and json_strings(found.rest) is None


def go_lags(text: str) -> bool:
    if "\0" in text or "check" in text:
        return True  # it ends strings there; the directive came later
    if "<<" in text and (
        "[" in text or re.search("onbuild|<<-?[\t\f\r ]|\\$\\{", text, re.IGNORECASE)
    ):
        return True  # then: an array with a heredoc behind it was an array; << stood right before its name
    if re.match(f"\ufeff?#[{re.escape(SPACES)}]", text) and not re.match("\ufeff?#[\t\f\r ]", text):
        return True  # then: only ASCII blanks before a directive
    for found, escape in _commands(text):
        if _is_strange_array(found):
            return True  # then: text behind an array was ignored, numbers in one an error
        if found.keyword.upper() == "ONBUILD" and re.match(
            "env|label|.*\\[", found.rest, re.IGNORECASE | re.DOTALL
        ):
            return True  # what is wrong in the trigger fails at once
        flags = "".join(f"{flag.name}{flag.value}" for flag in found.flags)
        if found.flags and (escape != "\\" or not flags.isascii()):
            return True  # then: \\ was always what escapes in flags, which were read byte by byte
        if found.keyword.upper() == "HEALTHCHECK" and not found.rest.isascii():
            return True  # byte by byte, again
    return (not text.isascii() and "--" in text) or our_lines(text) == []


def port_differs(text: str) -> bool:
    if re.search("[\x1c-\x1f]|\x0b=|#\u180e", text):
        return True  # Python's blanks, not Go's
    if re.match(f"\ufeff?#.*=.*[{re.escape(SPACES)}]$", text, re.MULTILINE) or "# e=" in text:
        return (
            True  # blanks that are not ASCII behind a directive; one that is none refuses the next
        )
    if "<<" in text and ("${" in text or "onbuild" in text.lower()):
        return True
    for found, escape in _commands(text):
        keyword = found.keyword.upper()
        if keyword not in READERS:
            return True  # an error there
        if _is_strange_array(found):
            return True  # numbers are an error there
        if keyword in ("COPY", "ADD") and (
            not found.rest.isascii() or re.search(f"['\"{re.escape(escape)}]", found.rest)
        ):
            return True  # quotes count there
    return our_lines(text) == []


def go_lines(text: str) -> list[Seen] | None:
    try:
        found = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    return [
        (
            c.cmd,
            c.flags,
            *_arguments_of(c.cmd, c.value, c.json),
            c.start_line,
            c.end_line,
            _docs(c.heredocs),
        )
        for c in found
        if (c.cmd or "").upper() in READERS
    ]


def port_lines(text: str) -> list[Seen] | None:
    try:
        found = parse_dockerfile_ast(text).instructions
    except DockerfileSyntaxError:
        return None
    return [
        (
            c.original.split()[0],
            tuple(c.flags),
            *_arguments_of(
                c.name,
                tuple(
                    a for at, a in enumerate(c.args) if c.name not in ("ENV", "LABEL") or at % 3 < 2
                ),
                c.json,
            ),
            c.start_line,
            c.end_line,
            _docs(c.heredocs),
        )
        for c in found
    ]


def _arguments_of(keyword, words, json):
    return ((), False) if (keyword or "").upper() == "ONBUILD" else (words, json)


def _docs(heredocs) -> tuple[tuple[str, str], ...]:
    return tuple((doc.name, doc.content) for doc in heredocs)


def our_word(word: str, escape: str):
    try:
        found = expansion(word, ENV, escape)
    except UsageError:
        return None
    return found.text, found.words


def port_word(word: str, escape: str):
    lexer = ShellLex(escape, env=ENV, skip_unset_env=False)
    try:
        words = lexer.process_words(word)
        return lexer.process_word(word), tuple(filter(None, words))
    except ValueError:
        return None


def port_word_differs(word: str, escape: str) -> bool:
    """Its replacement of every match knows no ``$0``, and takes an empty match right behind another."""
    if escape == "`" and "%" in word and "\\}" in word:
        return True  # a lone \\ that ends a pattern is an error, which it reads as the beginning of the reversed one
    return "//" in word and ("*" in word or "$" in word.partition("//")[2])
