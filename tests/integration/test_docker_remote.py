"""ADD of URLs and of git repositories: fetched once per version, checked, laid down as BuildKit does."""

import hashlib
import io
import tarfile

import pytest
from support.dockered import Dockered, add, run
from support.gitserver import Files, Repository

from buildgraph.errors import BuildgraphError
from buildgraph.spec import model as m


@pytest.fixture
def web():
    with Files() as web:
        yield web


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def url(web, path, checksum="", name=None):
    name = name or path.partition("?")[0].rpartition("/")[2] or "__unnamed__"
    return m.RemoteFile(f"{web.url}{path}", name, checksum)


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def got(web):
    return len(web.asked("GET"))


def test_a_url_is_a_file_of_root_that_nobody_else_reads(docker, web):
    web.files["/d/tool.bin"] = b"tool"
    source = url(web, "/d/tool.bin")
    assert docker.tree(add(source, to="/n/"))["n/tool.bin"] == ("file", 0o600, 0, 0, "tool")
    assert docker.tree(add(source, to="/other"))["other"] == ("file", 0o600, 0, 0, "tool")
    assert docker.tree(add(source, to="/opt"))["opt/tool.bin"][1] == 0o600
    changed = add(source, to="/x", mode=m.Mode(octal=0o755), owner=m.Owner(4, 5))
    assert docker.tree(changed)["x"] == ("file", 0o755, 4, 5, "tool")
    assert docker.tree(add(url(web, "/to/d/tool.bin?v=1"), to="/y"))["y"][4] == "tool"
    web.files["/"] = b"root"
    assert docker.tree(add(url(web, "/"), to="/n/"))["n/__unnamed__"][4] == "root"


def test_it_is_fetched_again_only_when_it_changed(docker, web):
    web.files["/f"] = b"one"
    kinds = (add(url(web, "/f"), to="/f"), run("cat /f > /g"))
    docker.build(*kinds)
    assert got(web) == 1
    docker.build(*kinds)
    assert (got(web), docker.workspace.ran()) == (1, set())
    web.files["/f"] = b"two"
    assert docker.tree(*kinds)["g"][4] == "two"
    assert got(web) == 2
    web.tagged = False
    docker.build(*kinds)
    assert got(web) > 2
    assert "main-s1" not in docker.workspace.ran()


def test_a_checksum_is_checked_and_asks_nobody_again(docker, web):
    web.files["/f"] = b"one"
    source = url(web, "/f", sha256(b"one"))
    docker.build(add(source, to="/f"))
    docker.build(add(source, to="/f"))
    assert len(web.seen) == 1
    [failure] = docker.attempt(add(url(web, "/f", sha256(b"other")), to="/f")).failures
    assert failure.code == "checksum-mismatch"
    docker.build(add(url(web, "/f"), to="/f"))
    assert "main-s0" not in docker.workspace.ran()


def test_what_is_not_there_fails_and_no_password_is_told(docker, web):
    secret = m.RemoteFile(web.url.replace("//", "//me:s3cr3t@") + "/none", "none")
    with pytest.raises(BuildgraphError) as caught:
        docker.build(add(secret, to="/f"))
    assert caught.value.code == "fetch-failed"
    assert caught.value.exit_code == 4
    assert "s3cr3t" not in caught.value.render()
    assert web.seen[0].headers["Authorization"].startswith("Basic ")


def test_an_archive_of_a_url_is_unpacked_only_if_asked(docker, web):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("in")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    web.files["/a.tgz"] = out.getvalue()
    assert docker.tree(add(url(web, "/a.tgz"), to="/n/"))["n/a.tgz"][0] == "file"
    assert docker.tree(add(url(web, "/a.tgz"), to="/n/", unpack=True))["n/in"][4] == "x"


# -- git


@pytest.fixture
def repo(tmp_path, web):
    return Repository(tmp_path / "repo", web)


def tree_of(web, ref="", **more):
    return m.GitTree(f"{web.url}/r.git", ref, **more)


def files(found):
    return {
        k.removeprefix("n/"): t[4]
        for k, t in found.items()
        if k.startswith("n/") and t[0] == "file"
    }


def test_a_repository_at_a_branch_a_tag_and_a_commit(docker, web, repo):
    first = repo.commit(a="1", sub__b="2")
    repo.git("tag", "-a", "v1", "-m", "annotated")
    repo.commit(a="3")
    for source, want in (
        (tree_of(web), "3"),
        (tree_of(web, "main"), "3"),
        (tree_of(web, "v1"), "1"),
        (tree_of(web, "refs/tags/v1"), "1"),
        (tree_of(web, first), "1"),
        (tree_of(web, "v1", checksum=first), "1"),
        (tree_of(web, "v1", checksum=first[:7]), "1"),
    ):
        repo.serve()
        found = docker.tree(add(source, to="/n"))
        assert files(found) == {"a": want, "sub/b": "2"}
        assert found["n/a"][1:4] == (0o644, 0, 0)
    assert files(docker.tree(add(tree_of(web, subdir="sub"), to="/n/"))) == {"b": "2"}
    kept = docker.tree(add(tree_of(web, keep_git_dir=True), to="/n/"))
    assert "n/.git/HEAD" in kept


def test_a_commit_is_the_key(docker, web, repo):
    commit = repo.commit(a="1")
    docker.build(add(tree_of(web), to="/n"))
    docker.build(add(tree_of(web, "main"), to="/m"))
    assert [step for step in docker.workspace.ran() if "git" in step] == []
    docker.build(add(tree_of(web, commit), to="/o"))
    before = len(web.seen)
    docker.build(add(tree_of(web, commit), to="/o"))
    assert len(web.seen) == before
    repo.commit(a="2")
    assert files(docker.tree(add(tree_of(web), to="/n"))) == {"a": "2"}


def test_what_a_repository_lacks_is_said(docker, web, repo):
    commit = repo.commit(a="1")
    repo.git("tag", "v1")
    repo.serve()
    for source, code in (
        (tree_of(web, "none"), "git-ref-missing"),
        (tree_of(web, "refs/heads/v1"), "git-ref-missing"),
        (tree_of(web, "v1", checksum="0" * 40), "checksum-mismatch"),
        (tree_of(web, subdir="none"), "source-missing"),
        (tree_of(web, subdir="../.."), "source-missing"),
        (m.GitTree(f"{web.url}/none.git"), "git-failed"),
        (tree_of(web, "-x"), "git-ref-missing"),
    ):
        with pytest.raises(BuildgraphError) as caught:
            docker.build(add(source, to="/n"))
        assert caught.value.code == code, source
        assert str(caught.value.where) == "Dockerfile:3"
    assert commit


def test_submodules(docker, web, repo, tmp_path):
    inner = Repository(tmp_path / "inner", web)
    inner.commit(i="inner")
    inner.serve("inner.git")
    repo.git("submodule", "add", "-q", "--", f"{web.url}/inner.git", "sub")
    repo.commit(a="1")
    assert files(docker.tree(add(tree_of(web), to="/n"))) == {
        "a": "1", "sub/i": "inner", ".gitmodules": (repo.folder / ".gitmodules").read_text(),
    }  # fmt: skip
    assert "sub/i" not in files(docker.tree(add(tree_of(web, submodules=False), to="/n")))
