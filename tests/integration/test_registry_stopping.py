"""Signals while a registry says nothing: the command ends at once, tags are put back, and the next one finishes."""

import json
import os
import signal

import pytest
from support.program import Program
from support.registry import running
from support.silence import Silence, stopped
from support.workspace import Workspace

SCRATCH = """\
buildfile = 1
[base.none]
scratch = true
[step.big]
copy = [{{ from = "src", to = "/src/" }}]
[image.app]
on = ["none", "big"]
compression = "none"
tags = ["{host}/shop/app:1", "{host}/shop/app:2"]
"""
ON_REMOTE = """\
buildfile = 1
[base.one]
image = "{host}/os/one:1"
[base.two]
image = "{host}/os/two:1"
[step.src]
copy = [{{ from = "src", to = "/src/" }}]
[image.app]
on = ["one", "src"]
[image.other]
on = ["two", "src"]
"""


@pytest.fixture
def ws(tmp_path):
    ws = Workspace.make(tmp_path)
    (ws.folder / "src").mkdir()
    (ws.folder / "src" / "big").write_bytes(os.urandom(24 << 20))
    return ws


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", ["build", "push"])
def test_an_upload_that_goes_nowhere(ws, program, bad, way, number):
    ws.write("Buildfile.toml", SCRATCH.format(host=bad.host))
    program.run("build")
    name = f"{bad.host}/shop/app:1"
    words = ("build", "--push") if way == "build" else ("push", name)
    silence = Silence(bad, lambda asked: asked.kind == "finish")
    stopped(program, silence, number, *words)
    assert bad.repository("shop/app").tags == {}
    silence.end()
    program.run(*words)
    assert "1" in bad.repository("shop/app").tags
    program.sound()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_push_with_nothing_to_do(ws, program, bad, number):
    """It is answered from memory, all but what the tags name."""
    ws.write("Buildfile.toml", SCRATCH.format(host=bad.host))
    program.run("build", "--push")
    program.run("build", "--push")
    silence = Silence(bad, lambda asked: asked.kind == "manifest")
    stopped(program, silence, number, "build", "--push")
    silence.end()
    assert "nothing had to move" in program.run("build", "--push").stderr


@pytest.mark.parametrize("kind", ["ping", "manifest", "blob"])
def test_a_pull_that_gets_nothing(ws, program, bad, kind, tmp_path):
    ws.write("Buildfile.toml", SCRATCH.format(host=bad.host))
    program.run("build", "--push")
    fresh = Program(ws.folder, tmp_path / "fresh")
    silence = Silence(bad, lambda asked: asked.kind == kind)
    name = f"{bad.host}/shop/app:1"
    stopped(fresh, silence, signal.SIGTERM, "pull", name)
    stopped(fresh, silence, signal.SIGINT, "copy", f"docker://{name}", f"oci:{tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()
    silence.end()
    fresh.run("pull", name)
    fresh.sound()


@pytest.mark.parametrize("words", [("build",), ("plan",), ("lock",)], ids=" ".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asking_what_tags_name(ws, program, bad, words, number):
    ws.write("Buildfile.toml", ON_REMOTE.format(host=bad.host))
    silence = Silence(bad, lambda asked: asked.kind == "manifest")
    stopped(program, silence, number, *words)
    assert not (ws.folder / "Buildfile.lock").exists()


def test_tags_that_moved_are_put_back(ws, program, bad, tmp_path):
    with running(tmp_path / "registry") as registry:
        other = SCRATCH.format(host=registry.host).partition("[image.app]")[2]
        text = SCRATCH.format(host=bad.host).replace("[image.app]", "[image.zapp]")
        first, _, second = text.partition("[image.zapp]")
        ws.write("Buildfile.toml", f"{first}[image.app]{other}[image.zapp]{second}")

        def last(asked):
            if asked.kind != "put-manifest" or asked.rest != "2":
                return False
            registry.wait(lambda a: a.method == "PUT" and a.path.endswith("manifests/2"))
            return True

        silence = Silence(bad, last)
        stopped(program, silence, signal.SIGTERM, "build", "--push")
        tags = [a for a in registry.accesses() if a.path.endswith(("manifests/1", "manifests/2"))]
        puts = [a.method for a in tags if a.method != "HEAD"]
        assert puts == ["PUT", "PUT", "DELETE", "DELETE"]
        (record,) = (program.home / "releases").iterdir()
        told = json.loads(record.read_text())
        assert (told["state"], told["error"]) == ("failed", "interrupted")
        assert [image["tags"] for image in told["images"]] == [[], []]
        assert bad.repository("shop/app").tags == {}
        silence.end()
        program.run("build", "--push")
        assert {"1", "2"} <= set(bad.repository("shop/app").tags)
