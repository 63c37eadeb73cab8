"""Images that stand on a base in a registry: how they are kept, moved, pushed, and what a kill leaves."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from support.capability import require
from support.packed import PackedImage, file
from support.program import Program
from support.registry import running
from support.remotebase import HERE, base, fetched, push
from support.screen import run
from support.workspace import Workspace, base_items

from buildgraph.build.images import list_images
from buildgraph.build.looking import validate
from buildgraph.build.request import OutputSpec
from buildgraph.cli import warm
from buildgraph.oci.config import Config
from buildgraph.store.gc import collect
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

BUILDFILE = """buildfile = 1
[base.os]
image = "{host}/base/os:1"
[step.src]
copy = [{{ from = "src", to = "/data/app/" }}]
[image.app]
on = ["os", "src"]
tags = ["{host}/{name}:1"]
"""


@pytest.fixture
def ws(tmp_path, registry, image):
    made = Workspace.make(tmp_path)
    made.write("src/a", "a\n")
    made.write("Buildfile.toml", BUILDFILE.format(host=registry.host, name="shop/app"))
    return made


def layers(image):
    return image.source.manifest.layers


def sent(registry):
    """Requests that carry a blob up."""
    return [a for a in registry.accesses() if a.method in ("PUT", "PATCH") and a.uploads]


# -- pushing


def test_a_fresh_machine_pushes_to_the_same_registry_without_a_base_byte(
    ws, registry, image, tmp_path
):
    (ws.folder / "Buildfile.lock.d").mkdir()
    ws.build()
    registry.forget()
    fresh = Workspace(ws.folder, tmp_path / "fresh")
    moved = fresh.build(push="all").metadata["bytes"]
    assert fetched(registry, layers(image)) == []
    assert moved["fetched"] == 0
    assert moved["mounted"] == sum(layer.size for layer in layers(image))
    assert len(sent(registry)) == 2  # the copy's layer and the config
    assert validate(fresh.home, f"{registry.host}/shop/app:1") == []


def test_into_the_bases_own_repository_nothing_of_it_is_sent(ws, registry, image):
    ws.write("Buildfile.toml", BUILDFILE.format(host=registry.host, name="base/os").replace(
        'base/os:1"]', 'base/os:app"]'))  # fmt: skip
    ws.build()
    registry.forget()
    moved = ws.build(push="all").metadata["bytes"]
    assert fetched(registry, layers(image)) == []
    assert (moved["fetched"], moved["mounted"]) == (0, 0)
    assert len(sent(registry)) == 2


def test_another_registry_gets_the_layers_through_this_machine(ws, registry, image, tmp_path):
    with running(tmp_path / "other") as other:
        ws.build()
        registry.forget()
        moved = ws.build(push="all", tags=(f"{other.host}/far/app:1",)).metadata["bytes"]
        assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))
        assert moved["fetched"] == sum(layer.size for layer in layers(image))
        assert {layer.digest.hex for layer in layers(image)} <= other.blobs().keys()


@pytest.mark.parametrize("kind", ["push", "oci", "tar"])
def test_a_base_whose_bytes_are_needed_travels_once(ws, registry, image, tmp_path, kind):
    """To learn what is in it, and to hand it on."""
    with running(tmp_path / "other") as other, running(tmp_path / "third") as third:
        tags = (f"{other.host}/far/app:1", f"{third.host}/far/app:1")
        outputs = (OutputSpec(kind, str(tmp_path / "out")),)
        asked = {"push": "all", "tags": tags} if kind == "push" else {"outputs": outputs}
        moved = ws.build(**asked).metadata["bytes"]
        assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))
        assert moved["fetched"] < sum(layer.size for layer in layers(image)) + 5000  # documents


# -- the store


def test_names_documents_and_history_need_no_registry(ws, registry, image):
    ws.build()
    registry.stop()
    program = Program.of(ws)
    name = f"{registry.host}/shop/app:1"
    (listed,) = list_images(ws.home)
    assert listed.size > sum(layer.size for layer in layers(image))
    shown = json.loads(program.run("inspect", name).stdout)
    assert [y["digest"] for y in shown["manifest"]["layers"]][:3] == [
        y.digest for y in layers(image)
    ]
    assert len(program.run("history", name).stdout.splitlines()) == 5
    program.run("tag", name, "app:copy")
    program.run("rmi", "app:copy")
    assert "registry-unreachable" in program.run("validate", name, code=4).stderr
    program.sound()


def test_collecting_keeps_what_images_and_pins_need(ws, registry, image):
    first = ws.digests()
    with LocalStore.open(ws.home) as store:
        collect(store)
        assert store.origins.places(layers(image)[0].digest)
        assert verify(store).findings == ()
        assert [name for name, _ in store.images.list()] == [f"{registry.host}/shop/app:1"]
    registry.stop()
    ws.write("src/b", "b\n")
    assert ws.digests() != first


def test_what_nothing_needs_any_more_goes(ws, registry, image):
    ws.build()
    with LocalStore.open(ws.home) as store:
        store.images.untag([name for name, _ in store.images.list()])
        collect(store, max_size=0)
        assert not store.origins.places(layers(image)[0].digest)
        assert not store.blobs.has(image.source.descriptor.digest)
        collect(store)
        assert [key for key in store.index().keys() if key.startswith(("origin:", "pinned:"))] == []  # noqa: SIM118
    registry.forget()
    ws.build()
    assert len(fetched(registry, layers(image))) == 3


def test_an_image_that_lost_a_blob_which_nobody_has_is_damaged(ws, registry, image):
    summary = ws.build()
    own = summary.metadata["targets"]["app"]["layers"][-1]
    with LocalStore.open(ws.home) as store:
        store.blobs.delete(own)
        assert "image" in {finding.sort for finding in verify(store).findings}


# -- other tools


@pytest.mark.parametrize("way", ["save", "copy"])
def test_what_is_written_of_a_stored_image_is_whole(ws, registry, image, way, tmp_path):
    require("skopeo")
    ws.build()
    name, program = f"{registry.host}/shop/app:1", Program.of(ws)
    if way == "save":
        program.run("save", "-o", tmp_path / "app.tar", name)
        place = f"docker-archive:{tmp_path}/app.tar"
    else:
        program.run("copy", f"store:{name}", f"oci:{tmp_path}/out:1")
        place = f"oci:{tmp_path}/out:1"
    into = tmp_path / "into"
    subprocess.run(["skopeo", "copy", "-q", place, f"dir:{into}"], check=True, cwd=tmp_path)
    assert len(list(into.iterdir())) == 4 + 3  # layers, config, manifest, version


@pytest.mark.parametrize("form", ["v2s2", "oci", "zstd"])
def test_bases_that_skopeo_pushed(ws, registry, image, form, tmp_path):
    require("skopeo")
    if form == "zstd":
        push(registry, "base/os", "1", base(tmp_path / "zstd", codec="zstd"))
    insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    shape = ["--format", "v2s2" if form == "v2s2" else "oci"]
    places = [f"docker://{registry.host}/{name}:1" for name in ("base/os", form)]
    subprocess.run(["skopeo", "copy", "-q", *insecure, *shape, *places], check=True, cwd=tmp_path)
    text = BUILDFILE.format(host=registry.host, name="shop/app").replace("base/os:1", f"{form}:1")
    ws.write(
        "Buildfile.toml",
        text.replace("[image.app]", '[step.run]\non = ["os"]\nrun = "cat /opt/app/version"\n[image.app]')
        .replace('on = ["os", "src"]', 'on = ["run", "src"]'),
    )  # fmt: skip
    ws.build()
    assert ws.output("run") == ["one"]
    assert validate(ws.home, f"{registry.host}/shop/app:1") == []
    shutil.rmtree(ws.home)
    ws.write("Buildfile.toml", text)
    assert validate(ws.home, ws.build().images[0].digest) == []


# -- as a program


def test_a_second_build_is_answered_without_asking_anybody(ws, registry, image):
    program = Program.of(ws)
    program.run("build")
    program.run("build")
    plans = list((ws.home / "plans").iterdir())
    assert len(plans) == 1
    registry.stop()
    before = plans[0].stat().st_mtime_ns
    program.run("build")
    assert plans[0].stat().st_mtime_ns == before
    lock = ws.folder / "Buildfile.lock"
    lock.write_bytes(lock.read_bytes().replace(b"config-size", b"config-sizes"))
    assert "bad-lock" in program.run("build", code=2).stderr


def test_transfers_are_told(ws, registry, image):
    built = Program.of(ws).build()
    started = [e for e in built.events if e["event"] == "transfer-started"]
    ended = [e for e in built.events if e["event"] == "transfer-finished"]
    assert {e["blob"] for e in started} == {layer.digest for layer in layers(image)}
    assert {(e["blob"], e["size"]) for e in ended} == {(y.digest, y.size) for y in layers(image)}
    assert {(e["direction"], e["place"]) for e in ended} == {("fetch", f"{registry.host}/base/os")}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_ends_while_it_downloads_leaves_nothing(tmp_path, registry, number):
    big = file("big", "")._replace(data=os.urandom(48 << 20))
    big = big._replace(entry=big.entry._replace(size=48 << 20))
    config = Config.empty(HERE)
    made = PackedImage(tmp_path / "big", [base_items(), [big]], config, "none")
    push(registry, "base/os", "1", made)
    ws = Workspace.make(tmp_path)
    ws.write("src/a", "a\n")
    run = '[step.run]\non = ["os"]\nrun = "true"\n[image.app]\non = ["run"]\n'
    head = BUILDFILE.partition("[step.src]")[0].format(host=registry.host)
    ws.write("Buildfile.toml", head + run)
    program = Program.of(ws)
    process = program.start("build", "--progress", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if '"transfer-started"' in line and made.source.manifest.layers[1].digest in line:
            break
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    program.run("build")
    program.sound()


def test_an_answer_does_not_miss_layers_that_only_the_registry_has(ws, image, monkeypatch, capfd):
    monkeypatch.chdir(ws.folder)
    monkeypatch.setenv("BUILDGRAPH_HOME", str(ws.home))
    for _ in range(2):
        assert run("build").code == 0
    assert not any(
        (ws.home / "blobs/sha256" / layer.digest.hex).exists() for layer in layers(image)
    )
    assert warm.answer(["build"], 0.0)
    assert "up to date" in capfd.readouterr().err
