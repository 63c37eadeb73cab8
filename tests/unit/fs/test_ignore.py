import time

import pytest

from buildgraph.errors import UsageError
from buildgraph.fs.ignore import Globs

MATCHES = [
    ("src", "src"),
    ("src", "src/a/b.py"),
    ("src/", "src/a"),
    ("/src", "src/a"),
    ("./src//a", "src/a"),
    (".", "anything/at/all"),
    ("**", "anything/at/all"),
    ("src/**", "src/a/b.py"),
    ("**/b.py", "b.py"),
    ("**/b.py", "src/a/b.py"),
    ("a/**/b", "a/b"),
    ("a/**/b", "a/x/y/b"),
    ("a/**/b", "a/x/b/y/b/inside"),
    ("**/**/b", "x/b"),
    ("*", ".hidden"),
    ("*.py", "a.py"),
    ("*.py", ".py"),
    ("test*", "test"),
    ("a*b*c", "axxbyybzzc"),
    ("a?c", "aéc"),
    ("[a-c]x", "bx"),
    ("[!a-c]x", "dx"),
    ("[^a-c]x", "dx"),
    ("[]]x", "]x"),
    ("[a-]x", "-x"),
    ("*.{py,txt}", "a.txt"),
    ("{src,lib/{a,b}}/x", "lib/b/x"),
    ("{src,}x", "x"),
    ("{one}", "{one}"),
    (r"\{a,b\}", "{a,b}"),
    (r"\*", "*"),
    (r"\!x", "!x"),
    (r"a\[b]", "a[b]"),
    ("a**b", "axxb"),
    ("line\nbreak*", "line\nbreak\nx"),
    ("[\n]", "\n"),
    ("*é?", "xé\udcff"),
]
DIFFERS = [
    ("src", "srcs"),
    ("src", "x/src"),
    ("src/", "src"),
    ("*.py", "src/a.py"),
    ("src/*", "src"),
    ("src/**", "src"),
    ("a?c", "ac"),
    ("a?c", "a/c"),
    ("a*c", "a/c"),
    ("[a-c]x", "dx"),
    ("[!a]x", "ax"),
    ("a*b*c", "axxcyyb"),
    ("SRC", "src"),
    ("a/**/b", "b"),
    (r"\*", "x"),
]


def matches(pattern: str, path: str) -> bool:
    return Globs.compile([pattern]).matches(path.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(("pattern", "path"), MATCHES)
def test_matches(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(("pattern", "path"), DIFFERS)
def test_does_not_match(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "empty"),
        ("../x", ".."),
        ("a/../b", ".."),
        ("a[b", "never closed"),
        ("a{b,c", "never closed"),
        ("[z-a]", "wrong way round"),
        ("!a", "begins with '!'"),
        ("{a,b,c,d,e,f,g,h,i,j}" * 4, "alternatives"),
    ],
)
def test_names_a_pattern_that_cannot_be_used(pattern: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Globs.compile(["ok", pattern])
    assert caught.value.code == "bad-glob"
    assert repr(pattern) in caught.value.message
    assert why in caught.value.message
    assert caught.value.hint


def test_nothing_included_is_everything() -> None:
    globs = Globs.compile([], ["**/*_test.py", "build"])
    assert globs.matches(b"a/b.py")
    assert not globs.matches(b"a/b_test.py")
    assert not globs.matches(b"build", is_dir=True)
    assert not globs.matches(b"build/x/y")


def test_exclude_wins() -> None:
    globs = Globs.compile(["src/keep.py"], ["src"])
    assert not globs.matches(b"src/keep.py")
    assert not globs.may_contain(b"src")


def test_excluding_all_below_keeps_the_folder() -> None:
    globs = Globs.compile([], ["logs/**"])
    assert globs.matches(b"logs", is_dir=True)
    assert not globs.matches(b"logs/x")


def test_folders_only() -> None:
    globs = Globs.compile(["**/out/"])
    assert globs.matches(b"a/out", is_dir=True)
    assert not globs.matches(b"a/out")
    assert globs.matches(b"a/out/x")


def test_all_folders_below() -> None:
    globs = Globs.compile([], ["logs/**/"])
    assert globs.matches(b"logs", is_dir=True)
    assert globs.matches(b"logs/x")
    assert not globs.matches(b"logs/x", is_dir=True)
    assert not globs.matches(b"logs/x/y")
    assert Globs.compile(["**/"]).matches(b"x/y")
    assert not Globs.compile(["**/"]).matches(b"x")


def test_folders_that_cannot_hold_a_match_are_not_entered() -> None:
    globs = Globs.compile(["src/*/x", "lib"])
    assert globs.may_contain(b"")
    assert globs.may_contain(b"src/a")
    assert globs.may_contain(b"lib/deep/er")
    assert not globs.may_contain(b"docs")
    assert not globs.may_contain(b"src/a/b")


def test_a_folder_that_is_meant_as_a_whole_needs_no_comparison() -> None:
    globs = Globs.compile(["src/**"], ["docs/**"])
    assert globs.at(b"src/a").whole is False or globs.at(b"src/a") is globs.at(b"src/b")
    assert Globs.compile(["src"]).at(b"src").whole
    assert Globs.compile([]).root.whole


def test_spelled_out() -> None:
    globs = Globs.compile([".git/**", "x/*"])
    assert globs.root.names(b".git")
    assert not globs.at(b"x").names(b".git")
    assert not Globs.compile([]).root.names(b".git")


def test_deep_paths() -> None:
    assert matches("**/end", "a/" * 5000 + "end")


@pytest.mark.parametrize("pattern", ["*a" * 12 + "b", "**/a/" * 12 + "b", "**/*a*a*a*a*a*a*b/**/c"])
def test_no_pattern_takes_long(pattern: str) -> None:
    started = time.process_time()
    assert not matches(pattern, "a/" * 200 + "a" * 200 + "c")
    assert time.process_time() - started < 1
