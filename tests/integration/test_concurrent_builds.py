"""Several processes on one store and one workspace: each step is done once, nobody gets in another's way."""

import json
from collections import Counter

import pytest
from support.program import Built, Program
from support.workspace import Workspace

BUILDFILE = """
[workspace]
default = ["i", "j"]
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.one]
on = ["box"]
run = "echo one; sleep 0.3; head -c 16 /dev/urandom > /one"
[step.two]
on = ["box"]
mounts = [{ bind = "src", target = "/in" }]
run = "echo two; sleep 0.1; cat /in/a > /two"
[step.three]
on = ["one", "two", "src"]
run = "echo three; cat /one /two > /three"
[image.i]
on = ["three"]
[image.j]
on = ["box", "src", "one"]
compression = "zstd"
"""


@pytest.fixture
def ws(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/a", "a\n")
    return workspace


def built(program, processes, metadata):
    """What each of the processes did, once all of them have ended."""
    found = []
    for process, file in zip(processes, metadata, strict=True):
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
        found.append(Built.of(said, json.loads(file.read_text())))
    return found


def at_once(program, count, *words):
    files = [program.home.parent / f"meta{number}.json" for number in range(count)]
    started = [
        program.start("build", "--progress", "json", "--metadata-file", file, *words)
        for file in files
    ]
    return built(program, started, files)


@pytest.mark.parametrize("count", [2, 4])
def test_builds_at_once_do_each_step_once(program, count):
    """``one`` differs every time it runs: equal digests mean that all took the same result."""
    done = at_once(program, count)
    ran = Counter(step for each in done for step in each.ran)
    assert ran == {"src": 1, "one": 1, "two": 1, "three": 1}
    lines = Counter(line for each in done for step in ("one", "two") for line in each.output(step))
    assert lines == {"one": 1, "two": 1}
    assert len({json.dumps(each.digests) for each in done}) == 1
    program.sound()


def test_two_workspaces_of_the_same_content_share_their_steps(program, ws, tmp_path):
    other = Workspace.make(tmp_path, "other").base()
    other.buildfile(BUILDFILE)
    other.write("src/a", "a\n")
    programs = [program, Program(other.folder, program.home)]
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    started = [
        p.start("build", "--progress", "json", "--metadata-file", file)
        for p, file in zip(programs, files, strict=True)
    ]
    first, second = built(program, started, files)
    assert Counter([*first.ran, *second.ran]) == {"src": 1, "one": 1, "two": 1, "three": 1}
    assert first.digests == second.digests


def test_builds_gc_and_verify_at_once(program, ws):
    """gc may make a build repeat a step, never miss one; verify finds nothing to complain about."""
    program.build()
    for turn in range(3):
        ws.write("src/a", f"{turn}\n")
        files = [program.home.parent / f"meta{number}.json" for number in range(2)]
        builds = [
            program.start("build", "--progress", "json", "--metadata-file", file) for file in files
        ]
        others = [
            program.start("cache", "gc", "--max-size", "0"),
            program.start("cache", "verify"),
            program.start("cache", "gc", "--max-size", "1MB"),
            program.start("cache", "info"),
            program.start("plan"),
            program.start("images"),
        ]
        for other in others:
            out, said = other.communicate(timeout=100)
            assert other.returncode == 0, f"{other.args}\n{out}\n{said}"
        done = built(program, builds, files)
        for each in done:
            assert set(each.digests) == {"i", "j"}
    after = program.build()
    program.sound()
    for name in after.digests:
        program.run("validate", f"{name}:latest")


def test_outputs_of_builds_at_once_are_whole(program, tmp_path):
    """Everybody writes the same layout and the same archive."""
    layout, archive = (
        f"type=oci,dest={tmp_path}/layout",
        f"type=docker,dest={tmp_path}/{{name}}.tar",
    )
    done = at_once(program, 3, "i", "-o", layout, "-o", archive)
    assert len({json.dumps(each.digests) for each in done}) == 1
    program.run("validate", tmp_path / "layout")
    program.run("validate", tmp_path / "i.tar")
    assert sorted(p.name for p in (tmp_path / "layout").iterdir()) == [
        "blobs",
        "index.json",
        "oci-layout",
    ]
