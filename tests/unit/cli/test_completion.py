from types import SimpleNamespace as Row

import pytest
from support.screen import Asked, run


@pytest.fixture
def completed(monkeypatch):
    """What bash is told for a line of which the last word is being typed."""

    def complete(line, shell="bash"):
        words = line.split(" ")
        monkeypatch.setenv("_BUILDGRAPH_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        said = run()
        assert said.err == ""
        return said.out.splitlines()

    return complete


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script(shell):
    assert "_BUILDGRAPH_COMPLETE" in run("completion", shell).out


def test_fish_shows_descriptions_to_their_end():
    assert 'string split -m 1 "," $completion' in run("completion", "fish").out


def test_target_names(monkeypatch, completed):
    Asked().replace(monkeypatch, list_targets=[Row(name="api"), Row(name="auth"), Row(name="web")])
    assert completed("buildgraph build a") == ["plain,api", "plain,auth"]
    assert completed("buildgraph why w") == ["plain,web"]


def test_folders_where_there_is_no_such_target(monkeypatch, completed):
    Asked().replace(monkeypatch, list_targets=[Row(name="api")])
    assert completed("buildgraph build ser") == ["dir,ser"]


def test_a_broken_buildfile_does_not_break_the_prompt(monkeypatch, completed):
    Asked().replace(monkeypatch, list_targets=lambda _request: {}["x"])
    assert completed("buildgraph why a") == [""]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("buildgraph -f Do", "file,Do"),
        ("buildgraph build --iidfile x", "file,x"),
        ("buildgraph -C ser", "dir,ser"),
        ("buildgraph build --home ", "dir,"),
        ("buildgraph load -i a", "file,a"),
        ("buildgraph convert D", "file,D"),
        ("buildgraph cache import u", "dir,u"),
    ],
)
def test_files_and_folders(completed, line, told):
    assert completed(line) == [told]
