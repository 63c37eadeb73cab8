"""However many mistakes a Buildfile has, each is told once, in its line; and nothing else is."""

import re

from hypothesis import event, given, settings
from support.buildfile import read
from support.faulty import MARK, buildfiles, told

from buildgraph.errors import ErrorGroup
from buildgraph.fs.pattern import parse_all

SAID_ALREADY = ("wrong-type", "wrong-value")
"""The message itself says what would be right."""


@settings(max_examples=300, deadline=None)
@given(buildfiles())
def test_every_mistake_is_told_once_in_its_line(text):
    try:
        read(text, head="", glob=lambda pattern: parse_all((pattern,)))
        errors = ()
    except ErrorGroup as group:
        errors = group.errors
    found = [(error.where.line, error.code) for error in errors]
    assert sorted(found) == told(text)
    assert [line for line, _ in found] == sorted(line for line, _ in found)
    lines = text.split("\n")
    for error in errors:
        line = lines[error.where.line - 1].strip()
        assert line.startswith(error.where.excerpt.rstrip("…"))
        assert re.search(MARK, line)
        assert error.hint or error.code in SAID_ALREADY
    event(f"{min(len(found), 12)} mistakes")
