"""A Dockerfile with nothing left to do is answered from memory, until something that it rests on changes."""

import os
import time
from pathlib import Path

import pytest
from support.screen import run
from support.workspace import Workspace

from buildgraph.cli import warm

WORDS = ["build", "--build-context", "box=oci-layout://box", "--build-arg", "TAKEN", "ctx"]


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workspace = Workspace.make(tmp_path).base()
    monkeypatch.chdir(workspace.folder)
    monkeypatch.delenv("BUILDGRAPH_CACHE", raising=False)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(workspace.home))
    folder = workspace.folder / "ctx"
    workspace.write("ctx/Dockerfile", "FROM box\nCOPY f* /\nRUN cat /f > /g\n")
    workspace.write("ctx/f", "1")
    workspace.write("ctx/sub/other", "1")
    for _ in range(2):
        said = run(*WORDS)
        assert said.code == 0, said.err
    return folder


def is_remembered(capfd: pytest.CaptureFixture[str]) -> bool:
    found = warm.answer(WORDS, time.monotonic())
    capfd.readouterr()
    return found


def test_nothing_changed(context: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert is_remembered(capfd)
    (context / "sub/other").write_text("2")
    assert is_remembered(capfd)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", "FROM box\nCOPY f* /\n"),
        ("f", "2"),
        ("f2", "new"),
        (".dockerignore", "f2\n"),
        ("Dockerfile.dockerignore", "f2\n"),
    ],
)
def test_a_file_changed(
    context: Path, capfd: pytest.CaptureFixture[str], path: str, text: str
) -> None:
    (context / path).write_text(text)
    assert not is_remembered(capfd)


@pytest.mark.parametrize("name", ["TAKEN", "SOURCE_DATE_EPOCH"])
def test_a_variable_changed(
    context: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "7")
    assert not is_remembered(capfd)


def test_the_base_changed(context: Path, capfd: pytest.CaptureFixture[str]) -> None:
    index = context.parent / "box/index.json"
    index.write_text(index.read_text() + " ")
    assert not is_remembered(capfd)


def test_standard_input_is_read_every_time(
    context: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["build", "-f", "-", "ctx"]
    for text in ("FROM scratch\nCOPY f /a\n", "FROM scratch\nCOPY f /b\n"):
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        with os.fdopen(read) as stream:
            monkeypatch.setattr("sys.stdin", stream)
            assert run(*words).code == 0
        assert not warm.answer(words, time.monotonic())
