"""Documents that no person would write: refused in bounded time, never a crash."""

import pytest
from support.buildfile import HEAD, codes, mistakes, read

from buildgraph.errors import ErrorGroup, UsageError
from buildgraph.spec.parse import parse
from buildgraph.spec.position import Positions

INVALID = {
    # The classes of the TOML specification's list of invalid documents.
    "array-double-comma": "a = [1,,2]",
    "array-extending-table": "a = [{ b = 1 }]\n[a.c]\nd = 1",
    "array-missing-separator": "a = [1 2]",
    "array-no-close": "a = [1, 2",
    "array-tables": "[[a]]\n[a]",
    "array-text-after": "a = [1] b",
    "array-of-static": "a = [1]\n[[a]]",
    "bool-case": "a = True",
    "bool-almost": "a = truer",
    "comment-control": "a = 1 # \x00",
    "comment-delete": "a = 1 # \x7f",
    "control-bare-cr": "a = 1\rb = 2",
    "control-null": "a = 1\x00",
    "control-in-string": 'a = "\x01"',
    "datetime-month": "a = 2024-13-01T00:00:00Z",
    "datetime-day": "a = 2023-02-30",
    "datetime-hour": "a = 25:00:00",
    "datetime-offset": "a = 2024-01-01T00:00:00+25:00",
    "datetime-short": "a = 2024-1-1",
    "float-double-dot": "a = 1..2",
    "float-exp-dot": "a = 1e2.3",
    "float-leading-dot": "a = .5",
    "float-trailing-dot": "a = 5.",
    "float-leading-zero": "a = 03.14",
    "float-inf-case": "a = Inf",
    "float-underscore": "a = 1_.2",
    "inline-duplicate": "a = { b = 1, b = 2 }",
    "inline-overwritten": "a = { b = 1 }\na.c = 2",
    "inline-header-into": "a = { b = {} }\n[a.b]",
    "inline-no-close": "a = { b = 1",
    "inline-no-comma": "a = { b = 1 c = 2 }",
    "integer-double-sign": "a = ++1",
    "integer-double-underscore": "a = 1__2",
    "integer-leading-zero": "a = 012",
    "integer-capital-hex": "a = 0X1",
    "integer-bad-octal": "a = 0o8",
    "integer-bad-binary": "a = 0b2",
    "integer-text-after": "a = 42x",
    "integer-huge": "a = " + "9" * 6000,
    "key-after-array": "a = [1]b = 2",
    "key-duplicate": "a = 1\na = 2",
    "key-duplicate-quoted": 'a = 1\n"a" = 2',
    "key-dotted-into-value": "a = 1\na.b = 2",
    "key-empty": " = 1",
    "key-hash": "a# = 1",
    "key-multiline": '"""a""" = 1',
    "key-newline": "a\n= 1",
    "key-no-equals": "a 1",
    "key-no-value": "a =",
    "key-only": "a",
    "key-space": "a b = 1",
    "key-special": "µ = 1",
    "key-two-a-line": "a = 1 b = 2",
    "key-without-value": "fs.fw",
    "local-date-no-leading": "a = 199-01-01",
    "string-bad-escape": r'a = "\q"',
    "string-bad-codepoint": r'a = "\uD801"',
    "string-bad-unicode": r'a = "\U00110000"',
    "string-short-unicode": r'a = "\u12"',
    "string-bare": "a = x",
    "string-no-close": 'a = "x',
    "string-newline": 'a = "x\ny"',
    "string-literal-newline": "a = 'x\ny'",
    "string-multiline-no-close": 'a = """x',
    "string-multiline-quotes": 'a = """x""""""',
    "string-text-after": 'a = "x" y',
    "table-append-to-array": "a = []\n[a.b]",
    "table-duplicate": "[a]\n[a]",
    "table-duplicate-dotted": "[a]\nb.c = 1\n[a.b]",
    "table-empty": "[]",
    "table-empty-part": "[a..b]",
    "table-nested-brackets": "[a[b]]",
    "table-no-close": "[a",
    "table-overwrites-value": "a = 1\n[a]",
    "table-newline": "[a\n]",
    "table-array-mismatch": "[[a]",
    "table-text-after": "[a] b",
    "table-whitespace": "[a b]",
    "encoding-bom-inside": "a = 1\n\ufeffb = 2",
}
BYTES = {
    "encoding-utf16": "a = 1".encode("utf-16"),
    "encoding-latin1": b'a = "\xe9"',
    "encoding-truncated": b'a = "\xc3',
    "encoding-surrogate": b'a = "\xed\xa0\x80"',
    "encoding-overlong": b'a = "\xc0\xaf"',
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_document_is_one_mistake_with_a_line(name):
    with pytest.raises(ErrorGroup) as raised:
        read(INVALID[name], head="")
    (error,) = raised.value.errors
    assert error.code == "bad-toml"
    assert error.where.line >= 1 or name == "integer-huge"


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_text(name):
    with pytest.raises(ErrorGroup) as raised:
        read("", head="", text=BYTES[name])
    (error,) = raised.value.errors
    assert (error.code, error.where.line) == ("bad-toml", 1)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 10_000 + "]" * 10_000,
        "a = " + "{ a = " * 10_000 + "1" + "}" * 10_000,
        "a = " + "[" * 100_000,
        "[" + "a." * 10_000 + "a]\nb = 1",
        "a" + ".a" * 10_000 + " = 1",
        "vars.x" + ".a" * 60 + " = 1",
    ],
    ids=["arrays", "tables", "open", "header", "dotted", "sixty"],
)
def test_nesting_ten_thousand_deep(text):
    assert codes(text) == ["bad-toml"]


@pytest.mark.parametrize(
    "text",
    [
        "# " + "x" * 10_000_000,
        "\n" * 10_000_000,
        "#\n" * 5_000_000,
        'a = "' + "x" * 10_000_000 + '"',
        'a = """' + '\\"' * 2_000_000 + '"""',
        "a = [" + "1, " * 500_000 + "]",
        "a = [" + "[1], " * 300_000 + "]",
        "a = " + "'''" + "'\n" * 2_000_000 + "'''",
    ],
    ids=["comment", "blank", "comments", "string", "escapes", "array", "nested", "quotes"],
)
def test_megabytes_are_scanned_in_one_pass(text):
    assert Positions("f", text + "\nlast = 1\n").location(("last",)).excerpt == "last = 1"


def test_ten_megabytes_of_script_are_read():
    text = HEAD + '[step.x]\non = ["box"]\nrun = """\n' + "echo $$x\n" * 1_000_000 + '"""\n'
    step = read(text, head="").model.steps["x"]
    assert len(step.kind.command.fill({})) == 8_000_000


def test_more_than_is_read():
    assert mistakes("#" * 17_000_000, head="")[0].startswith(
        "bad-toml: the file has 17,000,000 bytes"
    )


def test_values_that_double_forty_times():
    lines = [f'v{n} = "${{v{n + 1}}}${{v{n + 1}}}"' for n in range(60)]
    text = (
        "[vars]\n"
        + "\n".join(lines)
        + '\nv60 = "x"\n[image.a]\non = ["box"]\ndescription = "${v20}"\n'
    )
    assert codes(text + 'labels = { a = "${v35}" }') == ["bad-variable"]


def test_windows_line_ends_and_a_byte_order_mark():
    text = b'\xef\xbb\xbfbuildfile = 1\r\n[base.a]\r\nscratch = true\r\n[step.x]\r\non = ["a"]\r\nrun = """\r\na\r\nb"""\r\n'
    step = read("", head="", text=text).model.steps["x"]
    assert step.kind.command.fill({}) == "a\nb"
    assert step.where.line == 4


def test_the_document_is_what_tomli_says():
    document, positions = parse("f", b"a = 1\n")
    assert document == {"a": 1}
    assert positions.location(("a",)).line == 1


@pytest.mark.parametrize(
    "text",
    [
        '[step.s]\nwrite = { "/a\\u0000b" = "x" }',
        '[step.s]\ncopy = [{ from = "a\\u0000", to = "/a" }]',
        '[step.s]\nenv = { A = "\\U00000000" }',
        '[step.s]\nrun = ["echo", "\\u0000"]',
    ],
)
def test_no_path_command_or_variable_holds_a_nul_character(text):
    with pytest.raises(UsageError) as caught:
        parse("Buildfile.toml", text.encode())
    assert caught.value.code == "nul-character"
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_every_nul_character_is_told_in_the_order_of_the_file():
    text = '[step.s]\non = ["box"]\nworkdir = "/\\u0000"\nrun = "\\u0000"\nenv = { A = "\\u0000" }\ntimeout = "x"'
    with pytest.raises(ErrorGroup) as caught:
        read(text)
    told = [(error.code, error.where.line - 5) for error in caught.value.errors]
    assert told == [*(("nul-character", line) for line in (3, 4, 5)), ("bad-duration", 6)]


def test_a_character_that_may_not_stand_in_toml_is_no_unclosed_string():
    with pytest.raises(UsageError) as caught:
        parse("Buildfile.toml", b'a = "\x1b"')
    assert "control character" in caught.value.hint


@pytest.mark.parametrize("version", ["1.0", "true", '"1"', "2", "[1]"])
def test_the_version_is_the_number_one(version):
    [told] = mistakes("", head=f"buildfile = {version}\n")
    assert told.startswith("bad-version: ")


def test_a_written_file_may_hold_one():
    text = b'[step.s]\nwrite = { "/a" = "\\u0000", "/b" = { text = "\\u0000" } }'
    document, _ = parse("Buildfile.toml", text)
    assert document["step"]["s"]["write"]["/a"] == "\0"
    parse("Buildfile.toml", b"[step.s]\nwrite = { \"/a\" = 'no \\\\u0000 escape' }")
