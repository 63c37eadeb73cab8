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


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**", "file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "dir", False),
        ("**/dir", "dir", True),
        ("**/dir", "dir/file", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir2", False),
        ("**/dir2/**", "dir/dir2/dir3/file", True),
        ("**file", "file", True),
        ("**file", "dir/afile", True),
        ("**file*", "dir/file.txt", True),
        ("**file*", "dir/afile.txt", False),
        ("**/file*.txt*", "dir/dir/file.txt", True),
        ("**/**/*.txt", "file.txt", True),
        ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a**/*.txt", "a.txt", True),
        ("a**/*.txt", "ab.c/x.txt", True),
        ("a**", "abc/d", True),
        ("a**b", "ab", True),
        ("a**b", "ax/y/b", True),
        ("a**b", "axb", False),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("a[b-d]e", "ae", False),
        ("a[^b-d]e", "aze", True),
        ("a[^b]c", "a/c", True),
        (".*", ".foo", True),
        (".*", "foo", False),
        ("**/.foo", "bar.foo", False),
        ("a(b)c/def", "a(b)c/def", True),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("a\\\\", "a\\", True),
        ("[\\]a]", "]", True),
        ("***", "a/b", True),
        ("/", "a", False),
        ("../a", "a", False),
        ("a/../../b", "b", False),
        ("a\\/b", "a/b", True),
    ],
)
def test_as_moby_says(pattern, path, matches):
    assert Patterns([pattern]).matches(path) is matches


@pytest.mark.parametrize(
    ("lines", "kept", "gone"),
    [
        (["**", "!a/b/c"], ["a/b/c", "a/b/c/d"], ["a", "a/b", "a/x", "x"]),
        (["*", "!src", "src/*.o", "!src/keep.o"], ["src/a.c", "src/keep.o"], ["x", "src/a.o"]),
        (["docs", "!docs/README.md"], ["docs/README.md"], ["docs", "docs/x"]),
        (["a", "!a/b", "a/b/c", "!a/b/c/d"], ["a/b", "a/b/x", "a/b/c/d"], ["a", "a/b/c"]),
        (["a", "!a/b", "a"], ["a/b"], ["a", "a/c"]),
        (["*.md", "!README*.md", "README-secret.md"], ["README.md"], ["README-secret.md", "x.md"]),
        (["sub/*", "!sub/Dockerfile"], ["Dockerfile", "sub/Dockerfile"], ["sub/x"]),
    ],
)
def test_later_lines_decide(lines, kept, gone):
    patterns = Patterns.of_lines(lines)
    assert [path for path in kept if patterns.matches(path)] == []
    assert [path for path in gone if not patterns.matches(path)] == []


def test_the_text_of_an_ignore_file():
    patterns = Patterns.of_text("\ufeff# none\r\n  a \r\n #b\r\n\r\n! /c/\r\n")
    assert patterns.matches("a")
    assert patterns.matches("#b")
    assert patterns.reopens


@pytest.mark.parametrize(
    "text", ["!", "! ", "!/", "!//", "[", "a[", "[]a]", "[-]", "[x-]", "\\", "a[z-a]"]
)
def test_wrong_lines_fail(text):
    with pytest.raises(UsageError) as caught:
        Patterns.of_text(text)
    assert caught.value.code == "bad-pattern"


def test_a_line_is_no_longer_than_moby_reads():
    assert Patterns.of_text("x" * 65_535 + "\na").matches("a")
    for long in ("x" * 65_536, "é" * 32_768):
        with pytest.raises(UsageError, match="longer than 65,535 bytes"):
            Patterns.of_text(long)


def test_folders_that_need_not_be_looked_into():
    patterns = Patterns(["*", "!a/b", "!**/keep/x"])
    assert patterns.may_contain("a")
    assert patterns.may_contain("z")
    assert not Patterns(["*", "!a/b"]).may_contain("z")
    assert not Patterns(["*", "!a/b"]).may_contain("a/c")
    assert Patterns(["*", "!a/b"]).may_contain("a/b")
    assert not Patterns(["!a/b", "*"]).may_contain("a")
    assert Patterns(["x"]).may_contain("a")
