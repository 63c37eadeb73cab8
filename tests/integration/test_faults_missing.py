"""Blobs that somebody took out of the store, or cut short: the next build names them and makes them again."""

import os

import pytest
from support.program import Program
from support.workspace import Workspace

from buildgraph.cli import warm
from buildgraph.fs import facts

BUILDFILE = """
[workspace]
default = ["i"]
[step.src]
copy = [{ from = "src", to = "/app/" }]
[step.one]
on = ["box", "src"]
run = "cat /app/a > /one"
[image.i]
on = ["one"]
tags = ["i:1"]
"""


@pytest.fixture
def program(tmp_path):
    workspace = Workspace.make(tmp_path).base()
    workspace.buildfile(BUILDFILE)
    workspace.write("src/a", "some text\n" * 500)
    program = Program.of(workspace)
    program.run("build")
    assert "up to date" in program.run("build").stderr
    return program


def blobs(program):
    """What the answer is about: the image's blobs, the trees of its layers."""
    [plan] = program.home.glob("plans/*")
    kept = warm.decode(facts.payload(plan))["kept"].decode().splitlines()
    names = [line.partition(" ")[0].replace(":", "/") for line in kept]
    return [program.home / "blobs" / name for name in names]


def cut(path):
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size - 1)


def remade(program, path):
    """What the build that finds it says; what follows has nothing to do, and the store is whole."""
    said = program.run("build").stderr
    assert path.exists()
    assert "up to date" in program.run("build").stderr
    program.run("validate", "i:1")
    program.sound()
    return said


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_each_blob_of_an_answer_is_missed(program, how):
    paths = blobs(program)
    assert {*program.home.glob("blobs/sha256/*")} < {*paths}
    for path in paths:
        path.unlink() if how == "gone" else cut(path)
        said = remade(program, path)
        assert f"{path.parent.name}:{path.name}" in said
        assert ("is gone from the store" if how == "gone" else "dropped the damaged blob") in said


def test_all_blobs_at_once(program):
    paths = blobs(program)
    for path in paths:
        path.unlink()
    said = remade(program, paths[0])
    assert [path for path in paths if not path.exists()] == []
    assert all(path.name in said for path in paths)


def test_a_list_of_images_that_is_gone_is_written_again(program):
    (program.home / "index.json").unlink()
    program.run("build")
    program.run("validate", "i:1")


def test_a_layer_that_is_cut_short_is_found_without_an_answer(program):
    """Whoever asks for another target has no answer yet, and would take it for whole."""
    for path in program.home.glob("blobs/sha256/*"):
        cut(path)
    said = program.run("build", "i", "-o", f"type=oci,dest={program.folder}/out").stderr
    assert "dropped the damaged blob" in said
    program.run("validate", f"{program.folder}/out")
    program.run("validate", "i:1")


def test_what_a_collection_took_is_not_missed(program):
    program.run("rmi", "i:1")
    program.run("cache", "gc", "--max-size", "0")
    said = program.run("build").stderr
    assert "warning" not in said


def test_what_validate_finds_damaged_is_made_again(program):
    """The next build has an answer at hand, and the sizes are right."""
    for path in program.home.glob("blobs/sha256/*"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(content)
        program.run("validate", "i:1", code=1)
        program.run("build")
        program.run("validate", "i:1")
    program.sound()
