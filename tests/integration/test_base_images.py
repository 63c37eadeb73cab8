"""Bases in a registry: what is pinned, what is downloaded and when, and that nothing is asked twice."""

import pytest
from support.remotebase import HERE, OTHER, base, fetched, push
from support.workspace import Workspace

from buildgraph.build.build import build
from buildgraph.build.looking import validate
from buildgraph.build.request import OutputSpec
from buildgraph.build.survey import list_targets, lock, plan
from buildgraph.errors import DifferenceError, RemoteError, UsageError
from buildgraph.spec.lock import parse
from buildgraph.store.local import LocalStore

COPIES = """buildfile = 1
[base.os]
image = "{host}/base/os:1"
[step.src]
copy = [{{ from = "src", to = "/data/app/" }}, {{ from = "src", to = "/opt/app/" }}]
[step.note]
write = {{ "/bin/note" = "n" }}
[image.app]
on = ["os", "src", "note"]
tags = ["shop/app:1"]
"""
RUNS = COPIES.replace(
    '[image.app]\non = ["os", "src", "note"]',
    '[step.made]\non = ["os", "src"]\nrun = "cat /opt/app/version > /made"\n[image.app]\non = ["made"]',
)


@pytest.fixture
def ws(tmp_path, registry):
    made = Workspace.make(tmp_path)
    made.write("src/a", "a\n")
    made.write("Buildfile.toml", COPIES.format(host=registry.host))
    return made


def layers(image):
    return image.source.manifest.layers


def pins(ws):
    return parse("Buildfile.lock", (ws.folder / "Buildfile.lock").read_bytes()).images


def away(ws, tmp_path, name):
    """The same workspace on a machine that knows nothing."""
    return Workspace(ws.folder, tmp_path / name)


# -- pins


def test_a_build_pins_what_the_tag_names(ws, registry, image):
    ws.build()
    ((key, pin),) = pins(ws).items()
    source = image.source
    assert key == (f"{registry.host}/base/os:1", str(HERE))
    assert (pin.index, pin.manifest) == ("", source.descriptor.digest)
    assert (pin.config, pin.config_size) == (
        source.manifest.config.digest,
        len(source.config_bytes),
    )


def test_a_moved_tag_waits_until_it_is_asked_for(ws, registry, image, tmp_path):
    first = ws.digests()
    newer = base(tmp_path / "newer", text="two\n")
    push(registry, "base/os", "1", newer)
    assert ws.digests() == first
    assert lock(ws.request(), None, update=False) == []
    old, new = image.source.descriptor.digest[:19], newer.source.descriptor.digest[:19]
    assert lock(ws.request(), ("os",), update=True) == [
        f"os: {registry.host}/base/os:1 for {HERE} {old} → {new}"
    ]
    assert ws.digests() != first
    assert ws.ran() == set()  # copies do not depend on what they lie on


def test_the_index_is_pinned_and_serves_other_platforms(ws, registry, tmp_path):
    mine, other = base(tmp_path / "mine"), base(tmp_path / "other", OTHER)
    index = push(registry, "base/os", "1", mine, other, index=True)
    ws.build()
    push(registry, "base/os", "1", base(tmp_path / "newer", OTHER, "2\n"))
    lock(ws.request(platform=str(OTHER)), None, update=False)
    found = pins(ws)
    assert {pin.index for pin in found.values()} == {index}
    assert {key[1]: pin.manifest for key, pin in found.items()} == {
        str(HERE): mine.source.descriptor.digest,
        str(OTHER): other.source.descriptor.digest,
    }


def test_an_update_moves_all_platforms_of_a_reference(ws, registry, tmp_path):
    both = [base(tmp_path / "a"), base(tmp_path / "b", OTHER)]
    push(registry, "base/os", "1", *both, index=True)
    for platform in (HERE, OTHER):
        lock(ws.request(platform=str(platform)), None, update=False)
    newer = base(tmp_path / "c", text="2\n")
    index = push(registry, "base/os", "1", newer, index=True)
    told = lock(ws.request(), None, update=True)
    assert len(told) == 2
    assert told[1].endswith(f"is no longer there for {OTHER}")
    assert [(key[1], pin.index) for key, pin in pins(ws).items()] == [(str(HERE), index)]


def test_a_base_that_is_an_image_of_the_workspace_means_that_image(ws, registry, image, tmp_path):
    own = '[base.own]\nimage = "docker.io/shop/app:1"\n[image.more]\non = ["own"]\n'
    ws.write("Buildfile.toml", COPIES.format(host=registry.host) + own)
    ws.build()
    newer = base(tmp_path / "newer", text="two\n")
    push(registry, "base/os", "1", newer)
    (told,) = lock(ws.request(), ("own",), update=True)
    assert told.startswith("os: ")
    assert told.endswith(newer.source.descriptor.digest[:19])
    ws.write(
        "Buildfile.toml",
        'buildfile = 1\n[base.none]\nscratch = true\n[step.note]\nwrite = { "/note" = "n" }\n'
        '[image.app]\non = ["none", "note"]\ntags = ["shop/app:1"]\n' + own,
    )
    with pytest.raises(UsageError) as caught:
        lock(ws.request(), ("base:own",), update=True)
    assert caught.value.code == "nothing-to-lock"


def test_an_update_of_everything_forgets_what_nothing_names(ws, registry, image):
    ws.build()
    ws.write("Buildfile.toml", "buildfile = 1\n[base.none]\nscratch = true\n")
    assert lock(ws.request(), None, update=True) == [f"{registry.host}/base/os:1: is gone"]
    assert pins(ws) == {}


def test_frozen_refuses_what_the_lock_lacks_and_asks_nobody(ws, registry, image):
    for ask in (lambda: ws.build(frozen=True), lambda: plan(ws.request(frozen=True))):
        with pytest.raises(DifferenceError) as caught:
            ask()
        assert caught.value.code == "not-locked"
        assert caught.value.message == "Buildfile.lock has no pins for os"
    assert registry.accesses() == []
    assert not (ws.folder / "Buildfile.lock").exists()
    ws.build()
    ws.build(frozen=True)


def test_questions_never_write_the_lock(ws, registry, image):
    steps = plan(ws.request())["steps"]
    assert {step["id"]: step["decision"] for step in steps} == {"src": "execute", "note": "execute"}
    assert not (ws.folder / "Buildfile.lock").exists()
    assert fetched(registry, layers(image)) == []


def test_what_nobody_asked_for_is_neither_pinned_nor_asked_for(ws, registry, image):
    ws.write(
        "Buildfile.toml",
        COPIES.format(host=registry.host)
        + '[base.gone]\nimage = "127.0.0.1:1/gone:1"\n[image.lost]\non = ["gone", "src"]\n',
    )
    ws.build("app")
    assert list(pins(ws)) == [(f"{registry.host}/base/os:1", str(HERE))]
    assert [t.name for t in list_targets(ws.request())] == [
        "os", "gone", "app", "src", "note", "lost"
    ]  # fmt: skip
    with pytest.raises(RemoteError) as caught:
        ws.build("lost")
    assert caught.value.code == "registry-unreachable"


# -- what is downloaded


def test_copies_on_a_base_cost_its_index_once_and_then_nothing(ws, registry, image):
    first = ws.build()
    assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))
    assert first.metadata["bytes"]["fetched"] == sum(layer.size for layer in layers(image))
    registry.forget()
    ws.write("src/a", "b\n")
    assert ws.build().metadata["bytes"]["fetched"] == 0
    assert registry.accesses() == []


def test_with_the_sidecar_a_machine_that_knows_nothing_downloads_no_layer(
    ws, registry, image, tmp_path
):
    (ws.folder / "Buildfile.lock.d").mkdir()
    lock(ws.request(), None, update=False)
    kept = sorted(path.name for path in (ws.folder / "Buildfile.lock.d").iterdir())
    assert len([name for name in kept if name.endswith(".dirs")]) == 3
    registry.forget()
    fresh = away(ws, tmp_path, "fresh")
    built = fresh.build()
    assert registry.accesses() == []
    assert built.metadata["bytes"]["fetched"] == 0
    made = fresh.digests()
    (ws.folder / "Buildfile.lock.d").rename(tmp_path / "aside")
    assert away(ws, tmp_path, "streams").digests() == made
    assert len(fetched(registry, layers(image))) == 3


def test_a_build_fills_the_sidecar_unless_it_is_frozen(ws, registry, image, tmp_path):
    ws.build()
    folder = ws.folder / "Buildfile.lock.d"
    folder.mkdir()
    away(ws, tmp_path, "frozen").build(frozen=True)
    assert list(folder.iterdir()) == []
    away(ws, tmp_path, "writes").build()
    assert len(list(folder.glob("*.dirs"))) == 3


def test_a_command_gets_every_layer_once(ws, registry, image):
    ws.write("Buildfile.toml", RUNS.format(host=registry.host))
    built = ws.build()
    assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))
    assert built.metadata["bytes"]["fetched"] == sum(layer.size for layer in layers(image))
    registry.forget()
    ws.write("Buildfile.toml", RUNS.format(host=registry.host).replace("> /made", "> /other"))
    ws.build(outputs=(OutputSpec("oci", "out"),))
    assert registry.accesses() == []


def test_copying_from_a_base_reads_it_once(ws, registry, image):
    ws.write(
        "Buildfile.toml",
        COPIES.format(host=registry.host).replace(
            '{ from = "src", to = "/data/app/" }', '{ from = "base:os", path = "/srv", to = "/s/" }'
        ),
    )
    steps = {step["id"]: step for step in plan(ws.request())["steps"]}
    assert (steps["src"]["decision"], steps["src"]["reason"]) == ("wait", "waits for os")
    assert fetched(registry, layers(image)) == []
    ws.build()
    assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker", "tar", "local"])
def test_an_output_gets_the_bytes_that_it_needs(ws, registry, image, kind, tmp_path):
    ws.build()
    registry.forget()
    built = ws.build(outputs=(OutputSpec(kind, f"out-{kind}"),))
    assert sorted(fetched(registry, layers(image))) == sorted(y.digest for y in layers(image))
    assert built.metadata["bytes"]["fetched"] == sum(layer.size for layer in layers(image))
    if kind in ("oci", "oci-archive"):
        assert validate(ws.home, str(ws.folder / f"out-{kind}"), {}) == []
    if kind == "local":
        assert (ws.folder / "out-local/srv/app/a").read_text() == "a\n"
        assert (ws.folder / "out-local/opt/app").stat().st_mode & 0o7777 == 0o750


# -- without the network


def test_a_known_base_needs_no_registry(ws, registry, image):
    first = ws.digests()
    registry.stop()
    assert ws.digests() == first
    ws.write("src/b", "b\n")
    ws.build()
    assert ws.ran() == {"src"}
    ws.build(frozen=True)


def test_an_unknown_base_without_its_registry_is_exit_code_4(ws, registry, image, tmp_path):
    registry.stop()
    for ask in (ws.build, lambda: plan(ws.request())):
        with pytest.raises(RemoteError) as caught:
            ask()
        assert caught.value.exit_code == 4
        assert caught.value.code == "registry-unreachable"
        assert caught.value.where.line == 3


# -- images of the store that stand on it


def test_the_store_names_an_image_whose_base_is_elsewhere(ws, registry, image):
    ws.build()
    with LocalStore.open(ws.home) as store:
        for layer in layers(image):
            assert not store.blobs.has(layer.digest)
            assert store.origins.places(layer.digest) == (f"{registry.host}/base/os",)
    registry.forget()
    assert validate(ws.home, "shop/app:1", {}) == []
    assert len(fetched(registry, layers(image))) == 3


# -- what may go wrong


@pytest.mark.parametrize("reference", ["base/os:2", "other:1"])
def test_a_reference_that_the_registry_does_not_know(ws, registry, image, reference):
    text = COPIES.format(host=registry.host).replace("base/os:1", reference)
    ws.write("Buildfile.toml", text)
    with pytest.raises(UsageError) as caught:
        ws.build()
    assert caught.value.code == "unknown-image"
    assert reference in caught.value.message
    assert caught.value.where.line == 3


def test_an_image_for_other_platforms_only(ws, registry, tmp_path):
    push(registry, "base/os", "1", base(tmp_path / "other", OTHER), index=True)
    with pytest.raises(Exception, match=str(OTHER)) as caught:
        ws.build()
    assert caught.value.code == "no-platform"


def test_a_pin_whose_image_was_deleted(ws, registry, image, tmp_path):
    ws.build()
    lockfile = ws.folder / "Buildfile.lock"
    lockfile.write_text(
        lockfile.read_text().replace(image.source.descriptor.digest, "sha256:" + "0" * 64)
    )
    with pytest.raises(RemoteError) as caught:
        away(ws, tmp_path, "fresh").build()
    assert caught.value.code == "image-gone"


def test_builds_at_once_pin_the_same(ws, registry, image, tmp_path):
    digests = {
        str(build(away(ws, tmp_path, f"h{n}").request(), lambda _: None).metadata["targets"])
        for n in range(2)
    }
    assert len(digests) == 1
