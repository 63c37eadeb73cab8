"""Texts that are almost Dockerfiles, and words of them: pieces put together at random, for every reader to read."""

from hypothesis import strategies as st

_WORD_PIECES = [
    "a",
    "b",
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
    "ä",
    "`",
    "$$",
    "${",
    "$(",
    "\\$",
    "\\}",
    "${1}",
    "${X//\\",
    ".",
    "[",
    "]",
    "^",
    "|",
    "${N%",
    "${S#\\*}",
    "${A:?m}",
    "\\*",
    "[a]",
    "$é",
    ".*",
    "é²",
]
_BLANKS = [" ", "\t", "\n", "\u00a0", "\u3000", "\x85", "\v"]
WORDS = st.lists(st.sampled_from([*_WORD_PIECES, *_BLANKS, " "]), max_size=8).map("".join)

_KEYWORDS = [
    "RUN",
    "run",
    "Run",
    "COPY",
    "ADD",
    "ENV",
    "LABEL",
    "ARG",
    "CMD",
    "ENTRYPOINT",
    "WORKDIR",
    "USER",
    "EXPOSE",
    "VOLUME",
    "HEALTHCHECK",
    "STOPSIGNAL",
    "MAINTAINER",
    "Shell",
    "FROM",
]
_KEYWORDS += ["ONBUILD RUN", "onbuild COPY", "HEALTHCHECK CMD", "HEALTHCHECK --interval=5s CMD"]

_WRITTEN = [
    "a",
    "b=c",
    "=",
    "'",
    '"',
    "$x",
    "é",
    ",",
    "E",
    "E F",
    "NONE",
    "CMD",
    "FROM x",
    "${a:-b c}",
]
_WRITTEN += ["$(x)", "\\$", "a\\ b", 'x="y z"', "x='y\nz'", "# c", " # c\n"]
_BETWEEN = [
    " ",
    " ",
    "  ",
    "\t",
    "\f",
    "\v",
    "\r",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\x85",
    "\u200b",
    "\ufeff",
    "\u180e",
]
_JOINED = [
    "\\",
    "\\\n",
    "\\ \n",
    "\\\t\n",
    "\\\\\n",
    "\\\r\n",
    "\\\n# c\n",
    "\\\n  # escape=`\n",
    "\\\n\n",
    "\\\n \t\n\n",
]
_JOINED += ["`", "`\n", "``\n", "` \n", "\n", "\n\n", "\r\n", "#c\n"]
_FLAGS = [
    "--f=1",
    "--g",
    "--",
    " -- ",
    "--=",
    "---",
    "--f=",
    "--f=$x",
    "--f='a b'",
    '--f="a b"',
    "--f=a\\ b",
    "--f\\\n=1",
]
_FLAGS += ["--mount=type=cache,target=/x", '--mount=type=bind,"a=b"']
_ARRAYS = [
    '["a", "b"]',
    '["a","b"',
    '["',
    "]",
    "[",
    '["\\u0041"]',
    '["\\ud83d\\ude00"]',
    '["\\/"]',
    '["\\x"]',
    '["a",]',
]
_ARRAYS += [
    '["\t"]',
    '[ "a" , "b" ] ',
    '["a"] x',
    "['a']",
    "[]",
    '["a\\\nb"]',
    '["\\n"]',
    '["é\\u00e9"]',
]
_DOCUMENTS = ["<<E", "<<-E", "3<<'E'", '<<"E F"', "<< E", "<<<E", "a<<E", "<<E>", "<<'E", "<<E\\\n"]
_DOCUMENTS += ["\nE\n", "\n\tE\n", "\nE \n", "\nE\r\n"]
_PIECES = [_WRITTEN, _BETWEEN, _JOINED, _FLAGS, _ARRAYS, _DOCUMENTS]

_INSTRUCTIONS = st.builds(
    lambda indent, keyword, blank, parts, end: f"{indent}{keyword}{blank}{''.join(parts)}{end}",
    st.sampled_from(["", "", "", " ", "\t", "\u00a0", "\f"]),
    st.sampled_from(_KEYWORDS),
    st.sampled_from([" ", " ", " ", "\t", "\\\n ", "\f", "\u00a0", ""]),
    st.lists(st.one_of(*map(st.sampled_from, _PIECES)), max_size=7),
    st.sampled_from(["\n", "\n", "\n", "\r\n", "", " \\"]),
)
_HEADS = [
    "",
    "\ufeff",
    "# syntax=x\n",
    "#escape=`\n",
    "# escape = \\\n",
    "# c\n",
    "\n",
    "#!x\n# escape=`\n",
]
_HEADS += [
    "# escape=`\n# check=skip=all\n",
    "# escape=`\n# escape=`\n",
    " # escape=`\n",
    "# Escape=`\n",
    "#\tescape\t=\t`\t\n",
]
_HEADS += [
    "# escape=`\r\n",
    "# e=1\n# escape=`\n",
    "# escape= `\n#\n",
    "#escape=` x\n",
    "# escape=\n# escape=`\n",
    "\n# escape=`\n",
]
_HEADS += [
    "# syntax=a\n# escape=`\n",
    "#\u00a0escape=`\n",
    "#\vescape=`\n",
    "\t# escape=`\n",
    "\ufeff# escape=`\n",
    "## escape=`\n",
]
_HEADS += ["# escape=`\u00a0\n", "ARG a=1 b\n", "arg x\n", "\\\n# escape=`\n"]
FILES = st.builds(
    lambda head, first, body: f"{head}{first}{''.join(body)}",
    st.sampled_from(_HEADS),
    st.sampled_from(["FROM a\n", "FROM a\n", "from a\n", "FROM a AS b\r\n"]),
    st.lists(_INSTRUCTIONS, max_size=4),
)
