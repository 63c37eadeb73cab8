"""``--progress json``: one event a line, as ``docs/reference/events.md`` lists them."""

import json
import re
import time
from collections.abc import Callable
from typing import TextIO

from buildgraph.errors import BuildgraphError, ErrorGroup
from buildgraph.events import Event

SCHEMA = 1

_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])")


def name_of(event: type) -> str:
    """``StepStarted`` → ``step-started``."""
    return _BORDER.sub("-", event.__name__).lower()


def line(event: Event, now: float) -> str:
    """Fields in the order of the class, after ``schema``, ``time`` (seconds since 1970) and ``event``."""
    document: dict[str, object] = {
        "schema": SCHEMA,
        "time": round(now, 3),
        "event": name_of(type(event)),
    }
    for name in event.__match_args__:
        value = getattr(event, name)
        keyed = name == "steps" and value != 0 and hasattr(value, "items")
        document[name] = dict(value) if keyed else value
    return json.dumps(document)


def error_lines(error: BuildgraphError, now: float) -> list[str]:
    """An error that ended the program, as ``error`` events: one for each error of a group."""
    if isinstance(error, ErrorGroup):
        return [text for each in error.errors for text in error_lines(each, now)]
    where = error.where
    document = {
        "schema": SCHEMA,
        "time": round(now, 3),
        "event": "error",
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "detail": list(error.detail),
        "file": where.file if where else "",
        "line": where.line if where else 0,
        "exit_code": error.exit_code,
    }
    return [json.dumps(document)]


class Lines:
    """An observer that writes each event at once, so that a reader can follow."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._clock = clock

    def __call__(self, event: Event) -> None:
        self._stream.write(line(event, self._clock()) + "\n")
        self._stream.flush()
