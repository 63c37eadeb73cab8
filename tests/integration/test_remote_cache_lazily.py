"""What a remote cache has stays there until something needs its bytes; and what if it is gone by then."""

import shutil
from pathlib import Path

import pytest
from support.machines import Machines, runs
from support.registry import Registry, running
from support.workspace import Workspace

from buildgraph.build.exchange import Exchanged, export_cache, import_cache
from buildgraph.build.request import OutputSpec
from buildgraph.events import Event, Warned
from buildgraph.names import Reference
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.remote.caches import Caches
from buildgraph.remote.record import TREE, parse
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.store.gc import collect
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

TEXT = """FROM box AS builder
RUN head -c 300000 /dev/zero | tr '\\0' x > /made
FROM box
COPY --from=builder /made /copied
RUN cp /copied /again
"""
MORE = TEXT + "RUN cat /again | wc -c\n"


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def machines(tmp_path):
    return Machines.make(tmp_path, f"file://{tmp_path}/cache")


def layers(machines: Machines) -> list[Path]:
    """The blobs of layers that the cache's folder has."""
    folder = Path(machines.urls[0].place)
    records = [parse(path.read_bytes(), path.name) for path in (folder / "records").iterdir()]
    blobs = {b.digest for r in records for b in r.blobs if b.media_type != TREE and b.size > 2}
    return [folder / "blobs/sha256" / digest.hex for digest in blobs]


def damage(paths: list[Path]) -> None:
    assert paths
    for path in paths:
        path.chmod(0o644)
        path.write_bytes(bytes(path.stat().st_size))


def test_an_image_is_made_and_pushed_without_a_layer_s_bytes(tmp_path, registry):
    machines = Machines.make(tmp_path, f"registry://{registry.host}/team/cache")
    _, made = machines.build("one", TEXT)
    left = layers_of(registry)
    registry.forget()
    tag = f"{registry.host}/team/app:1"
    second, again = machines.build("two", TEXT, tags=(tag,), push="all")
    assert second.workspace.ran() == set()
    assert again.images[0].digest == made.images[0].digest
    read = {
        a.path.rpartition(":")[2]
        for a in registry.accesses()
        if a.method == "GET" and "/blobs/" in a.path
    }
    assert read  # tree objects
    assert not read & left


def test_what_is_left_there_is_fetched_when_it_is_mounted_or_written(machines, tmp_path):
    machines.build("one", TEXT)
    second, _ = machines.build("two", TEXT)
    assert second.workspace.ran() == set()
    with LocalStore.open(second.workspace.home) as store:
        assert verify(store).findings == ()
        collect(store)
    third, _ = machines.build("two", MORE)
    [last] = runs(third)
    assert third.workspace.output(last) == ["300000"]
    out = tmp_path / "out"
    machines.build("four", TEXT, outputs=(OutputSpec("local", str(out)),))
    assert (out / "again").read_text() == "x" * 300000


@pytest.mark.parametrize("text", [TEXT, MORE])
def test_a_layer_that_is_damaged_by_then_is_made_again(machines, tmp_path, text):
    _, made = machines.build("one", text)
    damage(layers(machines))
    outputs = (OutputSpec("tar", str(tmp_path / "out.tar")),)
    second, again = machines.build("two", text, outputs=outputs)
    assert len(runs(second)) == 2
    assert second.workspace.warnings().count("layer-lost") == 1  # then nothing is left there
    assert again.images[0].digest == made.images[0].digest
    third, _ = machines.build("three", text, outputs=outputs)
    assert (runs(third), third.workspace.warnings()) == (set(), [])


def test_a_cache_that_is_gone_by_then(machines):
    machines.build("one", TEXT)
    machines.build("two", TEXT)
    shutil.rmtree(machines.urls[0].place)
    second = machines.on("two")
    summary = second.build(MORE)
    assert summary.ok
    assert "layer-lost" in second.workspace.warnings()
    with LocalStore.open(second.workspace.home) as store:
        assert verify(store).findings == ()


def test_a_step_that_has_to_run_finds_its_stack_damaged(machines):
    _, made = machines.build("one", TEXT)
    damage(layers(machines))
    second, _ = machines.build("two", MORE)
    assert second.workspace.warnings().count("layer-lost") == 1
    assert len(runs(second)) == 3
    assert machines.on("two").build(TEXT).images[0].digest == made.images[0].digest


def layers_of(registry: Registry) -> set[str]:
    """The hex digests of the layers that records in the repository name."""
    with Registries(Settings.load({}), Credentials.load({})) as registries:
        there = registries.repository(Reference.parse(f"{registry.host}/team/cache"))
        records = [parse(there.manifest(tag).content, tag) for tag in there.tags()]
    return {b.digest.hex for r in records for b in r.blobs if b.media_type != TREE and b.size > 2}


@pytest.mark.parametrize("kind", ["file", "registry"])
def test_a_store_is_exported_and_imported_without_a_build(tmp_path, registry, kind):
    place = f"{registry.host}/team/cache" if kind == "registry" else f"{tmp_path}/cache"
    machines, url = Machines.make(tmp_path), CacheURL(kind, place)
    first = machines.on("one")
    made = first.build(TEXT)
    exported = export_cache(first.workspace.home, url, {}, lambda _event: None)
    assert exported.moved > 4
    again = export_cache(first.workspace.home, url, {}, lambda _event: None)
    assert again == Exchanged(0, exported.moved, 0)
    second = machines.on("two")
    imported = import_cache(second.workspace.home, url, {}, lambda _event: None)
    assert (imported.moved + imported.there, imported.failed) == (exported.moved, 0)
    registry.stop()
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert second.build(MORE).ok
    assert runs(second) == {"ctx/stage-1/4-run"}
    assert second.build(TEXT).images[0].digest == made.images[0].digest
    with LocalStore.open(second.workspace.home) as store:
        assert verify(store).findings == ()


def test_what_cannot_be_imported_is_counted_and_told(machines):
    machines.build("one", TEXT)
    damage(layers(machines))
    events: list[Event] = []
    found = import_cache(machines.on("two").workspace.home, machines.urls[0], {}, events.append)
    assert found.failed
    assert {e.code for e in events if isinstance(e, Warned)} == {"cache-damaged"}


def test_layers_of_all_images_are_asked_for_at_once(tmp_path, monkeypatch):
    """They are big copies, which cost more to pack than to ask for."""
    first = Workspace.make(tmp_path).base()
    text = ""
    for name in ("a", "b", "c"):
        first.write(f"{name}/file", name * 300_000)
        text += f"""[step.{name}]
copy = [{{ from = "{name}", to = "/app/" }}]
[image.{name}-image]
on = ["box", "{name}"]
"""
    first.buildfile(text)
    caches = (CacheURL("file", f"{tmp_path}/cache"),)
    made = first.build(caches=caches)
    asked: list[int] = []
    look_up = Caches.look_up

    def counted(self, names):
        wanted = list(names)
        asked.append(sum(name.startswith("layer-") for name in wanted))
        return look_up(self, wanted)

    monkeypatch.setattr(Caches, "look_up", counted)
    fresh = Workspace(first.folder, tmp_path / "fresh")
    again = fresh.build(caches=caches)
    assert [one.digest for one in again.images] == [one.digest for one in made.images]
    assert [count for count in asked if count] == [3]
    assert again.metadata["bytes"]["fetched"] < 10_000
