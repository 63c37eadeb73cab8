"""Folders deeper than Python recurses: kept, dropped, left by a command that fails, written out twice, verified."""

from contextlib import suppress

import pytest
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.errors import BuildgraphError
from buildgraph.fs.remove import remove_tree

DEEP = "/d" * 1000
STEPS = f"""
[step.kept]
on = ["box"]
run = "mkdir -p /kept{DEEP}"
[step.dropped]
on = ["box"]
run = "mkdir -p /dropped{DEEP}; echo 1 > /one"
outputs = ["/one"]
[step.failed]
on = ["box"]
run = "mkdir -p /failed{DEEP}; false"
[image.i]
on = ["kept", "dropped"]
"""


@pytest.fixture
def space(tmp_path):
    yield Workspace.make(tmp_path).base()
    for name in ("out", "home"):  # pytest itself recurses
        with suppress(FileNotFoundError):
            remove_tree(tmp_path / name)


def test_they_come_and_go(space, tmp_path):
    space.buildfile(STEPS)
    with pytest.raises(BuildgraphError) as failed:
        space.build("failed")
    assert failed.value.code == "step-failed"
    for _ in range(2):
        space.build("i", outputs=(OutputSpec("local", str(tmp_path / "out")),))
    assert (tmp_path / "out" / "one").read_text() == "1\n"
    assert (tmp_path / "out" / f"kept{DEEP}").is_dir()
    assert cache_verify(space.home).damaged == ()
    assert list((space.home / "tmp").iterdir()) == []
