"""What git says about a real repository, and which files prove that it still says so."""

import os
import subprocess

import pytest
from support.capability import require

from buildgraph.errors import UsageError
from buildgraph.spec.gitfacts import read, watched


@pytest.fixture
def repository(tmp_path):
    require("git")
    folder = tmp_path / "repo"
    folder.mkdir()

    def git(*args):
        environ = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
        environ |= {
            f"GIT_{who}_{what}": "x@x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        environ |= {"GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", "-C", folder, *args], check=True, capture_output=True, text=True, env=environ
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    return folder, git


def commit(repository):
    folder, git = repository
    (folder / "a").write_text("one")
    git("add", "a")
    git("commit", "-q", "-m", "one")
    return git("rev-parse", "HEAD")


def test_every_fact(repository):
    folder, git = repository
    head = commit(repository)
    below = folder / "below"
    below.mkdir()
    facts = read(below)
    assert (facts.commit, facts.short) == (head, head[:7])
    assert (facts.branch, facts.tag, facts.dirty, facts.time) == ("main", "", False, 1700000000)
    git("tag", "v1.9")
    git("tag", "v1.10")
    (folder / "untracked").touch()
    assert (read(folder).tag, read(folder).dirty) == ("v1.10", False)
    (folder / "a").write_text("two")
    git("checkout", "-q", "--detach")
    assert (read(folder).branch, read(folder).dirty) == ("", True)


def test_asking_does_not_write(repository):
    folder, _ = repository
    commit(repository)
    os.utime(folder / "a", (1, 1))
    before = (folder / ".git" / "index").stat().st_mtime_ns
    read(folder)
    assert (folder / ".git" / "index").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["commit", "branch", "tag", "dirty"])
def test_a_new_commit_or_tag_changes_a_watched_file(repository, name):
    folder, git = repository
    commit(repository)

    def seen():
        files = watched(folder, {name})
        return [(file, file.stat().st_mtime_ns if file.exists() else None) for file in files]

    before = seen()
    assert before == seen()
    if name == "tag":
        git("tag", "v1")
    else:
        git("commit", "-q", "--allow-empty", "-m", "two")
        git("checkout", "-q", "-b", "other")
    assert seen() != before


def test_a_worktree_and_nothing(repository, tmp_path):
    folder, git = repository
    head = commit(repository)
    tree = tmp_path / "tree"
    git("worktree", "add", "-q", "-b", "side", str(tree))
    assert (read(tree).commit, read(tree).branch) == (head, "side")
    names = {file.relative_to(folder / ".git").as_posix() for file in watched(tree, {"branch"})}
    assert {"packed-refs", "refs/heads/side", "worktrees/tree/HEAD"} <= names
    assert watched(folder, set()) == ()


def test_no_repository_and_no_commit(repository, tmp_path):
    folder, _ = repository
    for where in (folder, tmp_path):
        with pytest.raises(UsageError) as raised:
            read(where)
        assert raised.value.code == "no-git"
    assert tmp_path / ".git" in watched(tmp_path, {"commit"})
