"""What a rewritten Dockerfile is made of means what it was made from: ignore files, texts, command lines."""

import re
import shlex

import tomli
from hypothesis import assume, example, given
from hypothesis import strategies as st

from buildgraph.dockerfile.rewrite.ignore import below, read, selections
from buildgraph.dockerfile.rewrite.shell import broken
from buildgraph.dockerfile.rewrite.toml import Table, document
from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import is_wild
from buildgraph.fs.ignore import Globs
from buildgraph.fs.moby import Patterns
from buildgraph.spec.expand import expand

NAMES = ("a", "b", "a.md", "b.md", "src", "{x}")
PARTS = (*NAMES, "*", "?", "*.md", "[ab]", "[^a]", "**")
patterns = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("/".join)
lines = st.lists(
    st.builds(
        "{}{}{}".format, st.sampled_from(("", "", "!")), patterns, st.sampled_from(("", "/"))
    ),
    max_size=5,
)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)


@given(lines, paths, st.sampled_from(("", "src", "src/a")))
@example(["*", "!src", "src/*.md"], "src/a.md", "")
@example(["a", "src/a", "!src"], "a", "src")
def test_what_an_ignore_file_leaves_is_what_the_globs_choose(
    ignored: list[str], path: str, folder: str
) -> None:
    whole = f"{folder}/{path}" if folder else path
    try:
        rules = read(ignored)
    except UsageError:
        assume(False)
    above = ["/".join(whole.split("/")[:depth]) for depth in range(1, whole.count("/") + 1)]
    wild = [rule.glob.replace("[!", "[^") for rule in rules if rule.back and is_wild(rule.glob)]
    assume(not any(Patterns(wild).matches(folder) for folder in above))  # told in the manual
    chosen = selections(below(rules, folder))
    found = any(Globs.compile(each.include, each.exclude).matches(path.encode()) for each in chosen)
    assert found == (not Patterns(ignored).matches(whole)), chosen


texts = st.text(st.sampled_from("ab $({}['\"\\\n\t\r\x00\x7fé#=")) | st.text()


@given(st.dictionaries(texts.filter(bool), texts | st.dictionaries(texts, texts), max_size=4))
def test_a_document_says_what_it_was_given(values: dict[str, object]) -> None:
    found = tomli.loads(document([Table(("t", "x"), values)])).get("t", {}).get("x", {})
    assert meant(found) == values


def meant(value: object) -> object:
    if isinstance(value, dict):
        return {meant(key): meant(item) for key, item in value.items()}
    return expand(str(value), (), lambda use, _path: (f"<{use.written}>",))


words = st.lists(
    st.sampled_from(
        (
            "ls",
            "  ",
            " ",
            "'a  b'",
            '"c  $(d  e)"',
            "\\  ",
            "&&",
            "||",
            "\\;",
            ">|",
            "  | ",
            ";",
            "$x",
            "\t\t",
        )
    ),
    max_size=8,
).map("".join)


@given(words)
@example("a &&   b   'c   d'   |   e")
@example("find -exec x \\;   -print")
def test_a_command_in_several_lines_is_the_same_command(text: str) -> None:
    again = broken(text).replace("\\\n", "")
    assert split(again) == split(text)
    assert '"a  b"' not in text or '"a  b"' in again
    assert not re.search(r"(\\;|>\|)\n", broken(text))


def split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)
