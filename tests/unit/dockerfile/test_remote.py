"""Which sources are addresses, and what is asked of a git repository."""

import pytest

from buildgraph.dockerfile.remote import remote_source
from buildgraph.errors import UsageError
from buildgraph.spec.docker import GitTree, RemoteFile

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "path", ["a/b", "./git@host:x", "a@b", "github.com/a/b", "file:///a", "/a.git"]
)
def test_paths(path: str) -> None:
    assert remote_source(path) is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.example/a/b.txt?c#d", "b.txt"),
        ("http://x.example", "__unnamed__"),
        ("http://x.example/", "__unnamed__"),
        ("https://x.example/a%20b", "a b"),
        ("https://x.example/r.git/info", "info"),
    ],
)
def test_files(url: str, name: str) -> None:
    assert remote_source(url) == RemoteFile(url, name)


@pytest.mark.parametrize(
    ("url", "tree"),
    [
        ("git@h.example:a/b.git#main", GitTree("git@h.example:a/b.git", "main")),
        ("git://h.example/r", GitTree("git://h.example/r")),
        ("ssh://u@h.example/r#:sub/dir/", GitTree("ssh://u@h.example/r", "", "sub/dir")),
        ("https://h.example/r.git?ref=v1", GitTree("https://h.example/r.git", "v1")),
        ("https://h.example/r.git?tag=v1", GitTree("https://h.example/r.git", "refs/tags/v1")),
        (
            "https://h.example/r.git?branch=b&subdir=s&submodules=0&keep-git-dir",
            GitTree(
                "https://h.example/r.git",
                "refs/heads/b",
                "s",
                keep_git_dir=True,
                submodules=False,
            ),
        ),
        (
            f"https://h.example/r.git?commit={COMMIT}",
            GitTree("https://h.example/r.git", COMMIT, checksum=COMMIT),
        ),
        (
            f"https://h.example/r.git?tag=v1&checksum={COMMIT[:8]}",
            GitTree("https://h.example/r.git", "refs/tags/v1", checksum=COMMIT[:8]),
        ),
    ],
)
def test_repositories(url: str, tree: GitTree) -> None:
    assert remote_source(url) == tree


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ref=a&tag=b", "a and refs/tags/b"),
        ("tag=a&branch=b", "a tag and a branch"),
        ("ref=a&ref=b", "twice"),
        ("ref=", "no value"),
        ("nonsense=1", "'nonsense'"),
        ("submodules=maybe", "neither true nor false"),
        ("ref=a#b", "b and a"),
        ("subdir=a#:b", "b and a"),
        ("keep-git-dir=0", "two answers"),
    ],
)
def test_contradictions(query: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        remote_source(f"https://h.example/r.git?{query}", keep_git_dir=True)
    assert caught.value.code == "bad-git-source"
    assert said in caught.value.message


def test_checksums() -> None:
    assert remote_source("git://h.example/r", COMMIT) == GitTree(
        "git://h.example/r", checksum=COMMIT
    )
    for url, checksum in (("git://h.example/r", "main"), ("http://x.example/a", COMMIT)):
        with pytest.raises(UsageError) as caught:
            remote_source(url, checksum)
        assert caught.value.code == "bad-checksum"


def test_no_password_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        remote_source("https://user:word@h.example/r.git?x=1")
    assert "word" not in caught.value.message
