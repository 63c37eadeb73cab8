import os
from time import perf_counter

import pytest

from buildgraph.errors import ContentError
from buildgraph.oci.document import LARGEST, decode, encode


def refused(content: bytes) -> str:
    with pytest.raises(ContentError) as caught:
        decode(content, "the manifest of x")
    assert caught.value.code == "bad-document"
    assert "the manifest of x" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><body>Not Found</body></html>", "is not JSON"),
        (b'{"schemaVersion": 2, "lay', "is not JSON"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "nests deeper than 64"),
        (b'{"a":' * 100_000, "nests deeper than 64"),
        (b" " * (LARGEST + 1), "at most 4194304"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": 1e999}', "is no number"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"null", "must be a JSON object, not nothing"),
    ],
)
def test_bad_documents_are_refused_by_name(content, said):
    assert said in refused(content)


@pytest.mark.parametrize("piece", [b'"', b'"\\', b'\\"', b'["a', b'{"k":1,'])
def test_malformed_documents_are_refused_in_linear_time(piece):
    start = perf_counter()
    refused(piece * (LARGEST // len(piece)))
    assert perf_counter() - start < 5


def test_brackets_in_strings_do_not_nest():
    assert decode(b'{"a": "' + b"[" * 1000 + b'\\""}', "x").text("a") == "[" * 1000 + '"'


def test_null_is_absent_and_what_was_not_read_is_kept():
    fields = decode(b'{"a": null, "b": [1, {"c": 0.5}], "d": "x"}', "x")
    assert fields.texts("a") is None
    assert fields.text("d") == "x"
    assert fields.rest() == {"b": [1, {"c": 0.5}]}


@pytest.mark.parametrize("value", [b"-1", b"9223372036854775808", b"1.0", b"true", b'"1"', b"null"])
def test_numbers_are_whole_and_not_negative(value):
    with pytest.raises(ContentError, match="'size', which must be"):
        decode(b'{"size": ' + value + b"}", "x").number("size")


@pytest.mark.parametrize("call", ["text", "flag", "texts", "mapping", "names", "child"])
def test_wrong_types_are_named(call):
    with pytest.raises(ContentError, match=r"x.*'k'"):
        getattr(decode(b'{"k": 7}', "x"), call)("k")


def test_wrong_types_inside_lists_are_named():
    with pytest.raises(ContentError, match=r"k\[1\]"):
        list(decode(b'{"k": [{}, 3]}', "x").children("k"))


def test_bytes_that_are_no_text_are_written_as_docker_writes_them():
    written = encode({"a": os.fsdecode(b"x\xff\xc3\xbc"), "b": "\u20ac"})
    assert written == '{"a":"x\ufffd\u00fc","b":"\u20ac"}'.encode()
    assert decode(written, "it").text("b") == "\u20ac"
