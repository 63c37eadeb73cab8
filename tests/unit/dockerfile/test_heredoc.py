"""Heredocs: which words announce one, what their bodies are, and what becomes of them, byte for byte."""

import pytest

from buildgraph.dockerfile.heredoc import Heredoc, marks, parse_mark
from buildgraph.dockerfile.parse import parse
from buildgraph.dockerfile.words import expand_body
from buildgraph.errors import UsageError


def one(text):
    (found,) = parse("FROM box\n" + text).stages[0].instructions
    return found


def heredocs(text):
    return one(text).command.heredocs


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        ("<<EMPTY\nEMPTY\n", Heredoc("EMPTY")),
        ("3<<IN\nIN\n", Heredoc("IN", fd=3)),
        ("<<E\n\tfoo\n\tbar\nE\n", Heredoc("E", "\tfoo\n\tbar\n")),
        ("<<-E\n\tfoo\nE\n", Heredoc("E", "\tfoo\n", chomp=True)),
        ("<<-E\n\tfoo\n\tE\n", Heredoc("E", "\tfoo\n", chomp=True)),
        ("<<-'E'\n\tdon't $x\nE\n", Heredoc("E", "\tdon't $x\n", expand=False, chomp=True)),
        ("<<E\n# comment\na # b\nE\n", Heredoc("E", "# comment\na # b\n")),
        ("--mount=type=cache,target=/foo <<E\na\nE\n", Heredoc("E", "a\n")),
        ("<<E python3\nprint('x')\nE\n", Heredoc("E", "print('x')\n")),
        ("<<eo'f'\na\neof\n", Heredoc("eof", "a\n", expand=False)),
        ("<<eo\\'f\na\neo'f\n", Heredoc("eo'f", "a\n")),
        ("<<'e'o\\'f\na\neo'f\n", Heredoc("eo'f", "a\n", expand=False)),
        ("<<'one two'\na\none two\n", Heredoc("one two", "a\n", expand=False)),
        ("<<$E\n$E\n", Heredoc("$E")),
        ("<<${E:-x}\n${E:-x}\n", Heredoc("${E:-x}")),
        ("<<  E\nE\n", Heredoc("E")),
        ("<< -E\n-E\n", Heredoc("-E")),
        ("<<E\n\\\na \\\nE\n", Heredoc("E", "\\\na \\\n")),
        ("<<E\r\na\r\nE\r\n", Heredoc("E", "a\r\n")),
        ("<<E\na\n\nE\n", Heredoc("E", "a\n\n")),
    ],
)
def test_one_of_a_run(text, doc):
    assert heredocs("RUN " + text) == (doc,)


def test_several_on_a_line():
    run = one("RUN <<E 3<<IN1 4<<IN2 awk -f -\nscript\nE\none\nIN1\ntwo\nIN2\n")
    assert [(doc.name, doc.fd, doc.content) for doc in run.command.heredocs] == [
        ("E", 0, "script\n"),
        ("IN1", 3, "one\n"),
        ("IN2", 4, "two\n"),
    ]
    assert run.command.text == "<<E 3<<IN1 4<<IN2 awk -f -"
    assert run.where == (2, 8)


def test_on_continued_lines():
    run = one("RUN cat <<A > x; \\\n  cat <<B > y\n1\nA\n2\nB\n")
    assert [doc.content for doc in run.command.heredocs] == ["1\n", "2\n"]
    assert run.command.text == "cat <<A > x;   cat <<B > y"


def test_files_of_a_copy():
    copy = one("COPY <<X a << Y <<-'file.txt' /dest/\nY\nX\nX\nY\n\thello\nfile.txt\n")
    x, plain, y, file = copy.sources
    assert (x.body, plain, y.body) == ("Y\n", "a", "X\n")
    assert (file.name, file.body, file.expand) == ("file.txt", "hello\n", False)
    assert copy.to == "/dest/"


def test_two_of_one_name_have_the_last_ones_content():
    assert [doc.content for doc in one("COPY <<A <<A /\n1\nA\n2\nA\n").sources] == ["2\n", "2\n"]


@pytest.mark.parametrize(
    "text",
    [
        '"<<E"',
        "'<<E'",
        "\\<<E",
        "<<<E",
        "a<<E",
        "$((1<<2))",
        "<E",
        "<<",
        "$x<<E",
        "<<- E",
        '["<<E"]',
    ],
)
def test_what_is_none(text):
    assert heredocs(f"RUN {text}\n") == ()


@pytest.mark.parametrize(
    "text", ["USER <<E", "CMD cat <<E", "ENV a=<<E", "ENTRYPOINT <<E", "WORKDIR <<E"]
)
def test_instructions_without_them(text):
    assert one(text).text == text


@pytest.mark.parametrize(
    "text", ["RUN <<E\na\n", "RUN <<E\na\n E\n", "COPY <<E /\n\tE\n", "RUN <<A <<B\nB\nA\n"]
)
def test_one_that_never_ends(text):
    with pytest.raises(UsageError) as caught:
        one(text)
    assert caught.value.code == "unterminated-heredoc"


@pytest.mark.parametrize(
    "word", ["<<E", "<<'E'", '<<"E"', "<<-E", "<<-'E'", '<<E""', "<< E", "<<- E"]
)
def test_words_that_announce_one(word):
    mark = parse_mark(word)
    assert mark is not None
    assert mark.name == "E"


@pytest.mark.parametrize("word", ["", "E", "<<", "<<-", "<E", "<<<E", "<<E sh", "<<'E", '<<E"'])
def test_words_that_announce_none(word):
    assert parse_mark(word) is None


def test_marks_in_a_line():
    assert [mark.name for mark in marks("RUN <<A x <<'B' \"<<C\"")] == ["A", "B"]
    assert marks("RUN <<A 'unclosed") == []


@pytest.mark.parametrize(
    ("mark", "body", "content"),
    [
        ("<<E", '"quotes in file"\n', '"quotes in file"\n'),
        ("<<E", "\\\n", "\n"),
        ("<<E", "\\\\\n", "\\\n"),
        ("<<E", "\\$\n", "$\n"),
        ('<<"E"', "\\\n", "\\\n"),
        ('<<"E"', "\\\\\n", "\\\\\n"),
        ('<<"E"', "\\$\n", "\\$\n"),
        ("<<E", "Hello ${name}!\n", "Hello world!\n"),
        ("<<'E'", "Hello ${name}!\n", "Hello ${name}!\n"),
        ("<<E", "Hello '${name}'!\n", "Hello 'world'!\n"),
        ("<<E", 'Hello "${name}"!\n', 'Hello "world"!\n'),
        ("<<'E'", "Hello '${name}'!\n", "Hello '${name}'!\n"),
        ('<<"E"', 'Hello "${name}"!\n', 'Hello "${name}"!\n'),
        ("<<-E", "\tHello $name\n", "Hello world\n"),
        ("<<E", "${name:-'x'} ${no:-\"$name\"}\n", 'world "world"\n'),
        ("<<E", "a\\\nb \\n \\`x\\`\n", "a\nb n `x`\n"),
        ("<<E", "$ $. ${name%l*} %s\n", "$ $. wor %s\n"),
        ("<<E", "it's $nothing\n", "it's \n"),
    ],
)
def test_quoted_and_unquoted_bodies(mark, body, content):
    (doc,) = one(f"COPY {mark} /x\n{body}E\n").sources
    made = expand_body(doc.body, {"name": "world"}) if doc.expand else doc.body
    assert made == content
