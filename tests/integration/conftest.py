"""What many tests start, and what must be ended when they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.badregistry import BadRegistry
from support.packed import PackedImage
from support.program import Program
from support.registry import Registry, running
from support.remotebase import base, push
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


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def image(tmp_path: Path, registry: Registry) -> PackedImage:
    """A base at ``base/os:1`` of the registry, which forgets that it was pushed."""
    made = base(tmp_path / "base")
    push(registry, "base/os", "1", made)
    registry.forget()
    return made
