"""What does ``--call`` tell of a Dockerfile? Its warnings, the arguments that it takes, its stages; nothing is built.

No registry is asked: what only the config of a base could tell is told of those that are known here.
"""

import json
import os
from base64 import b64encode
from contextlib import ExitStack
from typing import Literal

from buildgraph.build.dockerinput import ignore_lines, open_input
from buildgraph.build.dockerknown import known_configs
from buildgraph.build.dockerworkspace import dockerfile_text, options_of
from buildgraph.build.observing import unheard
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
        given = open_input(request, asked, unheard, undo)
        facts = Facts(os.fsencode(given.root))
        text = dockerfile_text(given, facts)
        file = given.shown
        options = options_of(request, asked, facts, unheard, undo)
        match name:
            case "check":
                ignore = ignore_lines(given, facts)
                configs = known_configs(request, asked, given, facts, options, text)
                reached = bool(asked.target)
                report = check(text, options, configs, ignore=ignore, file=file, reached=reached)
                return _reported(report, text, file, as_json=as_json)
            case "outline":
                found = outline(text, options, file=file)
                sources = {"sources": [_encoded(text)]}
                return Called(_json(found.document() | sources) if as_json else found.text())
            case "targets":
                stages = targets(text, file=file)
                document = targets_document(stages) | {"sources": [_encoded(text)]}
                return Called(_json(document) if as_json else targets_text(stages))


def _reported(report: Report, text: bytes, file: str, *, as_json: bool) -> Called:
    source = {"filename": file, "language": "Dockerfile", "data": _encoded(text)}
    document = report_document(report) | {"sources": [source]}
    told = _json(document) if as_json else report_text(report)
    return Called(told, len(report.findings), report.error)


def _encoded(text: bytes) -> str:
    """As Go writes bytes in JSON: the lines that a location means are in there."""
    return b64encode(text).decode()


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
