"""``--keep-git-dir``: what is kept is a repository, and the same for every clone."""

import os
import subprocess
from functools import partial

import pytest
from support.dockered import Dockered, add
from support.gitserver import Files, Repository

from buildgraph.build.request import OutputSpec
from buildgraph.spec import model as m

SAFE = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


@pytest.fixture
def web():
    with Files() as web:
        yield web


@pytest.fixture
def repo(tmp_path, web):
    return Repository(tmp_path / "repo", web)


def test_a_repository_s_own_folder_is_the_same_for_every_clone(tmp_path, monkeypatch, web, repo):
    inner = Repository(tmp_path / "inner", web)
    inner.commit(i="inner")
    inner.serve("inner.git")
    repo.commit(a="1", big="x" * 200_000)
    repo.git("submodule", "add", "-q", "--", f"{web.url}/inner.git", "sub")
    commit = repo.commit(a="2")
    url = web.url.replace("//", "//me:secret@")
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        clone = Dockered.make(tmp_path / name, monkeypatch)
        tree = m.GitTree(f"{url}/r.git", "main", keep_git_dir=True)
        summary = clone.build(
            add(tree, to="/n"), outputs=(OutputSpec("local", f"{clone.folder}/out"),)
        )
        made.append(summary.images[0].digest)
        (tmp_path / "repo/unrelated").write_text(name)
        repo.git("update-ref", "refs/heads/other", repo.commit(unrelated=name))
        repo.git("reset", "-q", "--hard", commit)  # packed otherwise, with more in it
        repo.serve()
    assert made[0] == made[1]
    out = clone.folder / "out/n"
    told = partial(subprocess.check_output, text=True, cwd=out, env={**os.environ, **SAFE})
    assert told(["git", "rev-parse", "HEAD"]).strip() == commit
    assert told(["git", "fsck", "--full", "--strict"]) == ""
    assert told(["git", "status", "--porcelain"]) == ""
    assert told(["git", "submodule", "status"]).startswith(" ")
    assert told(["git", "log", "--format=%H"]).split() == [commit]
    assert "secret" not in "".join(p.read_text() for p in out.rglob("config"))
    names = {p.name for p in (out / ".git").iterdir()}
    assert names == {"HEAD", "config", "index", "modules", "objects", "refs", "shallow"}
