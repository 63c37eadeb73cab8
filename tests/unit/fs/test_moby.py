import pytest

from buildgraph.errors import UsageError
from buildgraph.fs.moby import Patterns


@pytest.mark.parametrize(
    ("lines", "path", "matches"),
    [
        (["a"], "a", True),
        (["a"], "a/b/c", True),
        (["a"], "b/a", False),
        (["/a/"], "a/b", True),
        (["./a"], "a", True),
        (["*.go"], "x.go", True),
        (["*.go"], "d/x.go", False),
        (["**/*.go"], "x.go", True),
        (["**/*.go"], "d/e/x.go", True),
        (["a/**"], "a/b/c", True),
        (["a/**"], "a", False),
        (["a/**/b"], "a/b", True),
        (["a/**/b"], "a/x/y/b", True),
        (["**"], "anything/at/all", True),
        (["*", "!a"], "a", False),
        (["*", "!a"], "b", True),
        (["*", "!a/b"], "a/b/c", False),
        (["*", "!a/b"], "a/c", True),
        (["!a", "*"], "a", True),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["a/../b"], "b", True),
        (["/../b"], "b", True),
        (["a?c"], "abc", True),
        (["a[b-d]c"], "acc", True),
        (["a\\*"], "a*", True),
        (["a\\*"], "ab", False),
        (["a.c"], "abc", False),
        (["a+(b)"], "a+(b)", True),
        (["", "  ", "# x", "#x"], "#x", False),
        (["  a  "], "a", True),
        (["."], "a", False),
        (["ä*"], "ärger", True),
    ],
)
def test_what_is_meant(lines, path, matches):
    assert Patterns.of_lines(lines).matches(path) is matches


def test_patterns_that_are_none():
    for line in ("!", "a[", "!  "):
        with pytest.raises(UsageError):
            Patterns([line])
    assert not Patterns.of_lines(["# nothing", ""])
    assert Patterns(["#x"]).matches("#x")


def test_taking_back_is_known():
    assert Patterns(["*", "!a"]).reopens
    assert not Patterns(["*"]).reopens
