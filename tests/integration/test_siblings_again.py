"""Siblings that changed one file differently are told of by every build, also by one that runs nothing."""

import pytest
from support.program import Program
from support.workspace import Workspace

STEPS = """
[workspace]
default = ["i"]
[step.one]
on = ["box"]
run = "echo one > /opt/old"
[step.two]
on = ["box"]
run = "echo two > /opt/old"
[step.above]
on = ["box", "one", "two"]
run = "true"
"""
IMAGE = '[image.i]\non = ["box", "one", "two"]\n'


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(STEPS + IMAGE)
    return workspace


@pytest.mark.parametrize("target", ["i", "above"])
def test_a_cached_build_warns_again(ws, target):
    ws.build(target)
    assert ws.warnings() == ["merge-conflict"]
    ws.build(target)
    assert ws.ran() == set()
    assert ws.warnings() == ["merge-conflict"]


def test_a_remembered_answer_warns_again(ws):
    program = Program.of(ws)
    told = [program.run("build").stderr for _ in range(3)]
    assert [text.count("warning[merge-conflict]: one and two") for text in told] == [1, 1, 1]
    assert "up to date" in told[-1]


def test_strict_fails_what_is_cached(ws):
    ws.build("i", "above")
    strict = STEPS.replace('run = "true"\n', 'run = "true"\nmerge = "strict"\n')
    ws.buildfile(strict + IMAGE + 'merge = "strict"\n')
    for target in ("i", "above"):
        [failure] = ws.attempt(target).failures
        assert failure.code == "merge-conflict"
        assert "/opt/old" in failure.message


def test_what_stands_on_the_other_is_no_sibling(ws):
    ws.buildfile(STEPS.replace('[step.two]\non = ["box"]', '[step.two]\non = ["one"]') + IMAGE)
    ws.build("i", "above")
    assert ws.warnings() == []
