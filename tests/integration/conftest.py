"""What many tests start, and what must be ended when they end."""

from collections.abc import Iterator

import pytest
from support.badregistry import BadRegistry
from support.program import Program
from support.workspace import Workspace


@pytest.fixture
def program(ws: Workspace) -> Iterator[Program]:
    """The program in the test's workspace; what it started ends with the test."""
    program = Program.of(ws)
    yield program
    program.end()


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    with BadRegistry() as registry:
        yield registry
