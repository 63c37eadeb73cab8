"""Logical lines, instructions, flags: what is read and where it stands."""

import pytest

from buildgraph.dockerfile.heredoc import Heredoc
from buildgraph.dockerfile.instructions import (
    Add,
    ArgPair,
    Command,
    Copy,
    Env,
    Healthcheck,
    Label,
    MountOption,
    Onbuild,
    Place,
    Run,
    Shell,
    Volume,
)
from buildgraph.dockerfile.lex import syntax_of
from buildgraph.dockerfile.parse import parse, parse_trigger
from buildgraph.dockerfile.split import Pair
from buildgraph.errors import UsageError


def inside(text):
    """The instructions of one stage."""
    return parse("FROM box\n" + text).stages[0].instructions


def one(text):
    (found,) = inside(text)
    return found


def refused(text, code):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.code == code
    return caught.value


def test_keywords_in_any_case_and_the_text_as_written():
    stage = parse("from box as Build\nRun x\n").stages[0]
    assert (stage.name, stage.origin.stage_written, stage.origin.keyword) == (
        "build",
        "Build",
        "from",
    )
    run = stage.instructions[0]
    assert isinstance(run, Run)
    assert (run.keyword, run.name, run.text) == ("Run", "RUN", "Run x")


def test_an_unknown_instruction_is_told_with_its_line_and_what_was_meant():
    error = refused("FROM box\n\nENTYPOINT x \\\n y\n", "unknown-instruction")
    assert error.hint == "did you mean ENTRYPOINT?"
    assert str(error.where) == "Dockerfile:3-4"
    assert ">>> ENTYPOINT x \\" in error.where.excerpt
    assert ">>>  y" in error.where.excerpt


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "\ufeff"])
def test_nothing_but_comments(text):
    refused(text, "empty-dockerfile")


def test_args_but_no_stage():
    refused("ARG a\n", "no-stage")


def test_only_arg_stands_before_from():
    refused("ARG a\nRUN x\nFROM box\n", "instruction-before-from")


def test_a_byte_order_mark_and_windows_line_ends():
    file = parse(b"\xef\xbb\xbfFROM box\r\nRUN a \\\r\n  b\r\n")
    assert file.stages[0].instructions[0].command.text == "a   b"


def test_bytes_that_are_no_text_are_replaced():
    assert one(b"# \xe4\nLABEL a=\xe4\n".decode("latin-1")).pairs == (Pair("a", "ä"),)
    assert parse(b"FROM box\nLABEL a=\xe4\n").stages[0].instructions[0].pairs[0].value == "\ufffd"


def test_comments_vanish_between_continued_lines():
    run = one("RUN a \\\n# gone\n   # gone too \\\n  b # stays\n")
    assert run.command.text == "a   b # stays"
    assert run.where == (2, 5)


def test_continuation_needs_one_escape_before_the_blanks():
    assert one("RUN a\\ \t\nb\n").command.text == "ab"
    refused("FROM box\nRUN a \\\\\nb\n", "unknown-instruction")
    assert one("RUN a \\").command.text == "a"


def test_empty_lines_inside_an_instruction_are_kept_for_the_checks():
    file = parse("FROM box\nRUN a \\\n\n  b\n")
    assert file.stages[0].instructions[0].command.text == "a   b"
    assert file.empty_continuations == ((4, 4),)


def test_the_escape_directive():
    file = parse("# escape=`\nFROM box\nRUN a `\n b\\\n")
    assert file.escape == "`"
    assert file.stages[0].instructions[0].command.text == "a  b\\"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("# escape=x\nFROM box\n", "bad-escape"),
        ("# escape=`\n# escape=`\nFROM box\n", "repeated-directive"),
        ("#syntax=a\n#SYNTAX=b\nFROM box\n", "repeated-directive"),
    ],
)
def test_wrong_directives(text, code):
    refused(text, code)


@pytest.mark.parametrize(
    "before", ["# a comment\n", "\n", "ARG a\n", "# unknown=x\n", "#\x1cescape=`\n"]
)
def test_a_directive_after_anything_else_is_a_comment(before):
    assert parse(f"{before}# escape=`\nFROM box\n").escape == "\\"


def test_directives_are_read():
    file = parse("# syntax=docker/dockerfile:1 # x\n# check=skip=all\nFROM box\n")
    assert [(d.name, d.value, d.line) for d in file.directives] == [
        ("syntax", "docker/dockerfile:1 # x", 1),
        ("check", "skip=all", 2),
    ]


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("# syntax=a/b:1\nFROM x\n", "a/b:1"),
        ("#syntax = a/b:1 more\n", "a/b:1"),
        ("\ufeff#!/usr/bin/x\n# escape=`\n# syntax=a/b:1\r\n", "a/b:1"),
        ("// syntax=a/b:1\n", "a/b:1"),
        ('{ "syntax": "a/b:1", "x": [] }', "a/b:1"),
        ("# comment\n# syntax=a/b:1\n", ""),
        ("FROM x\n# syntax=a/b:1\n", ""),
        ('{ "syntax": 1 }', ""),
        ("{ broken", ""),
    ],
)
def test_the_syntax_directive_in_all_its_forms(text, image):
    assert syntax_of(text) == image


def test_json_form():
    assert one('RUN ["a", "b\\u00e4"]\n').command == Command(("a", "bä"), exec=True)
    assert one('VOLUME ["/a b"]\n') == Volume(Place((2, 2), 'VOLUME ["/a b"]', "VOLUME"), ("/a b",))
    assert one('SHELL ["/bin/bash", "-c"]\n').words == ("/bin/bash", "-c")


@pytest.mark.parametrize(
    "text", ['["a"]x', "['a']", '["a",]', '["a", 1]', "[NaN]", '["a\tb"]', '["a"', "[" * 9999]
)
def test_what_is_no_json_array_of_strings_is_shell_text(text):
    assert one(f"RUN {text}\n").command == Command(text=text)


def test_shell_must_be_json():
    refused("FROM box\nSHELL /bin/sh -c\n", "bad-arguments")
    refused("FROM box\nSHELL []\n", "bad-arguments")


def test_pairs():
    assert one('ENV a=1 b="x y" c=x\\ y d=\n').pairs == (
        Pair("a", "1"),
        Pair("b", '"x y"'),
        Pair("c", "x\\ y"),
        Pair("d", ""),
    )
    assert one("LABEL a  rest of  line\n").pairs == (Pair("a", "rest of  line", legacy=True),)
    assert isinstance(one("ENV a b\n"), Env)
    assert isinstance(one("LABEL a b\n"), Label)


@pytest.mark.parametrize("text", ["ENV", "ENV a", "ENV a=1 b", "ENV =x", "LABEL =", "ARG =x"])
def test_wrong_pairs(text):
    refused(f"FROM box\n{text}\n", "bad-arguments")
    if not text.startswith("ARG"):
        refused(f"FROM box\nONBUILD {text}\n", "bad-arguments")


def test_args_with_and_without_defaults_and_their_descriptions():
    assert one('# a the first\n# other\nARG a="x y" b= c\n').pairs == (
        ArgPair("a", '"x y"', "the first"),
        ArgPair("b", ""),
        ArgPair("c", None),
    )


def test_flags_end_where_the_arguments_begin():
    copy = one("COPY --chown=a:b --link --exclude=x --exclude='y z' -- --a b\n")
    assert isinstance(copy, Copy)
    assert (copy.chown, copy.link, copy.exclude) == ("a:b", True, ("x", "y z"))
    assert (copy.sources, copy.to) == (("--a",), "b")


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("COPY --form=x a b", "unknown-flag", 'did you mean "--from"?'),
        ("WORKDIR --x /a", "unknown-flag", "it takes no flags"),
        ("COPY --chown=a --chown=b c d", "duplicate-flag", "remove one of them"),
        ("COPY --chown c d", "bad-flag-value", "write --chown=…"),
        ("COPY --link=maybe c d", "bad-flag-value", "write --link alone for true"),
        ("COPY --link= c d", "bad-flag-value", "write --link alone for true"),
        ("RUN --network=hots x", "bad-flag-value", 'did you mean "host"?'),
        ("RUN --mount=typ=cache x", "unknown-mount-key", 'did you mean "type"?'),
        ("RUN --mount=type=tmp x", "bad-mount", 'did you mean "tmpfs"?'),
        ("RUN --mount=target x", "bad-mount", "write target=…"),
        ("RUN --mount=from=$a x", "variable-in-from", None),
    ],
)
def test_wrong_flags(text, code, hint):
    error = refused(f"FROM box\n{text}\n", code)
    assert hint is None or error.hint == hint
    assert error.where.line == 2


def test_mounts_keep_their_options_and_lines():
    run = one("RUN --mount=type=cache,target=$a \\\n  --mount='type=bind,\"src=a,b\",ro' x\n")
    first, second = run.mounts
    assert (first.line, second.line) == (2, 3)
    assert first.options == (MountOption("type", "cache"), MountOption("target", "$a"))
    assert second.options == (
        MountOption("type", "bind"),
        MountOption("src", "a,b"),
        MountOption("ro", None),
    )
    assert second.get("source", "src") == "a,b"


def test_yes_or_no_flags_of_add():
    add = one("ADD --unpack=false --keep-git-dir --checksum=sha256:0 a b\n")
    assert isinstance(add, Add)
    assert (add.unpack, add.keep_git_dir, add.checksum) == (False, True, "sha256:0")
    assert one("ADD a b\n").unpack is None


def test_stage_names():
    assert parse("FROM box AS a.b-c_1\n").stages[0].name == "a.b-c_1"
    assert [stage.name for stage in parse("FROM box\nFROM box AS x\n").stages] == ["stage-0", "x"]
    for name in ("1a", "-a", "a/b", "ä"):
        refused(f"FROM box AS {name}\n", "bad-stage-name")
    for words in ("", "a b", "a as", "a as b c", "a is b"):
        refused(f"FROM {words}\n", "bad-arguments")


def test_healthcheck():
    check = one('HEALTHCHECK --interval=1m30s --timeout=0 --retries=3 CMD ["x"]\n')
    assert isinstance(check, Healthcheck)
    assert check.command == Command(("x",), exec=True)
    assert (check.interval, check.timeout, check.retries) == (90_000_000_000, 0, 3)
    assert one("HEALTHCHECK none\n").command is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CMD",
        "CMD []",
        "NONE x",
        "EXEC x",
        "--interval=-1s CMD x",
        "--timeout=1us CMD x",
        "--interval=x CMD x",
        "--retries=-1 CMD x",
        "--retries=a CMD x",
    ],
)
def test_wrong_healthchecks(text):
    with pytest.raises(UsageError):
        one(f"HEALTHCHECK {text}\n")


def test_onbuild_keeps_the_trigger_as_text():
    trigger = one("ONBUILD  copy --from=x \\\n <<EOF /a\nhi\nEOF\n")
    assert isinstance(trigger, Onbuild)
    assert trigger.trigger == "COPY"
    assert trigger.expression == "copy --from=x  <<EOF /a\nhi\nEOF"
    fired = parse_trigger(trigger.expression, "box")
    assert isinstance(fired, Copy)
    assert fired.sources == (Heredoc("EOF", "hi\n"),)


@pytest.mark.parametrize("text", ["ONBUILD RUN x", "FROM x", "MAINTAINER x"])
def test_what_cannot_be_a_trigger(text):
    refused(f"FROM box\nONBUILD {text}\n", "bad-onbuild")


@pytest.mark.parametrize("text", ["RUN a\nRUN b", "FROM x", ""])
def test_a_trigger_from_elsewhere_is_one_instruction(text):
    with pytest.raises(UsageError):
        parse_trigger(text, "box")


def test_lines_have_a_limit():
    longest = "RUN " + "x" * 65531
    assert len(one(longest + "\n").text) == 65535
    assert refused(f"FROM box\n{longest}x\n", "line-too-long").where.line == 2


def test_shell_and_volume_types():
    assert isinstance(one('SHELL ["x"]\n'), Shell)
    refused("FROM box\nVOLUME\n", "bad-arguments")
    refused('FROM box\nVOLUME ["a", " "]\n', "bad-arguments")


def test_copy_needs_a_destination():
    for text in ("COPY", "COPY a", 'COPY ["a"]', "ADD a"):
        refused(f"FROM box\n{text}\n", "bad-arguments")


def test_equal_texts_are_equal_values():
    text = "FROM box AS a\nRUN --mount=type=cache,target=/x <<E\ny\nE\nCOPY a b\n"
    assert parse(text) == parse(text, "other")
    assert parse(text) != parse(text + "CMD x\n")
    assert len({*parse(text).stages, *parse(text).stages}) == 1
