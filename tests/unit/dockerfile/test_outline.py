"""--call=targets and --call=outline: what is listed, as values, text and JSON."""

import json
from textwrap import dedent

import pytest

from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.checkreport import report_document, report_text
from buildgraph.dockerfile.options import Options
from buildgraph.dockerfile.outline import (
    outline,
    targets,
    targets_document,
    targets_text,
)
from buildgraph.errors import UsageError

ARGS = """\
ARG inherited=box
ARG inherited2=box2
ARG unused=abc${inherited2}
# sfx is a suffix
ARG sfx="usy${inherited}"

FROM b${sfx} AS first
# this is not assigned to anything
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN true

FROM alpine${unused} AS second
ARG BAZ
RUN true

FROM scratch AS third
ARG ABC=a

# target defines build target
FROM third AS target
COPY --from=first /etc/passwd /

FROM second
"""

SECRETS = """\
FROM busybox AS first
RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true

FROM alpine AS second
RUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true

FROM scratch AS third
ARG BAR
RUN --mount=type=secret,id=second${BAR} true

FROM third AS target
COPY --from=first /foo /
RUN --mount=type=ssh,id=ssh3,required true

FROM second
"""


def test_arguments_of_a_target_and_of_what_it_needs():
    found = outline(ARGS, Options(target="target", args={"BAR": "678"}))
    assert (found.name, found.description) == ("target", "defines build target")
    assert [(a.name, a.value, a.description, a.where.first) for a in found.args] == [
        ("inherited", "box", "", 1),
        ("sfx", "usybox", "is a suffix", 5),
        ("FOO", "123", "", 9),
        ("BAR", "678", "is a number", 11),
        ("ABC", "a", "", 19),
    ]
    assert found.secrets == found.ssh == ()


def test_arguments_that_come_from_before_the_first_stage():
    found = outline(
        "# A is first\nARG A=1\nARG B\nFROM scratch\nARG A\nARG B\nENV C=$A\nARG D=$C\n"
    )
    assert [(a.name, a.value, a.description, a.where.first) for a in found.args] == [
        ("A", "1", "is first", 2),
        ("B", "", "", 6),
        ("D", "1", "", 8),
    ]


def test_secrets_and_agents():
    found = outline(SECRETS, Options(target="target", args={"BAR": "678"}))
    assert [(s.name, s.required, s.where.first) for s in found.secrets] == [
        ("passwd", True, 2),
        ("second678", False, 9),
    ]
    assert [(s.name, s.required, s.where.first) for s in found.ssh] == [
        ("default", False, 2),
        ("ssh3", True, 13),
    ]


def test_an_outline_as_text():
    found = outline(SECRETS, Options(target="target", args={"BAR": "678"}))
    assert found.text() == dedent(
        """\
        TARGET: target

        BUILD ARG   VALUE   DESCRIPTION
        BAR         678

        SECRET      REQUIRED
        passwd      true
        second678

        SSH       REQUIRED
        default
        ssh3      true
        """
    )
    described = outline(ARGS, Options(target="target")).text()
    assert described.startswith("TARGET:      target\nDESCRIPTION: defines build target\n\n")


def test_an_outline_as_json():
    document = outline(SECRETS, Options(target="third")).document()
    assert json.loads(json.dumps(document)) == {
        "name": "third",
        "args": [
            {"name": "BAR", "location": {"ranges": [{"start": {"line": 8}, "end": {"line": 8}}]}}
        ],
        "secrets": [
            {"name": "second", "location": {"ranges": [{"start": {"line": 9}, "end": {"line": 9}}]}}
        ],
    }


STAGES = """\
# base is where all begins
FROM --platform=$BUILDPLATFORM box AS base
FROM base
# last is the end
FROM base AS last
"""


def test_targets():
    found = targets(STAGES)
    assert [(t.name, t.base, t.description, t.default) for t in found] == [
        ("base", "box", "is where all begins", False),
        ("", "base", "", False),
        ("last", "base", "is the end", True),
    ]
    assert targets_text(found) == dedent(
        """\
        TARGET         DESCRIPTION
        base           is where all begins
        1
        last (default) is the end
        """
    )
    assert targets_text(targets("FROM box\n")).splitlines()[1] == "(default)"
    assert targets_document(found)["targets"][0] == {
        "name": "base",
        "description": "is where all begins",
        "base": "box",
        "platform": "$BUILDPLATFORM",
        "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
    }


def test_a_target_that_is_not_there():
    with pytest.raises(UsageError) as caught:
        outline(STAGES, Options(target="lst"))
    assert caught.value.code == "unknown-stage"


def test_a_report_as_text_and_json():
    assert report_text(check("FROM scratch\nCMD a\n\nRUN x\n")) == dedent(
        """\
        Check complete, 1 warning has been found!

        WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
        JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
        Dockerfile:2
        --------------------
           1 |     FROM scratch
           2 | >>> CMD a
           3 |
           4 |     RUN x
        --------------------
        """
    )
    assert report_text(check("FROM scratch\n")) == "Check complete, no warnings found.\n"
    document = report_document(check("FROM scratch AS A\nBAD\n"))
    assert document["warnings"][0]["ruleName"] == "StageNameCasing"
    assert document["buildError"]["location"] == {
        "ranges": [{"start": {"line": 2}, "end": {"line": 2}}]
    }


def test_a_check_that_only_fails_is_not_complete():
    assert report_text(check("FROM scratch\nCMDD x\n")) == ""
    assert report_text(check("FROM scratch\nMAINTAINER x\nCMDD x\n")).startswith(
        "Check complete, 1"
    )


def test_a_comment_describes_a_stage_by_its_name_in_small_letters():
    found = targets("# Base is a sentence\nFROM box AS Base\n# other is it\nFROM box AS Other\n")
    assert [t.description for t in found] == ["", "is it"]
