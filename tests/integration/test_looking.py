"""``inspect``, ``history`` and ``validate`` of images that are not in the store, and pushes by digest."""

import json

import pytest
from support.program import Program
from support.registry import running
from support.workspace import Workspace

IMAGE = """\
buildfile = 1
[base.none]
scratch = true
[step.src]
copy = [{{ from = "src", to = "/src/" }}]
[image.app]
on = ["none", "src"]
tags = ["{host}/shop/app:1"]
"""
OTHER = "sha256:" + "5" * 64


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def program(tmp_path, registry):
    """With an empty store: the image is in the registry, in a layout and in an archive."""
    ws = Workspace.make(tmp_path)
    ws.write("src/a", "a\n")
    ws.write("Buildfile.toml", IMAGE.format(host=registry.host))
    Program.of(ws).run("build", "--push")
    program = Program(ws.folder, tmp_path / "fresh")
    name = f"docker://{registry.host}/shop/app:1"
    program.run("copy", name, "oci:layout:1")
    program.run("copy", name, "oci-archive:app.tar:1")
    yield program
    program.end()


def places(registry):
    return (f"docker://{registry.host}/shop/app:1", "oci:layout:1", "oci-archive:app.tar")


def test_wherever_it_is(program, registry):
    said = [json.loads(program.run("inspect", place).stdout) for place in places(registry)]
    assert said[0] == said[1] == said[2]
    assert len(said[0]["manifest"]["layers"]) == 1
    for place in places(registry):
        assert "copy src" in program.run("history", place).stdout
        assert "is valid" in program.run("validate", place).stderr
    assert program.run("images").stdout.count("\n") <= 1


def test_looking_downloads_no_layer(program, registry):
    registry.forget()
    program.run("inspect", places(registry)[0])
    program.run("history", places(registry)[0])
    blobs = {a.path for a in registry.accesses() if a.method == "GET" and "/blobs/" in a.path}
    assert len(blobs) == 1


def test_a_registry_whose_layer_is_damaged(program, registry):
    said = json.loads(program.run("inspect", places(registry)[0]).stdout)
    layer = said["manifest"]["layers"][0]["digest"].partition(":")[2]
    (file,) = (registry.folder / "storage").glob(f"docker/registry/v2/blobs/sha256/*/{layer}/data")
    file.write_bytes(bytes(file.stat().st_size))
    assert "blob-damaged" in program.run("validate", places(registry)[0], code=1).stderr


def test_names_of_the_store_come_first(program, registry):
    program.run("pull", places(registry)[0])
    program.run("tag", f"{registry.host}/shop/app:1", "oci:layout")
    registry.stop()
    named = json.loads(program.run("inspect", "oci:layout").stdout)
    assert named["digest"] == json.loads(program.run("inspect", "oci:layout:1").stdout)["digest"]


def test_to_a_digest(program, registry):
    """It may be said which one it must be; alone it asks for no tag."""
    name = places(registry)[0]
    digest = json.loads(program.run("inspect", name).stdout)["digest"]
    program.run("copy", name, f"docker://{registry.host}/shop/by-digest@{digest}")
    program.run("inspect", f"docker://{registry.host}/shop/by-digest@{digest}")
    assert (
        "unknown-image"
        in program.run("inspect", f"docker://{registry.host}/shop/by-digest", code=2).stderr
    )
    wrong = f"docker://{registry.host}/shop/wrong:1@{OTHER}"
    assert "other-digest" in program.run("copy", name, wrong, code=2).stderr
    assert not any("/shop/wrong/" in a.path for a in registry.accesses())
