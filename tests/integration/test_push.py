"""``build --push`` to a real registry: what moves, in which order tags move, and what a killed push leaves to do."""

import json
import os
import signal
import time

import pytest
from support.badregistry import BadRegistry, refuse
from support.program import Program
from support.registry import running
from support.workspace import Workspace

from buildgraph.errors import RemoteError, UsageError
from buildgraph.events import ImagePushed, TransferFinished, TransferStarted

SERVICES = """
[step.lib]
copy = [{{ from = "lib", to = "/lib0/" }}]
[step.one-src]
copy = [{{ from = "one", to = "/app/" }}]
[step.two-src]
copy = [{{ from = "two", to = "/app/" }}]
[image.one]
on = ["box", "lib", "one-src"]
tags = ["{host}/shop/one:1", "{host}/shop/one:latest"]
[image.two]
on = ["box", "lib", "two-src"]
tags = ["{other}/shop/two:1"]
"""


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def space(tmp_path, registry):
    space = Workspace.make(tmp_path).base()
    for name in ("lib", "one", "two"):
        space.write(f"{name}/file", f"{name}\n" * 100)
    space.buildfile(SERVICES.format(host=registry.host, other=registry.host))
    return space


def moved(summary):
    return summary.metadata["bytes"]


def methods(registry, *wanted):
    return [a for a in registry.accesses() if a.method in wanted]


def releases(space):
    return [json.loads(p.read_text()) for p in sorted((space.home / "releases").iterdir())]


def test_every_byte_goes_once_and_the_second_push_sends_none(space, registry):
    first = space.build(push="all")
    assert sorted(e.names for e in space.events if isinstance(e, ImagePushed)) == [
        (f"{registry.host}/shop/one:1", f"{registry.host}/shop/one:latest"),
        (f"{registry.host}/shop/two:1",),
    ]
    assert 0 < moved(first)["mounted"] < moved(first)["uploaded"]
    stored = sum(registry.blobs().values())
    assert moved(first)["uploaded"] == stored
    registry.forget()
    again = space.build(push="all")
    assert moved(again) == {"fetched": 0, "uploaded": 0, "mounted": 0}
    assert methods(registry, "PUT", "POST", "PATCH") == []
    assert len(releases(space)) == 1


def test_what_one_change_costs_does_not_depend_on_the_number_of_images(space, registry):
    tables = [
        f"""[step.s{k}]
copy = [{{ from = "s{k}", to = "/app/" }}]
[image.i{k}]
on = ["box", "s{k}"]
tags = ["{registry.host}/shop/i{k}:1"]
"""
        for k in range(12)
    ]
    for k in range(12):
        space.write(f"s{k}/file", f"{k}\n" * 100)
    space.buildfile("".join(tables))
    first = space.build(push="all")
    registry.forget()
    space.write("s7/file", "changed\n")
    second = space.build(push="all")
    asked = [
        (access.method, access.path.partition("?")[0].split("/")[4])
        for access in registry.accesses()
        if access.path != "/v2/" and (access.method != "HEAD" or "/blobs/" in access.path)
    ]
    blob = [("HEAD", "blobs"), ("POST", "blobs"), ("PUT", "blobs")]
    assert sorted(asked) == sorted([*blob, *blob, ("PUT", "manifests"), ("PUT", "manifests")])
    stored, before = registry.blobs(), _layers(first)
    target = second.metadata["targets"]["i7"]
    manifest = target["digest"].partition(":")[2]
    config = target["config_digest"].partition(":")[2]
    new = [stored[name] for name in {manifest, config, *(_layers(second) - before)}]
    assert moved(second)["uploaded"] == sum(new)


def test_a_push_with_nothing_to_do_asks_once_for_each_tag(space, registry):
    program = Program.of(space)
    first = program.run("build", "--push")
    assert "uploaded" in first.stderr
    program.run(
        "build", "--push"
    )  # what was written just before it was looked at is looked at again
    (plan,) = (space.home / "plans").iterdir()
    written = plan.stat().st_mtime_ns
    registry.forget()
    again = program.run("build", "--push")
    assert "pushed 3 names, nothing had to move" in again.stderr
    asked = [(a.method, a.path.rpartition("/")[2]) for a in registry.accesses()]
    assert sorted(asked) == [("GET", ""), ("HEAD", "1"), ("HEAD", "1"), ("HEAD", "latest")]
    assert plan.stat().st_mtime_ns == written
    told = json.loads(program.run("build", "--push", "--progress", "json").stderr.splitlines()[-1])
    assert told["event"] == "build-finished"


def test_a_tag_that_somebody_else_moved_is_moved_back(space, registry):
    program = Program.of(space)
    program.run("build", "--push")
    one, two = (f"docker://{registry.host}/shop/{name}:1" for name in ("one", "two"))
    program.run("copy", one, two)
    assert "uploaded" in program.run("build", "--push").stderr
    assert "nothing had to move" in program.run("build", "--push").stderr
    digest = program.build().digests["two"]
    assert digest in program.run("inspect", two).stdout
    registry.stop()
    assert "registry-unreachable" in program.run("build", "--push", code=4).stderr


def test_what_a_mirror_says_of_a_tag_does_not_count(space, registry, tmp_path):
    """It may be behind, or ahead: the registry is pushed to, so the registry is asked."""
    space.build(push="all")
    with running(tmp_path / "mirror") as mirror:
        text = SERVICES.format(host=mirror.host, other=mirror.host)
        space.buildfile(text)
        space.build(push="all")
        space.buildfile(SERVICES.format(host=registry.host, other=registry.host))
        os.rename(registry.folder / "storage", registry.folder / "lost")
        registry.restart()
        config = tmp_path / "config.toml"
        config.write_text(f'[registry."{registry.host}"]\nmirrors = ["{mirror.host}"]\n')
        space.environ["BUILDGRAPH_CONFIG"] = str(config)
        assert moved(space.build(push="all"))["uploaded"] > 0


def test_uploads_are_told_one_by_one(space, registry):
    summary = space.build(push="all")
    started = {e.blob: e for e in space.events if isinstance(e, TransferStarted)}
    ended = [e for e in space.events if isinstance(e, TransferFinished)]
    assert len(ended) == len({e.blob for e in ended})
    assert {e.blob for e in ended} >= {f"sha256:{layer}" for layer in _layers(summary)}
    assert {e.direction for e in ended} == {"upload"}
    assert {e.place for e in ended} <= {f"{registry.host}/shop/{name}" for name in ("one", "two")}
    assert {e.blob: e.size for e in ended} == {blob: e.size for blob, e in started.items()}


def test_after_one_change_the_one_layer_goes(space, registry):
    space.build(push="all")
    registry.forget()
    space.write("one/file", "changed\n")
    summary = space.build(push="all")
    layer = summary.metadata["targets"]["one"]["layers"][-1]
    sizes = registry.blobs()
    config = summary.metadata["targets"]["one"]["config_digest"]
    manifest = summary.metadata["targets"]["one"]["digest"]
    hexes = [digest.partition(":")[2] for digest in (layer, config, manifest)]
    assert moved(summary)["uploaded"] == sum(sizes[name] for name in hexes)
    others = [
        a for a in registry.accesses() if not (a.method == "HEAD" and "/manifests/" in a.path)
    ]
    assert len(others) <= 10


def test_another_repository_mounts_what_it_lacks(space, registry):
    space.build(push="all")
    registry.forget()
    summary = space.build("one", tags=(f"{registry.host}/other/name:1",), push="all")
    manifest = summary.metadata["targets"]["one"]["digest"].partition(":")[2]
    assert moved(summary)["uploaded"] == registry.blobs()[manifest]
    assert moved(summary)["mounted"] > 0
    assert methods(registry, "PATCH") == []


def test_a_registry_that_lost_its_blobs_gets_them_again(space, registry):
    first = space.build(push="all")
    registry.stop()
    os.rename(registry.folder / "storage", registry.folder / "lost")
    registry.start()
    again = space.build(push="all")
    assert moved(again)["uploaded"] == moved(first)["uploaded"]


def test_no_tag_moves_unless_all_can(space, registry):
    with BadRegistry() as bad:
        bad.modes.append(_after(registry, _refuse_tag))
        space.buildfile(SERVICES.format(host=registry.host, other=bad.host))
        summary = space.attempt(push="all")
        (failure,) = summary.failures
        assert isinstance(failure, RemoteError)
        assert "the moon" in failure.message
        tags = [a for a in registry.accesses() if a.path.endswith(("manifests/1", "/latest"))]
        assert [a.method for a in tags if a.method != "HEAD"] == ["PUT", "PUT", "DELETE", "DELETE"]
        (record,) = releases(space)
        assert record["state"] == "failed"
        assert "the moon" in record["error"]
        assert all(image["tags"] == [] for image in record["images"])


def test_a_registry_that_dies_between_two_tags(space, registry, monkeypatch):
    """Its own tags cannot be put back, and that is said; those of the other registry can."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with BadRegistry() as bad:
        dead = []

        def die(exchange, asked):
            if asked.kind == "put-manifest" and asked.rest == "2":
                dead.append(True)
            if dead:
                exchange.cut()
            return bool(dead)

        bad.modes.append(_after(registry, die))
        text = SERVICES.format(host=registry.host, other=bad.host)
        tags = f'"{bad.host}/shop/two:1", "{bad.host}/shop/two:2"'
        space.buildfile(text.replace(f'"{bad.host}/shop/two:1"', tags))
        (failure,) = space.attempt(push="all").failures
        assert isinstance(failure, RemoteError)
        assert "could not be put back" in failure.detail[0]
        stuck = [line.split(": ")[0] for line in failure.detail[1:]]
        assert stuck == [f"{bad.host}/shop/two:2", f"{bad.host}/shop/two:1"]
        puts = [a.method for a in registry.accesses() if a.path.endswith(("/1", "/latest"))]
        assert [name for name in puts if name != "HEAD"] == ["PUT", "PUT", "DELETE", "DELETE"]
        (record,) = releases(space)
        left = [tag["reference"] for image in record["images"] for tag in image["tags"]]
        assert (record["state"], left) == ("failed", [f"{bad.host}/shop/two:1"])
        dead.clear()
        bad.modes.clear()
        assert space.build(push="all").ok


def _after(registry, mode):
    """Once the registry has moved the tags of an image that is released at the same time."""

    def wait(exchange, asked):
        if asked.kind == "put-manifest" and ":" not in asked.rest:
            registry.wait(lambda a: (a.method, a.path) == ("PUT", "/v2/shop/one/manifests/latest"))
        return mode(exchange, asked)

    return wait


def _refuse_tag(exchange, asked):
    if asked.kind != "put-manifest" or ":" in asked.rest:
        return False
    refuse(exchange, 400, "TAG_INVALID", "the moon is in the wrong phase")
    return True


def test_each_pushes_what_can_be_pushed(space, registry):
    with BadRegistry() as bad:
        bad.modes.append(_refuse_tag)
        space.buildfile(SERVICES.format(host=registry.host, other=bad.host))
        (failure,) = space.attempt(push="each").failures
        assert isinstance(failure, RemoteError)
    assert [record["state"] for record in releases(space)].count("done") == 1
    names = [e.names for e in space.events if isinstance(e, ImagePushed)]
    assert names == [(f"{registry.host}/shop/one:1", f"{registry.host}/shop/one:latest")]


def test_a_failed_build_pushes_only_what_each_allows(space, registry):
    text = SERVICES.format(host=registry.host, other=registry.host)
    space.buildfile(
        text
        + '[step.fails]\non = ["box"]\nrun = "false"\n[image.bad]\non = ["fails"]\ntags = ["x:1"]\n'
    )
    assert space.attempt(push="all", keep_going=True).failures
    assert methods(registry, "PUT", "POST") == []
    assert space.attempt(push="each", keep_going=True).failures
    assert len([e for e in space.events if isinstance(e, ImagePushed)]) == 2


def test_an_image_without_a_name_is_refused_before_anything_runs(space):
    space.buildfile('[step.x]\non = ["box"]\nrun = "true"\n[image.bare]\non = ["x"]\n')
    with pytest.raises(UsageError) as raised:
        space.build(push="all")
    assert raised.value.code == "push-without-name"
    assert space.ran() == set()


def test_a_killed_push_is_finished_by_the_next(space, registry):
    space.build()
    program = Program.of(space)
    process = program.start("build", "--push")
    registry.wait(lambda access: access.method == "PUT" and access.uploads)
    process.send_signal(signal.SIGKILL)
    process.wait()
    program.end()
    there = dict(registry.blobs())
    registry.forget()
    summary = space.build(push="all")
    sent = moved(summary)["uploaded"]
    assert sent <= sum(registry.blobs().values()) - sum(
        size for name, size in there.items() if name in _layers(summary)
    )
    assert len(releases(space)) >= 1
    program.sound()


def _layers(summary):
    targets = summary.metadata["targets"].values()
    return {layer.partition(":")[2] for target in targets for layer in target["layers"]}
