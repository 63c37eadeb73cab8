"""Buildfiles in strings: the model of one, or what is wrong with it."""

import textwrap
from pathlib import Path
from typing import Any

from buildgraph.errors import ErrorGroup
from buildgraph.names import Platform
from buildgraph.spec.gitfacts import GitFacts
from buildgraph.spec.load import Loaded, load
from buildgraph.spec.model import Model

GIT = GitFacts(
    "0123456789abcdef0123456789abcdef01234567", "0123456", "main", "v1", True, 1700000000
)
HEAD = 'buildfile = 1\n[workspace]\nname = "shop"\n[base.box]\nlayout = "box:latest"\n'


def read(document: str, *, head: str = HEAD, **given: Any) -> Loaded:
    """``head`` brings the base ``box``; nothing exists in the context unless ``paths`` says so."""
    paths = set(given.pop("paths", ()))
    defaults: dict[str, Any] = {
        "environ": {},
        "git": GIT,
        "machine": Platform("linux", "amd64"),
        "exists": paths.__contains__,
    }
    content = given.pop("text", None)
    if content is None:
        content = (head + textwrap.dedent(document)).encode()
    return load(Path("/shop/Buildfile.toml"), content, **(defaults | given))


def model(text: str, **given: Any) -> Model:
    return read(text, **given).model


def mistakes(text: str, **given: Any) -> list[str]:
    """``code: message`` of every mistake, in order; empty when there is none."""
    try:
        read(text, **given)
    except ErrorGroup as group:
        return [f"{error.code}: {error.message}" for error in group.errors]
    return []


def codes(text: str, **given: Any) -> list[str]:
    return [line.partition(":")[0] for line in mistakes(text, **given)]


def rendered(text: str, **given: Any) -> str:
    try:
        read(text, **given)
    except ErrorGroup as group:
        return group.render()
    return "(no mistake)"
