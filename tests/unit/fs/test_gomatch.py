"""The table is that of Go's own documentation and behaviour."""

import pytest

from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import is_wild, literal, matcher


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "ab/c", False),
        ("a*b*c*d*e*", "axbxcxdxe", True),
        ("a*b*c*d*e*f", "axbxcxdxexxx", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abe", True),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "β", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[\\-x]", "-", True),
        ("[x\\-]", "z", False),
        ("*x", "xxx", True),
        ("", "", True),
        (".*", ".env", True),
        ("*", ".env", True),
        ("[b-a]", "b", False),
    ],
)
def test_as_go_says(pattern, name, matches):
    assert matcher(pattern)(name) is matches


@pytest.mark.parametrize(
    "pattern", ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "a[", "a\\"]
)
def test_what_is_no_pattern_is_said(pattern):
    with pytest.raises(UsageError, match="is no pattern"):
        matcher(pattern)


def test_many_stars_cost_no_time():
    assert matcher("*a" * 30 + "b")("a" * 5000) is False


def test_escapes_are_no_wildcards():
    assert is_wild("a[b")
    assert not is_wild("a\\[b")
    assert literal("a\\[b\\\\") == "a[b\\"
