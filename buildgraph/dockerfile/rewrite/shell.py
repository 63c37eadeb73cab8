"""How does a RUN's command line read again as it was written? Its continued lines have become one with wide gaps.

Lines are broken at the gaps outside of quotes, where the shell sees nothing but blanks; a text in which it is not plain
what is quoted stays as it is.
"""

import re

_TOKEN = re.compile(
    r"""(?P<quoted>\\.|'[^']*'|"(?:[^"\\]|\\.)*")|(?P<gap>[ \t]{2,})|(?P<other>[^\s\\'"]+|\s|.)""",
    re.DOTALL,
)
_UNSURE = re.compile(r"<<|\$'|(?:^|[\s;&|(])#")
_NESTED = re.compile(r"^\".*(?:`|\$\(|\$\{[^}]*\"$)", re.DOTALL)
"""Quotes in which there may be others."""
_END = re.compile(r"(?:&&|(?<!>)\||;)$")
_INDENT = "    "


def broken(text: str) -> str:
    """The same command in several lines, if it has gaps; always one of the same meaning."""
    if "\n" in text or "  " not in text.replace("\t", "  ") or _UNSURE.search(text):
        return text
    made, last = "", ""
    for match in _TOKEN.finditer(text.strip(" \t")):
        if match["other"] in ("'", '"', "\\"):  # a quote that nothing closes
            return text
        if _NESTED.search(match["quoted"] or ""):
            return text
        if match["gap"]:
            made += f"\n{_INDENT}" if _END.search(last) else f" \\\n{_INDENT}"
        else:
            made += match[0]
            last = match["other"] or ""
    return made


def commands(text: str) -> list[list[str]]:
    """Roughly the commands of a shell text, as words; for names, not for meaning."""
    lines = re.split(r"&&|\|\||[;|\n]", text.replace("\\\n", " "))
    return [words for line in lines if (words := line.split())]
