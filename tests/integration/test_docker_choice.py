"""``--parents`` and ``--exclude``, from the context and from stages."""

import pytest
from support.dockered import Dockered, copy, run

from buildgraph.errors import UsageError

FILES = ("a/b/c/d/foo", "a/b/c/d/e/bay", "a/b2/c/d/e/bar", "a/b/c2/d/e/baz", "a/b/c2/d/e2/baz")


@pytest.fixture
def docker(tmp_path, monkeypatch):
    return Dockered.make(tmp_path, monkeypatch)


def names(docker, kind, *, below="out"):
    found = docker.tree(kind)
    return {
        n.removeprefix(f"{below}/")
        for n, t in found.items()
        if n.startswith(f"{below}/") and t[0] != "dir"
    }


@pytest.mark.parametrize(
    ("sources", "want"),
    [
        (["/test/a/b/./c/d"], {"c/d/foo", "c/d/e/bay"}),
        (["/test/a/b/c/d/."], {"test/a/b/c/d/foo", "test/a/b/c/d/e/bay"}),
        (["./test/a/b/c/d"], {"test/a/b/c/d/foo", "test/a/b/c/d/e/bay"}),
        (["/test/a/./b/./c"], {"b/c/d/foo", "b/c/d/e/bay"}),
        (["/test/a/./*/c"], {"b/c/d/foo", "b/c/d/e/bay", "b2/c/d/e/bar"}),
        (["/test/a/b*/./c/**/e"], {"c/d/e/bay", "c/d/e/bar"}),
        (
            ["/test/a/b/c*/./d/**/baz", "/test/a/b*/./c/**/bar"],
            {"d/e/baz", "d/e2/baz", "c/d/e/bar"},
        ),
        (["/test/a/b2*/x"], set()),
        (["/test/a/b/./c3*"], set()),
    ],
)
@pytest.mark.parametrize("stage", [False, True])
def test_parents(docker, sources, want, stage):
    for path in FILES:
        docker.write(f"test/{path}")
    ref = docker.stage("files", copy(".", to="/")) if stage else None
    kind = copy(*sources, to="/out/", parents=True, ref=ref)
    assert names(docker, kind) == want
    assert docker.tree(kind)["out"][0] == "dir"


def test_parents_keep_what_their_folders_are_and_a_missing_file_is_missing(docker):
    docker.write("a/b/f")
    (docker.folder / "a").chmod(0o700)
    kind = copy("a/b/f", to="/", parents=True)
    assert docker.tree(kind)["a"][1] == 0o700
    assert docker.tree(run("mkdir -m 711 /a"), kind)["a"][1] == 0o711
    with pytest.raises(UsageError, match='"/a/none": not found'):
        docker.build(copy("a/none", to="/", parents=True))


IMAGES = (
    "dir1/p.png",
    "dir1/t.txt",
    "dir1/j.jpeg",
    "dir2/d.pdf",
    "dir2/j2.jpeg",
    "dir3/m.mp3",
    "dir3/m.mpeg",
)


@pytest.mark.parametrize(
    ("exclude", "source", "to", "want"),
    [
        (
            ["*/*.png", "*/*.jpeg"],
            ".",
            "/out",
            {"dir1/t.txt", "dir2/d.pdf", "dir3/m.mp3", "dir3/m.mpeg"},
        ),
        (["*.mp3"], "dir3/", "/out/", {"m.mpeg"}),
        (["*.mp3", "*.jpeg", "*.png", "*.pdf", "*.txt"], "dir*", "/out/", {"m.mpeg"}),
        (["*.mp*", "*.jpeg", "*.png", "*.pdf"], "dir*", "/out", {"t.txt"}),
        (["*"], "dir*", "/out", set()),
        (["*.txt"], "dir1/*", "/out/", {"p.png", "j.jpeg"}),
        (["*", "!dir1/t.txt"], ".", "/out", {"dir1/t.txt"}),
        (["dir1"], ".", "/out", {"dir2/d.pdf", "dir2/j2.jpeg", "dir3/m.mp3", "dir3/m.mpeg"}),
    ],
)
@pytest.mark.parametrize("stage", [False, True])
def test_exclude(docker, exclude, source, to, want, stage):
    for path in IMAGES:
        docker.write(path)
    ref = docker.stage("files", copy(".", to="/in/")) if stage else None
    source = f"/in/{source}" if stage else source
    assert names(docker, copy(source, to=to, exclude=tuple(exclude), ref=ref)) == want


def test_what_is_excluded_is_no_part_of_the_key(docker):
    docker.write("src/a")
    docker.write("src/log/x")
    kind = copy("src", to="/out", exclude=("log",))
    docker.build(kind)
    docker.write("src/log/x", "changed")
    docker.build(kind)
    assert docker.workspace.ran() == set()
