"""Dirs indexes of bases that come with a remote cache: files are laid over a base of which no byte is fetched."""

import io

import pytest
from support.remotebase import fetched
from support.workspace import Workspace

from buildgraph.build.exchange import Exchanged, export_cache, import_cache
from buildgraph.digest import Digest
from buildgraph.events import Event, Warned
from buildgraph.fs import dirs
from buildgraph.names import Reference
from buildgraph.oci.descriptor import MANIFEST, Descriptor
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.remote.record import DIRS, Record, dirs_name, parse
from buildgraph.remote.repository import PREFIX
from buildgraph.spec.cacheurl import parse as url
from buildgraph.store.gc import collect
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

BUILDFILE = """buildfile = 1
[base.os]
image = "{host}/base/os:1"
[step.src]
copy = [{{ from = "src", to = "/opt/app/" }}]
[image.app]
on = ["os", "src"]
tags = ["{host}/shop/app:1"]
"""


@pytest.fixture
def ws(tmp_path, registry, image):
    made = Workspace.make(tmp_path)
    made.write("src/a", "a\n")
    made.write("Buildfile.toml", BUILDFILE.format(host=registry.host))
    return made


@pytest.fixture(params=["registry", "file"])
def cache(request, registry, tmp_path):
    place = f"{registry.host}/team/cache" if request.param == "registry" else tmp_path / "cache"
    return url(f"{request.param}://{place}")


def layers(image):
    return image.source.manifest.layers


def elsewhere(ws, tmp_path, name):
    return Workspace(ws.folder, tmp_path / name)


def test_a_fresh_machine_fetches_no_byte_of_the_base(ws, registry, image, cache, tmp_path):
    first = ws.build(caches=(cache,))
    registry.forget()
    fresh = elsewhere(ws, tmp_path, "fresh")
    made = fresh.build(caches=(cache,), push="all")
    assert fetched(registry, layers(image)) == []
    assert made.images[0].digest == first.images[0].digest
    assert made.metadata["bytes"]["mounted"] == sum(layer.size for layer in layers(image))
    with LocalStore.open(fresh.home) as store:
        assert verify(store).findings == ()
        collect(store)
    registry.forget()
    ws.write("src/b", "b\n")
    fresh.build()
    assert fetched(registry, layers(image)) == []
    asked = [a.path for a in registry.accesses() if "dirs" in a.path]
    assert asked == []  # it is this machine's now


def test_what_a_machine_knew_before_it_had_a_cache_goes_there(ws, registry, image, cache, tmp_path):
    ws.build()
    ws.write("src/b", "b\n")
    ws.build(caches=(cache,))
    registry.forget()
    elsewhere(ws, tmp_path, "fresh").build(caches=(cache,))
    assert fetched(registry, layers(image)) == []


def test_they_are_exported_and_imported_without_a_build(ws, registry, image, cache, tmp_path):
    events: list[Event] = []
    first = ws.build()
    exported = export_cache(ws.home, cache, {}, events.append)
    assert export_cache(ws.home, cache, {}, events.append) == Exchanged(0, exported.moved, 0)
    fresh = elsewhere(ws, tmp_path, "fresh")
    import_cache(fresh.home, cache, {}, events.append)
    assert import_cache(fresh.home, cache, {}, events.append).moved == 0
    registry.forget()
    assert fresh.build(push="all").images[0].digest == first.images[0].digest
    assert fetched(registry, layers(image)) == []
    third = elsewhere(ws, tmp_path, "third")
    onwards = url(f"file://{tmp_path}/onwards")
    export_cache(fresh.home, onwards, {}, events.append)
    import_cache(third.home, onwards, {}, events.append)
    third.build()
    assert fetched(registry, layers(image)) == []
    assert [one for one in events if isinstance(one, Warned)] == []


def test_an_index_of_another_layer_is_not_imported(ws, registry, image, tmp_path):
    folder = tmp_path / "cache"
    ws.build(caches=(url(f"file://{folder}"),))
    one, two = (folder / "records" / dirs_name(d) for d in image.source.config.diff_ids[:2])
    two.write_bytes(one.read_bytes())
    events: list[Event] = []
    found = import_cache(tmp_path / "fresh", url(f"file://{folder}"), {}, events.append)
    assert found.failed == 1
    assert [e.code for e in events if isinstance(e, Warned)] == ["cache-damaged"]
    with LocalStore.open(tmp_path / "fresh") as store:
        known = [store.layers.dirs(one) is not None for one in image.source.config.diff_ids]
    assert known == [True, False, True]


def test_a_cache_that_is_only_read_gets_none(ws, registry, image, tmp_path):
    cache = url(f"file://{tmp_path}/cache?mode=read")
    ws.build(caches=(cache,))
    elsewhere(ws, tmp_path, "fresh").build(caches=(cache,))
    assert len(fetched(registry, layers(image))) == 2 * len(layers(image))


@pytest.mark.parametrize("content", [b"no index", b""])
def test_an_index_that_is_none_costs_a_warning_and_is_replaced(
    ws, registry, image, tmp_path, content
):
    place = f"{registry.host}/team/cache"
    cache = url(f"registry://{place}")
    first = ws.build(caches=(cache,))
    name = dirs_name(image.source.config.diff_ids[0])
    bad = Descriptor(DIRS, Digest.sha256(content), len(content))
    with Registries(Settings.load({}), Credentials.load({})) as registries:
        there = registries.repository(Reference.parse(place))
        there.upload(bad, lambda: io.BytesIO(content))
        there.put_manifest(Record(dirs=bad).to_bytes(), MANIFEST, PREFIX + name)
        fresh = elsewhere(ws, tmp_path, "fresh")
        made = fresh.build(caches=(cache,))
        assert fresh.warnings() == ["cache-damaged"]
        assert made.images[0].digest == first.images[0].digest
        found = there.manifest(PREFIX + name)
        assert found is not None
        assert parse(found.content, name).dirs != bad
    third = elsewhere(ws, tmp_path, "third")
    third.build(caches=(cache,))
    assert third.warnings() == []


def test_an_index_is_taken_apart_once_to_check_it_and_once_to_use_it(
    ws, registry, image, tmp_path, monkeypatch
):
    cache = url(f"file://{tmp_path}/cache")
    ws.build(caches=(cache,))
    decoded = []
    decode = dirs.decode
    monkeypatch.setattr(dirs, "decode", lambda *of: decoded.append(of[0]) or decode(*of))
    elsewhere(ws, tmp_path, "fresh").build(caches=(cache,))
    assert sorted(decoded) == sorted(2 * image.source.config.diff_ids)
