"""A Dockerfile may hold what moves a terminal's cursor: none of it gets there, whatever is told of the file."""

import pytest
from support.dockerfiles import Asked

from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.convert import image_config
from buildgraph.errors import UsageError

_MOVES = "\x1b[2J\x07\x9b1m\u202e\x00"
_SHOWN = r"\x1b[2J\x07\x9b1m\u202e\x00"


@pytest.mark.parametrize(
    "line",
    [
        "{0}RUN x",
        "COPY --{0}=1 a b",
        "ENV a=1 {0}",
        "COPY --from=a{0} a b",
        "RUN --mount={0}=1 x",
        "WORKDIR ${{a:?{0}}}",
        "COPY <<E x\n${{{0}\nE",
        "STOPSIGNAL {0}",
    ],
)
def test_errors_and_what_they_show_of_the_file(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        image_config(f"FROM scratch\n{line.format(_MOVES)}\n")
    error = caught.value
    assert error.where is not None
    assert _SHOWN in error.where.excerpt
    assert _SHOWN in error.message
    told = "".join((error.message, error.hint, error.where.excerpt.replace("\n", "")))
    assert told.isprintable()


def test_warnings() -> None:
    report = check(f'FROM scratch\nENV KEY_{_MOVES}_KEY="a b"\n')
    assert [_SHOWN in found.message for found in report.findings] == [True]


def test_titles_of_steps() -> None:
    [title] = Asked(f"FROM box\nRUN echo\ta{_MOVES}\n").titles
    assert title == f"[2/2] RUN echo a{_SHOWN}"
