"""The build checks of a stage whose base nobody has told of: what hangs on it is neither judged nor refused."""

import pytest

from buildgraph.dockerfile.check import check


def test_without_the_bases_config_no_variable_is_undefined():
    assert check("FROM box\nCOPY $foo .\n").findings == ()


@pytest.mark.parametrize(
    "line",
    [
        "WORKDIR $D",
        'WORKDIR "${HOME}"/',
        "STOPSIGNAL $S",
        "EXPOSE ${P}-2/x",
        "RUN --mount=type=cache,target=/x,uid=$U x",
        "COPY $D .",
    ],
)
def test_what_hangs_on_a_base_that_is_not_known_is_not_judged(line):
    for before in ("", "ENV D=$HOME S=$HOME P=$HOME U=$HOME\n", "ARG D=$B S=$B P=$B U=$B\n"):
        text = f"FROM box AS a\n{before}FROM a\n{line}\n"
        report = check(text, ignore=["*"])
        assert (report.findings, report.error) == ((), None)
        report = check(text.replace("box", "scratch"), ignore=["*"])
        assert report.findings or report.error


def test_what_does_not_hang_on_it_is():
    text = "FROM box\nENV D=$HOME\nENV D=x\nWORKDIR $D\n"
    assert [finding.rule.name for finding in check(text).findings] == ["WorkdirRelativePath"]


@pytest.mark.parametrize(
    "line",
    [
        "WORKDIR /${V:?}",
        "EXPOSE ${V?why}",
        "ENV A=${V:?${W:?}}",
        "ARG V\nENV A=x$V\nUSER ${V:?}",
        "ENV V=$B\nLABEL a=${V:?}",
        "COPY <<E /x\n${V:?}\nE",
        "RUN --mount=type=cache,target=${V:?} x",
    ],
)
def test_what_must_be_given_may_be_given_by_a_base_that_is_not_known(line):
    for text in (f"FROM box\n{line}\n", f"FROM box AS a\nENV W=1\nFROM a\n{line}\n"):
        assert check(text).error is None
        error = check(text.replace("box", "scratch")).error
        assert error is not None
        assert error.code == "variable-required"


def test_what_is_empty_for_certain_is_told_without_the_base():
    for before in ("ENV V=\n", "ENV V=$B\nENV V=\n"):
        error = check(f"FROM box\n{before}WORKDIR /${{V:?}}\n").error
        assert error is not None
        assert error.code == "variable-required"
    assert check("FROM box\nENV V=\nWORKDIR /${V?}\n").error is None
