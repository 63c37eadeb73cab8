"""Which remote caches a build uses: those of the command line, else of the environment, else of the Buildfile."""

from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from buildgraph.build.elsewhere import cache_urls
from buildgraph.errors import ErrorGroup
from buildgraph.spec.cacheurl import parse


def session(asked=None, named=None, written=()):
    return SimpleNamespace(
        request=SimpleNamespace(
            caches=asked,
            environ={} if named is None else {"BUILDGRAPH_CACHE": named},
            directory=Path("/here"),
        ),
        workspace=SimpleNamespace(
            root=Path("/root"),
            model=SimpleNamespace(workspace=SimpleNamespace(caches=tuple(map(parse, written)))),
        ),
    )


@pytest.mark.parametrize(
    ("asked", "named", "written"),
    list(
        product(
            (None, (), (parse("file:///asked"),)),
            (None, "", " ", "file://named"),
            ((), ("file://written",)),
        )
    ),
)
def test_the_nearest_word_counts_alone(asked, named, written):
    expected = ["file:///root/written"] if written else []
    if named and named.strip():
        expected = ["file:///here/named"]
    if asked is not None:
        expected = [str(url) for url in asked]
    assert [str(url) for url in cache_urls(session(asked, named, written))] == expected


def test_all_that_is_wrong_in_the_variable_is_told_as_its():
    with pytest.raises(ErrorGroup) as raised:
        cache_urls(session(named="ftp://x file:///ok s3://bucket file:///c?mode=wr"))
    found = raised.value.errors
    assert [error.code for error in found] == ["bad-cache-url", "unsupported", "bad-cache-url"]
    assert all(error.message.startswith("BUILDGRAPH_CACHE: ") and error.hint for error in found)
