"""What is run again and what is not; what a build leaves behind; what happens when files change under it."""

import hashlib
import os
from pathlib import Path

import pytest
from support.dockerbuilds import Docker
from support.gitserver import Files
from support.program import Program

from buildgraph.build.build import build
from buildgraph.build.request import OutputSpec
from buildgraph.events import Event, StepOutput


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker.make(tmp_path)


TWO = """FROM box AS first
RUN echo 1 > /one
COPY f /f
FROM first AS second
RUN echo 2 > /two
FROM box
COPY --from=second /one /two /out/
RUN cat /out/*
"""


def test_names_targets_comments_and_what_is_added_do_not_matter(docker: Docker) -> None:
    docker.write("f", "1")
    docker.build(TWO)
    same = (
        TWO.replace("first", "other").replace("second", "more").replace("RUN echo 2", "run  echo 2")
    )
    same = same.replace("/one\nCOPY", "/one\n\n# a comment\n\nLABEL a=b\nCMD x\nCOPY").replace(
        "COPY f /f", "COPY f f"
    )
    for text, target in ((same, ""), (TWO, "second"), (TWO, "first"), (f"# syntax=x\n{TWO}", "0")):
        docker.build(text, target=target)
        assert docker.workspace.ran() == set()
    docker.build(TWO + "RUN echo new\n")
    assert docker.workspace.ran() == {"ctx/stage-2/4-run"}
    os.utime(docker.workspace.folder / "ctx/f", (5, 5))
    docker.build(TWO)
    assert docker.workspace.ran() == set()


def test_an_argument_counts_in_its_stage_and_env_in_what_follows(docker: Docker) -> None:
    text = (
        "FROM box AS a\nARG V\nRUN echo a > /a\nFROM box AS b\nRUN echo b > /b\nFROM box\n"
        "COPY --from=a /a /\nCOPY --from=b /b /\nRUN echo before > /c\nENV E=1\nRUN echo after > /d\n"
    )
    docker.build(text, args={"V": "1"})
    docker.build(text, args={"V": "2"})
    assert docker.workspace.ran() == {"ctx/a/2-run"}
    docker.build(text.replace("E=1", "E=2"), args={"V": "2"})
    assert docker.workspace.ran() == {"ctx/stage-2/5-run"}
    docker.build(text.replace("E=1", "F=1"), args={"V": "2"})
    assert docker.workspace.ran() == {"ctx/stage-2/5-run"}


def test_a_filter_runs_its_stages_and_what_follows_from_them(docker: Docker) -> None:
    text = (
        "FROM box AS a\nRUN head -c 16 /dev/urandom > /a\nFROM box AS b\nRUN head -c 16 /dev/urandom > /b\n"
        "FROM box\nCOPY --from=a /a /\nRUN sha256sum /a > /c\nFROM box\nCOPY --from=2 /c /\nCOPY --from=b /b /\n"
    )
    first = docker.build(text).images[0].digest
    assert docker.build(text).images[0].digest == first
    assert docker.build(text, no_cache_filter=("A",)).images[0].digest != first
    assert docker.workspace.ran() == {
        *("ctx/a/2-run", "ctx/stage-2/2-copy", "ctx/stage-2/3-run", "ctx/stage-3/2-copy"),
    }
    docker.build(text, no_cache=True)
    assert len(docker.workspace.ran()) == 6


def test_one_digest_for_all_names_and_from_every_store(docker: Docker) -> None:
    docker.write("f", "1")
    text = "FROM box\nWORKDIR /w\nCOPY --chown=7 f /w/x\nRUN date > /dev/null; echo 1 > y; ln y z\nENV A=1\n"
    [image] = docker.build(text, tags=("one:1", "two:2")).images
    assert image.tags == ("one:1", "two:2")
    for name in ("again", "once-more"):
        docker.workspace.home = docker.workspace.home.with_name(name)
        assert docker.build(text).images[0].digest == image.digest
    assert docker.build(text, no_cache=True).images[0].digest == image.digest


def test_with_and_without_a_checksum_it_is_the_same_file(docker: Docker) -> None:
    digest = hashlib.sha256(b"content").hexdigest()
    with Files() as web:
        web.files["/f"] = b"content"
        docker.build(f"FROM box\nADD {web.url}/f /x\nRUN cat /x\n")
        docker.build(f"FROM box\nADD --checksum=sha256:{digest} {web.url}/f /x\nRUN cat /x\n")
        assert docker.counts() == {"executed": 1, "cutoff": 2}  # it is fetched to be checked
        assert "ctx/stage-0/3-run" not in docker.workspace.ran()


def test_a_linked_copy_s_key_does_not_depend_on_what_is_below(docker: Docker) -> None:
    docker.write("f", "1")
    docker.build(
        "FROM box\nRUN echo 1 > /one\nCOPY --link f /d/f\nCOPY --link --chown=7:8 f /d/g\n"
    )
    docker.build(
        "FROM box\nRUN echo 2 > /two\nCOPY --link f /d/f\nCOPY --link --chown=7:8 f /d/g\n"
    )
    assert docker.workspace.ran() == {"ctx/stage-0/2-run"}
    docker.build("FROM scratch\nCOPY --link f /d/f\nCOPY --link --chown=7:8 f /d/g\n")
    assert docker.workspace.ran() == set()


def test_nothing_is_left_and_a_second_build_adds_nothing(docker: Docker) -> None:
    docker.write("f", "1")
    text = "FROM box\nRUN --mount=type=tmpfs,target=/t echo 1 > /x\nCOPY f /\nRUN --mount=target=/m,rw cat /x\n"
    docker.build(text)
    home, program = docker.workspace.home, Program.of(docker.workspace)
    program.sound()

    def files() -> set[str]:
        return {str(path) for name in ("blobs", "snapshots") for path in (home / name).rglob("*")}

    before = files()
    docker.build(text)
    assert files() == before
    program.run("cache", "gc", "--max-size", "0B")
    program.sound()
    assert list((home / "snapshots").iterdir()) == []
    assert docker.files() == {"f": "1", "x": "1\n"}


@pytest.mark.parametrize("edit", ["change", "vanish", "folder"])
def test_files_that_change_under_a_build_are_told_or_taken_as_they_were(
    docker: Docker, edit: str
) -> None:
    """A command says that the build is under way; then a file that a later line names is changed."""
    docker.write("late", "first\n")
    path = docker.workspace.folder / "ctx/late"
    docker.write("Dockerfile", "FROM box\nRUN echo up\nCOPY late /late\nRUN cat /late > /seen\n")

    def observe(event: Event) -> None:
        docker.workspace.events.append(event)
        if isinstance(event, StepOutput) and event.line == "up":
            path.unlink()
            if edit == "change":
                path.write_text("second\n")
            if edit == "folder":
                path.mkdir()

    out = docker.workspace.folder.parent / "out.tar"
    request = docker.request(jobs=1, outputs=(OutputSpec("tar", str(out)),))
    summary = build(docker.workspace.request(**request), observe)
    if summary.failures:
        codes = {failure.code for failure in summary.failures}
        assert codes <= {"source-changed", "source-missing", "source-vanished"}
        assert "late" in summary.failures[0].render()
    else:
        assert docker.files()["seen"] in ("first\n", "second\n")
    if edit == "folder":
        path.rmdir()
    docker.write("late", "first\n")
    assert docker.files() == {"late": "first\n", "seen": "first\n"}


def test_named_contexts_are_read_as_far_as_they_are_needed(docker: Docker) -> None:
    layout = docker.workspace.folder / "made"
    [image] = docker.build(
        "FROM box\nENV FROM_IT=yes\nRUN echo m > /m\n", outputs=(OutputSpec("oci", str(layout)),)
    ).images
    docker.workspace.write("named/a", "A")
    docker.workspace.write("named/b", "B")
    contexts = {
        "made": f"oci-layout://made@{image.digest}",
        "files": "named",
        "none": "docker-image://scratch",
        "unused": "docker-image://nowhere.example/x",
        "missing": "no/such/folder",
    }
    text = "FROM made AS a\nRUN echo $FROM_IT > /env\nFROM none\nCOPY --from=a /env /m /\nCOPY --from=files a /\n"
    assert docker.files(text, contexts=contexts) == {"env": "yes\n", "m": "m\n", "a": "A"}
    facts = docker.build(contexts=contexts).facts
    assert facts is not None
    assert not any(path.endswith((b"named/b", b"no/such/folder")) for path in facts.seen)
    docker.workspace.write("named/b", "changed")
    docker.build(contexts=contexts)
    assert docker.workspace.ran() == set()
