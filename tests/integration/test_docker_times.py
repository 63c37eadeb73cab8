"""``--timestamps keep``: files of a Dockerfile's layers keep their times, which then are part of what they are."""

import os
import tarfile
from pathlib import Path

import pytest
from support.dockerbuilds import Docker

TEXT = (
    "FROM box AS a\nRUN touch -d @978307200 /old && ln -s old /link && mkdir /made && touch -d @978307200 /made\n"
    "FROM box\nCOPY f /f\nCOPY --from=a /old /from-a\nADD a.tar /t/\nWORKDIR /w\n"
)
FIXED, OLD, F, MEMBER = 315532800, 978307200, 1000000000, 1100000000


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker.make(tmp_path)
    made.write("f", "f\n")
    touch(made, F)
    with tarfile.open(made.workspace.folder / "ctx/a.tar", "w") as archive:
        member = tarfile.TarInfo("m")
        member.mtime = MEMBER
        archive.addfile(member)
    return made


def touch(docker: Docker, time: int) -> None:
    os.utime(docker.workspace.folder / "ctx/f", (time, time))


def test_times_are_kept_where_files_come_from(docker: Docker) -> None:
    tree = docker.tree(TEXT, keep_times=True)
    assert {name: tree[name].mtime for name in ("f", "from-a", "t/m", "w")} == {
        "f": F,
        "from-a": OLD,
        "t/m": MEMBER,
        "w": FIXED,
    }
    tree = docker.tree(TEXT, keep_times=True, target="a")
    assert {tree[name].mtime for name in ("old", "made")} == {OLD}


def test_without_it_all_have_one(docker: Docker) -> None:
    tree = docker.tree(TEXT)
    assert {tree[name].mtime for name in ("f", "from-a", "t/m", "w")} == {FIXED}


def test_a_time_is_part_of_what_is_kept_and_of_nothing_else(docker: Docker) -> None:
    first = docker.build(TEXT).images[0].digest
    kept = docker.build(TEXT, keep_times=True).images[0].digest
    assert kept != first
    docker.build(TEXT, keep_times=True)
    assert "executed" not in docker.counts()
    touch(docker, F + 1)
    docker.build(TEXT)
    assert "executed" not in docker.counts()
    again = docker.build(TEXT, keep_times=True).images[0].digest
    assert again != kept
    assert docker.workspace.ran() == {"ctx/stage-1/2-copy"}
    touch(docker, F)
    assert docker.build(TEXT, keep_times=True).images[0].digest == kept
    assert docker.workspace.ran() == set()


def test_a_kept_layer_is_the_same_over_another_base(docker: Docker) -> None:
    text = "FROM scratch\nCOPY f /d/f\n"
    tree = docker.tree(text, keep_times=True)
    assert tree["d/f"].mtime == F
    docker.build("FROM box\nCOPY f /d/f\n", keep_times=True)
    assert docker.workspace.ran() == set()
