"""Layers packed ahead are those that the usual way makes, or are thrown away."""

import os

import pytest
from support.workspace import Workspace, digests

from buildgraph.build import ahead
from buildgraph.errors import ErrorGroup
from buildgraph.execute import stacks
from buildgraph.fs import tree

DATA = """
[step.first]
dirs = { "/opt/made" = { mode = "0711" } }
[step.files]
copy = [{ from = "files", to = "/opt/files/" }, { from = "files/b", to = "/etc/b/", owner = "5:6" }]
[step.again]
copy = [{ from = "files", to = "/again/", exclude = ["b*"] }]
[image.data]
on = ["box", "first", "files", "again"]
[image.plain]
on = ["box", "files"]
compression = "none"
[step.one]
copy = [{ from = "one.txt", to = "/etc/" }]
[step.moded]
copy = [{ from = "files", to = "/moded/", mode = "go-x" }]
[image.usual]
on = ["box", "one", "moded", "again"]
"""

ONE = DATA.split("[step.again]", maxsplit=1)[0] + '[image.data]\non = ["box", "files"]\n'


@pytest.fixture
def data(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.write("one.txt", "one\n")
    workspace.write("files/a", "a\n" * 3000)
    workspace.write("files/b/c.sh", "c\n", 0o755)
    workspace.write("files/b/empty", "")
    (workspace.folder / "files/link").symlink_to("a")
    workspace.buildfile(DATA)
    return workspace


@pytest.fixture
def used(monkeypatch):
    """What was packed ahead and taken, or refused."""
    found = []
    usual = stacks.Stacks._is_ready

    def watched(self, layer, codec):
        there = layer.step in self.ready
        taken = usual(self, layer, codec)
        if there:
            found.append((layer.step, taken))
        return taken

    monkeypatch.setattr(stacks.Stacks, "_is_ready", watched)
    monkeypatch.setattr(ahead, "_WORTH", 0)
    return found


def unhurried(data, tmp_path):
    """The digests of a store in which nothing is packed ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "_WORTH", 1 << 62)
        return digests(Workspace(data.folder, tmp_path / "other").build())


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """As the console command is; here are other tests' threads."""
    monkeypatch.setattr(ahead, "has_one_thread", lambda: True)


def test_the_digests_are_the_same(data, used, tmp_path):
    assert digests(data.build()) == unhurried(data, tmp_path)
    assert ("step:files", True) in used
    assert ("step:again", True) in used
    assert {step for step, _ in used} == {"step:files", "step:again"}
    assert data.ran() == {"first", "files", "again", "one", "moded"}
    data.build()
    assert data.ran() == set()
    used.clear()
    data.write("files/a", "changed\n")  # the step has a past now
    assert digests(data.build()) == unhurried(data, tmp_path / "more")
    assert used == []


def test_a_wrong_guess_costs_time_alone(data, used, tmp_path, monkeypatch):
    laid = ahead._laid

    def wrong(recipe, below):
        right = laid(recipe, below)
        return tuple(e._replace(mode=0o700) if e.kind == tree.DIRECTORY else e for e in right)

    monkeypatch.setattr(ahead, "_laid", wrong)
    assert digests(data.build()) == unhurried(data, tmp_path)
    assert ("step:files", False) in used
    assert list((data.home / "tmp").iterdir()) == []


def test_a_file_that_changes_meanwhile_is_found_again(data, used, tmp_path, monkeypatch):
    packed = ahead.pack_beside

    def edited(*args, **options):
        data.write("files/a", "new\n")
        return packed(*args, **options)

    monkeypatch.setattr(ahead, "pack_beside", edited)
    data.buildfile(ONE)
    made = digests(data.build())
    assert made == unhurried(data, tmp_path)


def test_a_file_that_changes_afterwards_is_built_next_time(data, used, tmp_path, monkeypatch):
    packed = ahead.pack_beside

    def edited(*args, **options):
        made = packed(*args, **options)
        data.write("files/a", "b\n" * 3000)
        return made

    data.buildfile(ONE)
    before = unhurried(data, tmp_path)
    monkeypatch.setattr(ahead, "pack_beside", edited)
    assert digests(data.build()) == before
    assert digests(data.build()) == unhurried(data, tmp_path / "more")
    assert digests(data.build()) != before


def test_mistakes_are_told_as_always(data, used):
    os.mkfifo(data.folder / "files/fifo")
    with pytest.raises(ErrorGroup) as caught:
        data.build()
    assert {error.code for error in caught.value.errors} == {"source-special"}
    assert all(error.where.line for error in caught.value.errors)
    assert used == []
