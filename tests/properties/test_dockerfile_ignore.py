"""moby's ignore patterns: against a port of moby's matcher, and what may be skipped."""

import time

import pytest
from hypothesis import assume, example, given, settings
from support import ignore_oracle as oracle

from buildgraph.errors import UsageError
from buildgraph.fs.moby import Patterns


@settings(max_examples=300)
@given(oracle.PATTERNS, oracle.PATHS)
@example(["a", "!a/b", "a"], ["a/b", "a/c"])
@example(["**", "!a/b/c"], ["a/b/c", "a/b/d", "a"])
def test_as_moby(patterns, paths):
    assume(not oracle.differs(patterns))
    assert oracle.ours(patterns, paths) == oracle.theirs(patterns, paths)


@settings(max_examples=200)
@given(oracle.PATTERNS, oracle.PATHS)
def test_a_folder_that_may_be_skipped_holds_nothing_that_is_kept(patterns, paths):
    assume(oracle.ours(patterns, []) is not None)
    mine = Patterns(patterns)
    for path in paths:
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
    try:
        Patterns([pattern]).matches("/".join(["aaaa"] * 500))
    except UsageError:
        assert "[[" in pattern
    assert time.process_time() - start < 2


def test_no_pattern_of_many_different_characters_takes_long():
    letters = [chr(0x100 + at) for at in range(4000)]
    start = time.process_time()
    assert not Patterns(["**".join(letters * 3)]).matches("/".join(letters))
    assert time.process_time() - start < 2
