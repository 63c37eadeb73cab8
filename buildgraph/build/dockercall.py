"""What does ``--call`` tell of a Dockerfile? Its warnings, the arguments that it takes, its stages; nothing is built.

No image is asked for: what only the config of a base could tell is not told.
"""

import json
import os
from contextlib import ExitStack
from typing import Literal

from buildgraph.build.dockerinput import ignore_lines, open_input
from buildgraph.build.dockerworkspace import dockerfile_text, options_of
from buildgraph.build.request import DockerRequest, Request
from buildgraph.dockerfile.check import Report, check
from buildgraph.dockerfile.checkreport import report_document, report_text
from buildgraph.dockerfile.outline import outline, targets, targets_document, targets_text
from buildgraph.errors import UsageError
from buildgraph.fs.facts import Facts
from buildgraph.values import dataclass

Call = Literal["check", "outline", "targets"]


@dataclass(frozen=True, slots=True)
class Called:
    """``text`` is what to print; ``error`` what keeps the file from being built; ``warnings`` how many were found."""

    text: str
    warnings: int = 0
    error: UsageError | None = None


def call(request: Request, asked: DockerRequest, name: Call, *, as_json: bool) -> Called:
    """Raises UsageError, but for ``check``, which tells it."""
    with ExitStack() as undo:
        given = open_input(request, asked, undo)
        facts = Facts(os.fsencode(given.root))
        text = dockerfile_text(given, facts)
        file = given.shown
        options = options_of(request, asked, facts, undo)
        match name:
            case "check":
                ignore = ignore_lines(given, facts)
                report = check(text, options, ignore=ignore, file=file, reached=bool(asked.target))
                return _reported(report, as_json=as_json)
            case "outline":
                found = outline(text, options, file=file)
                return Called(_json(found.document()) if as_json else found.text())
            case "targets":
                stages = targets(text, file=file)
                document = targets_document(stages)
                return Called(_json(document) if as_json else targets_text(stages))


def _reported(report: Report, *, as_json: bool) -> Called:
    text = _json(report_document(report)) if as_json else report_text(report)
    return Called(text, len(report.findings), report.error)


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
