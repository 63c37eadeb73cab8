import errno
import json
import os
import signal

import pytest
from support.screen import Asked, run

from buildgraph.cli import catalog
from buildgraph.errors import (
    ContentError,
    DifferenceError,
    ErrorGroup,
    Location,
    MachineError,
    RemoteError,
    StepFailedError,
    UsageError,
)

IMPLEMENTED = sorted(name for panel in catalog.PANELS for name in panel.commands)


@pytest.mark.parametrize("command", IMPLEMENTED)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_that_shows_examples_first(command, flag):
    said = run(command, flag)
    assert said.code == 0
    assert said.out.lstrip().startswith("Examples")
    assert said.out.index("Examples") < said.out.index("Usage:")
    assert f"buildgraph {command}" in said.out


@pytest.mark.parametrize("columns", ["60", "80", "100"])
def test_an_example_is_one_line_if_the_terminal_allows_it(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = [line.rstrip() for line in run("pull", "-h").out.splitlines()]
    first = "   buildgraph pull debian:bookworm-slim"
    beside = [line for line in lines if line.startswith(f"{first}   ")]
    assert beside == ([] if columns != "100" else [lines[1]])
    assert lines[1] == first or beside
    one = "   buildgraph pull --platform linux/arm64 debian:bookworm-slim"
    assert any(line.startswith(one) for line in lines) == (columns != "60")


@pytest.mark.parametrize("command", ["deps", "rdeps", "path"])
def test_subcommands_have_help(command):
    assert "Examples" in run("query", command, "-h").out


def test_version_stands_before_and_after_a_command():
    assert run("--version").out == run("build", "--version").out
    assert run("--version").out.startswith("buildgraph 0")


def test_without_a_command_the_overview_is_shown():
    said = run()
    assert (said.code, said.out, "Usage: buildgraph" in said.err) == (2, "", True)
    assert "Usage: buildgraph" in run("-h").out


@pytest.mark.parametrize("command", sorted(catalog.LATER))
@pytest.mark.parametrize("rest", [(), ("-h",), ("-x", "y")])
def test_a_later_command_says_so(command, rest):
    said = run(command, *rest)
    assert said.code == 2
    assert "error[unsupported]" in said.err
    assert f"buildgraph {command}" in said.err


@pytest.mark.parametrize("command", sorted(catalog.LATER))
def test_a_later_command_is_not_listed(command):
    listed = {line.split()[0] for line in run("-h").out.splitlines() if line.strip()}
    assert command not in listed


@pytest.mark.parametrize(("option", "takes_value"), catalog.LATER_OPTIONS.items())
def test_a_later_option_of_build_says_so(option, takes_value):
    said = run("build", option, *(["x"] if takes_value else []))
    assert said.code == 2
    assert f"{option} is not supported yet" in said.err
    assert option not in run("build", "-h").out.split()


def test_a_later_option_is_refused_whatever_else_is_wrong():
    assert run("cache", "export").code == 2


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("biuld",), "did you mean build?"),
        (("query", "dep"), "deps"),
        (("build", "--metadta-file", "x"), "did you mean --metadata-file"),
        (("cache", "gcc"), "did you mean gc?"),
    ],
)
def test_near_names_are_suggested(words, near):
    said = run(*words)
    assert said.code == 2
    assert near in said.err


def test_hidden_options_are_not_suggested():
    assert "--watch" not in run("build", "--watc").err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StepFailedError("step-failed", "m"), 1),
        (ContentError("bad", "m"), 1),
        (UsageError("bad", "m"), 2),
        (MachineError("bad", "m"), 3),
        (RemoteError("bad", "m"), 4),
        (DifferenceError("bad", "m"), 5),
        (ErrorGroup([UsageError("a", "one"), UsageError("b", "two")]), 2),
        (OSError(errno.ENOSPC, "x", "/some/file"), 3),
        (PermissionError(errno.EACCES, "x", b"/some/\xff"), 3),
        (MemoryError(), 3),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(monkeypatch, error, code):
    def fail(*_args, **_kwargs):
        raise error

    Asked().replace(monkeypatch, check=fail)
    said = run("check")
    assert said.code == code
    if code != 130:
        assert said.err.startswith("error[")


def test_sigterm_ends_with_143_and_handlers_are_put_back(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    Asked().replace(monkeypatch, check=lambda _request: os.kill(os.getpid(), signal.SIGTERM))
    assert run("check").code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_internal_mistake_shows_where(monkeypatch):
    Asked().replace(monkeypatch, check=lambda _request: {}["gone"])
    said = run("check")
    assert "error[internal]: KeyError: 'gone'" in said.err
    assert "test_app.py" in said.err


def test_errors_are_events_in_json(monkeypatch):
    where = Location("Buildfile.toml", 3, "x = 1")

    def fail(_request):
        raise ErrorGroup([UsageError("one", "a", where=where, hint="h"), UsageError("two", "b")])

    Asked().replace(monkeypatch, check=fail)
    lines = [json.loads(line) for line in run("--progress", "json", "check").err.splitlines()]
    assert [(line["event"], line["code"]) for line in lines] == [("error", "one"), ("error", "two")]
    assert (lines[0]["file"], lines[0]["line"], lines[0]["hint"]) == ("Buildfile.toml", 3, "h")


def test_common_options_stand_before_and_after_the_command(monkeypatch, tmp_path):
    asked = Asked().replace(monkeypatch, check=())
    before = os.getcwd()
    try:
        run("-C", str(tmp_path), "--home", "/h1", "check", "--home", "/h2", "-f", "x.toml")
    finally:
        os.chdir(before)
    assert asked.request.directory == tmp_path
    assert str(asked.request.home) == "/h2"
    assert asked.request.file == tmp_path / "x.toml"


def test_home_comes_from_the_environment(monkeypatch):
    asked = Asked().replace(monkeypatch, check=())
    monkeypatch.setenv("BUILDGRAPH_HOME", "/from/env")
    run("check")
    assert str(asked.request.home) == "/from/env"


def test_a_wrong_folder():
    said = run("-C", "/nowhere", "check")
    assert (said.code, "'/nowhere'" in said.err) == (2, True)


def test_quiet_says_nothing_but_errors(monkeypatch):
    Asked().replace(monkeypatch, check=("w",))
    assert run("check").err == "warning: w\nthe Buildfile is right\n"
    assert run("--progress", "quiet", "check").err == ""
