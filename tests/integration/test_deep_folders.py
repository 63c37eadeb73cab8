"""Folders deeper than Python recurses: kept, dropped, left by a command that fails, written out twice, verified."""

from contextlib import suppress

import pytest
from support.dockered import Dockered, add
from support.gitserver import Files, Repository
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.errors import BuildgraphError
from buildgraph.fs.remove import remove_tree
from buildgraph.spec import model as m

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


def test_they_come_from_a_git_repository(tmp_path, monkeypatch):
    docker = Dockered.make(tmp_path, monkeypatch)
    with Files() as web:
        repo = Repository(tmp_path / "repo", web)
        repo.commit(a="1")
        blob = repo.git("rev-parse", "HEAD:a").strip()
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},x{DEEP}/f")
        repo.git("commit", "-qm", "deep")
        repo.serve()
        docker.build(
            add(m.GitTree(f"{web.url}/r.git", "main"), to="/n"),
            outputs=(OutputSpec("local", str(tmp_path / "out")),),
        )
    assert (tmp_path / f"out/n/x{DEEP}/f").read_text() == "1"
    remove_tree(tmp_path / "out")
