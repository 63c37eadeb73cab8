"""Dockerfiles and words as two other readers see them, and texts to compare them on.

``dockerfile`` is BuildKit's own parser of some years ago (Go); ``e2b_dockerfile_utils`` a port of a later one. Where
they differ from today's BuildKit, :func:`go_lags` and :func:`port_differs` leave the text out, each with its reason.
"""

import re

import dockerfile
from e2b_dockerfile_utils import DockerfileSyntaxError, ShellLex, parse_dockerfile_ast
from hypothesis import strategies as st

from buildgraph.dockerfile.lex import Lexer
from buildgraph.dockerfile.readers import READERS
from buildgraph.dockerfile.source import Source
from buildgraph.dockerfile.split import blanks, json_strings, pairs, quoted
from buildgraph.dockerfile.words import expansion
from buildgraph.errors import UsageError

ENV = {"A": "a b", "E": "", "X": "xxyy", "P": "/a/b.c", "N": "1\n2", "S": "*"}

_WORD_PIECES = st.sampled_from(
    [
        "a",
        "b",
        " ",
        "x",
        "y",
        "$A",
        "$E",
        "$X",
        "$U",
        "${A}",
        "${U}",
        "'",
        '"',
        "\\",
        "$",
        "}",
        "${U:-",
        "${X:+",
        "${X-",
        "${E:-",
        "${E+",
        "${U?",
        "${X#",
        "${X##",
        "${X%",
        "${X%%",
        "*",
        "${X/",
        "${P//",
        "/",
        "?",
        "{",
        ":",
        "<",
        "<<",
        "$1",
        "${P##*/}",
        "\n",
        "ä",
        "`",
    ]
)
WORDS = st.lists(_WORD_PIECES, max_size=8).map("".join)

_KEYWORDS = ["RUN", "run", "COPY", "ADD", "ENV", "LABEL", "ARG", "CMD", "ENTRYPOINT", "WORKDIR"]
_KEYWORDS += [
    "USER",
    "EXPOSE",
    "VOLUME",
    "HEALTHCHECK",
    "STOPSIGNAL",
    "MAINTAINER",
    "Shell",
    "FROM",
]
_TEXT = st.sampled_from(
    [
        "a",
        "b=c",
        " ",
        "  ",
        "\t",
        "=",
        "'",
        '"',
        "\\",
        "\\\n",
        "\\ \n",
        "# c",
        "\n",
        "\n\n",
        "$x",
        "--f=1",
        "--g",
        "--",
        " -- ",
        '["a", "b"]',
        '["',
        "]",
        "[",
        ",",
        "é",
        "\r\n",
        "`",
        "`\n",
        "<<E",
        "<<-E",
        "3<<'E'",
        '<<"E F"',
        "\nE\n",
        "\n\tE\n",
        "E",
        "NONE",
        "CMD",
        "\u00a0",
    ]
)
_INSTRUCTIONS = st.builds(
    lambda keyword, parts: f"{keyword} {''.join(parts)}\n",
    st.sampled_from(_KEYWORDS),
    st.lists(_TEXT, max_size=7),
)
_HEADS = st.sampled_from(
    [
        "",
        "\ufeff",
        "# syntax=x\n",
        "#escape=`\n",
        "# escape = \\\n",
        "# c\n",
        "\n",
        "#!x\n# escape=`\n",
        "# escape=`\n# check=skip=all\n",
        "# escape=`\n# escape=`\n",
        " # escape=`\n",
    ]
)
FILES = st.builds(
    lambda head, body: f"{head}FROM a\n{''.join(body)}", _HEADS, st.lists(_INSTRUCTIONS, max_size=4)
)

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
        kind, _, command = re.split("([\\s\u00a0]+|$)", rest, maxsplit=1)
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
    if "[" in text and "<<" in text:
        return True  # then: an array with a heredoc behind it was an array
    for found, escape in _commands(text):
        if _is_strange_array(found):
            return True  # then: text behind an array was ignored, numbers in one an error
        flags = "".join(f"{flag.name}{flag.value}" for flag in found.flags)
        if found.flags and (escape != "\\" or not flags.isascii()):
            return True  # then: \\ was always what escapes in flags, which were read byte by byte
    return "\u00a0" in text and ("--" in text or "HEALTHCHECK" in text)  # byte by byte, again


def port_differs(text: str) -> bool:
    for found, escape in _commands(text):
        keyword = found.keyword.upper()
        if keyword not in READERS:
            return True  # an error there
        if _is_strange_array(found):
            return True  # numbers are an error there
        if keyword in ("COPY", "ADD") and re.search(f"['\"\u00a0{re.escape(escape)}]", found.rest):
            return True  # quotes count there
    return False


def go_lines(text: str) -> list[Seen] | None:
    try:
        found = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    return [
        (c.cmd, c.flags, c.value, c.json, c.start_line, c.end_line, _docs(c.heredocs))
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
            tuple(a for at, a in enumerate(c.args) if c.name not in ("ENV", "LABEL") or at % 3 < 2),
            c.json,
            c.start_line,
            c.end_line,
            _docs(c.heredocs),
        )
        for c in found
    ]


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


def port_word_differs(word: str) -> bool:
    """Its replacement of every match knows no ``$0``, and takes an empty match right behind another."""
    return "//" in word and ("*" in word or "$" in word.partition("//")[2])
