"""moby's ignore patterns: against a port of moby's matcher, and against what the characters mean, one by one."""

import re
import time

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from buildgraph.errors import UsageError
from buildgraph.fs.moby import Patterns

PIECES = st.sampled_from(
    ["a", "b", "ab", ".", "..", "*", "**", "?", "/", "/", "[ab]", "[^a]", "\\*", ".a", "***", "é"]
)
PATTERN = st.builds(
    lambda bang, pieces: bang + "".join(pieces),
    st.sampled_from(["", "", "!", "! "]),
    st.lists(PIECES, min_size=1, max_size=6),
)
PATH = st.lists(
    st.sampled_from(["a", "b", "ab", "aab", ".a", "*", "é"]), min_size=1, max_size=4
).map("/".join)


NOTHING = re.compile(r"! ?[/.]*/[/.]*")
"""The port takes ``!/`` for nothing; moby cleans it to ``!`` and refuses that."""


def ours(patterns):
    try:
        return Patterns(patterns)
    except UsageError:
        return None


def theirs(patterns):
    try:
        return PatternMatcher(patterns)
    except ValueError:
        return None


@settings(max_examples=300)
@given(st.lists(PATTERN, max_size=5), st.lists(PATH, min_size=1, max_size=6))
@example(["a", "!a/b", "a"], ["a/b", "a/c"])
@example(["**", "!a/b/c"], ["a/b/c", "a/b/d", "a"])
def test_as_moby(patterns, paths):
    assume(not any(NOTHING.fullmatch(pattern) for pattern in patterns))
    mine, port = ours(patterns), theirs(patterns)
    assert (mine is None) == (port is None)
    if mine is not None and port is not None:
        for path in paths:
            assert mine.matches(path) == port.matches(path), path


@settings(max_examples=200)
@given(st.lists(PATTERN, max_size=4), st.lists(PATH, min_size=1, max_size=6))
def test_a_folder_that_may_be_skipped_holds_nothing_that_is_kept(patterns, paths):
    mine = ours(patterns)
    for path in paths if mine is not None else ():
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if not mine.may_contain(above):
                assert mine.matches(path)


@pytest.mark.parametrize(
    "pattern", ["**/" * 2000 + "x", "*a" * 2000, "a**" * 500 + "b", "[" * 3000, "[a-z]" * 2000]
)
def test_no_pattern_takes_long(pattern):
    start = time.process_time()
    matcher = ours([pattern])
    if matcher is not None:
        matcher.matches("/".join(["aaaa"] * 500))
    assert time.process_time() - start < 2
