"""``--keep-git-dir``: what is kept is a repository, and the same for every clone."""

import os
import shutil
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
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


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


@pytest.mark.parametrize("annotated", [True, False])
def test_the_branch_or_tag_that_was_asked_for_is_kept(tmp_path, docker, web, repo, annotated):
    commit = repo.commit(a="1")
    repo.git("tag", *(("-a", "-m", "the first") if annotated else ()), "v1")
    repo.git("tag", "unasked")
    repo.serve()

    def kept(ref: str) -> list[str]:
        tree = m.GitTree(f"{web.url}/r.git", ref, keep_git_dir=True)
        docker.build(add(tree, to="/n"), outputs=(OutputSpec("local", f"{tmp_path}/out"),))
        told = partial(
            subprocess.check_output, text=True, cwd=tmp_path / "out/n", env={**os.environ, **SAFE}
        )
        assert told(["git", "rev-parse", "HEAD"]).strip() == commit
        assert told(["git", "fsck", "--full", "--strict", "--no-dangling"]) == ""
        assert not (tmp_path / "out/n/.git/logs").exists()
        lines = told(["git", "for-each-ref", "--format=%(refname) %(objecttype) %(*objectname)"])
        shutil.rmtree(tmp_path / "out")
        return lines.split()

    tag = ["refs/tags/v1", "tag", commit] if annotated else ["refs/tags/v1", "commit"]
    assert kept("v1") == kept("refs/tags/v1") == tag
    assert kept("main") == ["refs/heads/main", "commit"]
    assert kept("") == kept(commit) == []
    repo.git("tag", "-f", "-a", "-m", "the second", "v1")
    repo.serve()
    assert kept("v1") == ["refs/tags/v1", "tag", commit]


def test_another_object_of_a_tag_is_another_step(docker, web, repo):
    commit = repo.commit(a="1")
    made = []
    for message in ("one", "two"):
        repo.git("tag", "-f", "-a", "-m", message, "v1")
        repo.serve()
        for keep in (True, False):
            tree = m.GitTree(f"{web.url}/r.git", "v1", checksum=commit, keep_git_dir=keep)
            made.append(docker.build(add(tree, to="/n")).images[0].digest)
    assert made[0] != made[2]
    assert made[1] == made[3]
