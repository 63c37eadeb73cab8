import pytest
from support.stores import KIB, check_by_file, image, make

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.store import gc
from buildgraph.store.base import LayerFacts
from buildgraph.store.inventory import folder_size, take
from buildgraph.store.local import LocalStore
from buildgraph.store.reach import blob_path
from buildgraph.store.usage import info, ls
from buildgraph.store.verify import verify

NOW_SECONDS = 100_000
NOW = float(NOW_SECONDS)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def built(home):
    """What another session built before: a chain one <- two <- three, and four alone."""
    with LocalStore.open(home) as store:
        one = make(store, "one", seconds=1)
        two = make(store, "two", below=(one.result.tree,), seconds=50)
        three = make(store, "three", below=(two.result.tree,), seconds=1)
        four = make(store, "four", seconds=4, size=64 * KIB)
        return {"one": one, "two": two, "three": three, "four": four}


# Every look at the store is a session of its own, because a session keeps what it looked at.


def collect(home, **limits):
    with LocalStore.open(home, clock=lambda: NOW) as store:
        return gc.collect(store, **limits)


def look(home, at):
    with LocalStore.open(home) as store:
        return at(store)


def damage(home):
    return look(home, lambda store: verify(store, check_by_file).findings)


def alive(home, name):
    return look(home, lambda store: store.index().get(f"action:a-{name}") is not None)


def names(home):
    return {name for name in ("one", "two", "three", "four") if alive(home, name)}


def total(home):
    return look(home, lambda store: take(store).total)


def write(home, key, value):
    look(home, lambda store: store.index().set(key, value))


def test_without_limits_only_garbage_goes(home, built):
    with LocalStore.open(home) as other:
        orphan = other.blobs.put(b"nobody refers to this")
        (other.snapshots_dir / "sha256-00").mkdir()
    done = collect(home)
    assert {(e.name, e.reason) for e in done.evicted} == {
        (orphan, "nothing refers to it"),
        ("sha256-00", "nothing refers to it"),
    }
    assert not blob_path(home, orphan).exists()
    assert not (home / "snapshots" / "sha256-00").exists()
    assert names(home) == {"one", "two", "three", "four"}
    assert not damage(home)


def test_a_dry_run_tells_and_leaves(home, built):
    before = look(home, LocalStore.generation)
    told = collect(home, max_size=0, dry_run=True)
    assert look(home, LocalStore.generation) == before
    assert names(home) == {"one", "two", "three", "four"}
    done = collect(home, max_size=0)
    assert done == told
    assert done.kept == total(home) == 0


def test_the_least_worth_per_byte_goes_first(home, built):
    """four took longer than three, but is eight times as big."""
    done = collect(home, max_size=total(home) - 1)
    assert [e.name for e in done.evicted] == [f"run {built['four'].result.tree[:19]}"]
    assert done.evicted[0].reason == "4.0 s to make, never reused"
    assert done.freed >= 128 * KIB
    assert names(home) == {"one", "two", "three"}


def test_reuse_makes_worth(home, built):
    for name, count in ("four", 100), ("three", 0):
        write(home, f"use:a-{name}", {"count": count, "last": 99_000})
    done = collect(home, max_size=total(home) - 1)
    assert built["three"].result.tree[:19] in done.evicted[0].name
    assert names(home) == {"one", "two", "four"}


def test_leaves_go_before_what_they_stand_on(home, built):
    """one is worth least of all, but two and three were computed from it."""
    size = total(home)
    for expected in ({"one", "two", "three"}, {"one", "two"}, {"one"}, set()):
        done = collect(home, max_size=size - 1)
        size = done.kept
        assert names(home) == expected
        assert not damage(home)
    assert size == 0


def test_the_size_is_reached_in_one_go(home, built):
    done = collect(home, max_size=20 * KIB)
    assert done.kept <= 20 * KIB
    assert done.kept == total(home)
    assert done.excess == 0


def test_everything_of_a_result_goes_with_it(home, built):
    collect(home, max_size=0)
    assert look(home, lambda store: store.index().keys()) == ()
    assert list((home / "blobs" / "sha256").iterdir()) == []
    assert list((home / "blobs" / "blake3").iterdir()) == []
    assert list((home / "snapshots").iterdir()) == []
    assert list((home / "trash").iterdir()) == []


def test_images_keep_their_blobs_but_not_their_cache(home, built):
    with LocalStore.open(home) as other:
        manifest = image(other, built["one"], built["four"])
        other.images.tag("a:1", manifest)
    done = collect(home, max_size=0)
    assert done.excess == done.kept > 0
    assert not built["four"].snapshot.exists()
    assert blob_path(home, built["four"].form.digest).exists()
    assert not blob_path(home, built["two"].form.digest).exists()
    assert look(home, lambda store: store.layers.forms(built["four"].layer)), "made only once"
    assert not damage(home)
    assert collect(home, max_size=0).evicted == ()
    look(home, lambda store: store.images.untag(["a:1"]))
    assert collect(home, max_size=0).kept == 0


def test_what_is_old_goes_and_what_is_used_keeps_what_is_below(home, built):
    """Made at 1000, now 100,000; three was used since."""
    write(home, "use:a-three", {"count": 1, "last": 99_000})
    done = collect(home, max_age=50_000)
    assert [e.reason for e in done.evicted] == ["not used for 1 day"]
    assert names(home) == {"one", "two", "three"}


def test_a_clock_that_ran_ahead_makes_nothing_old(home, built):
    for name in built:
        write(home, f"use:a-{name}", {"count": 1, "last": 10**12})
    assert collect(home, max_age=1).evicted == ()


def test_what_a_live_session_relies_on_stays(home, built):
    with LocalStore.open(home) as build:
        build.records.by_step([StepKey("s-two")])
        collect(home, max_size=0)
        assert names(home) == {"two"}
        assert built["two"].snapshot.exists()
        assert build.snapshot(built["two"].snapshot.name)
    assert collect(home, max_size=0).kept == 0


@pytest.mark.parametrize("by", ["tree", "layer", "snapshot"])
def test_a_unit_is_kept_by_any_of_its_names(home, built, by):
    two = built["two"]
    spelled = {"tree": two.result.tree, "layer": two.layer, "snapshot": two.snapshot.name}
    with LocalStore.open(home) as build:
        build.lease.name(spelled[by])
        collect(home, max_size=0)
        assert names(home) == {"two"}


def test_what_is_named_between_choice_and_deletion_comes_back(home, built, monkeypatch):
    """The race of DESIGN: the builder names, looks, misses, and looks again under the lock."""
    build = LocalStore.open(home)
    real = gc._Sweep._throw
    two = built["two"]

    def throw_then_name(self, batch, thrown):
        real(self, batch, thrown)
        if not two.snapshot.exists():
            build.lease.name(two.result.tree)

    monkeypatch.setattr(gc._Sweep, "_throw", throw_then_name)
    done = collect(home, max_size=0)
    assert names(home) == {"two"}
    assert two.snapshot.is_dir()
    assert build.records.by_action(two.result.action) == two.result
    assert all(two.result.tree[:19] not in e.name for e in done.evicted)
    assert done.kept == total(home) > 0
    build.close()


def test_what_is_tagged_meanwhile_comes_back(home, built, monkeypatch):
    manifest = look(home, lambda store: image(store, built["two"]))
    real = gc._Sweep._throw

    def tag_then_throw(self, batch, thrown):
        with LocalStore.open(home) as other:
            other.images.tag("a:1", manifest)
        real(self, batch, thrown)

    monkeypatch.setattr(gc._Sweep, "_throw", tag_then_throw)
    collect(home, max_size=0)
    assert not damage(home)
    assert blob_path(home, built["two"].form.digest).exists()
    assert look(home, lambda store: store.images.resolve("a:1")) == manifest


def test_a_session_that_ends_during_the_collection_keeps_what_it_recorded(home, monkeypatch):
    real = gc.take

    def take_then_build(store):
        inventory = real(store)
        with LocalStore.open(home) as build:
            make(build, "late")
        return inventory

    look(home, lambda store: make(store, "early"))
    monkeypatch.setattr(gc, "take", take_then_build)
    collect(home, max_size=0)
    monkeypatch.undo()
    assert alive(home, "late")
    assert not alive(home, "early")
    assert not damage(home)


def test_an_interrupt_brings_back_what_was_thrown(home, built, monkeypatch):
    def interrupt(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(gc._Sweep, "_named_since", interrupt)
    with pytest.raises(KeyboardInterrupt):
        collect(home, max_size=0)
    assert names(home) == {"one", "two", "three", "four"}
    assert not damage(home)


def test_results_that_were_computed_from_each_other_go_too(home):
    with LocalStore.open(home) as other:
        a, b = (Digest.blake3(f"tree of {name}".encode()) for name in "ab")
        make(other, "a", below=(b,))
        make(other, "b", below=(a,))
    assert collect(home, max_size=0).kept == 0


def test_shared_things_go_with_the_last_who_has_them(home):
    with LocalStore.open(home) as other:
        one = make(other, "one", seconds=1)
        same = other.blobs.put(b"another tree", "blake3")
        two = one.result.__class__("run", ActionKey("a-two"), (), same, one.layer, 1, 99.0, 1)
        other.records.put_if_absent(two.action, two)
    write(home, "use:a-two", {"count": 1, "last": NOW_SECONDS})
    done = collect(home, max_age=1000)
    assert (len(done.evicted), done.freed) == (1, 0)
    assert alive(home, "two")
    assert not alive(home, "one")
    assert not damage(home)
    assert blob_path(home, one.form.digest).exists()
    assert collect(home, max_size=0).kept == 0


def test_a_base_layer_stays_as_long_as_something_stands_on_it(home):
    with LocalStore.open(home) as other:
        base = Digest.sha256(b"base tar")
        tree = other.blobs.put(b"tree of the base", "blake3")
        other.layers.put_facts(base, LayerFacts(tree, 100))
        (other.snapshots_dir / f"sha256-{base.hex}").mkdir()
        other.layers.put_dirs(base, b"index")
        make(other, "one", below=(base,), seconds=0)
    collect(home, max_size=total(home) - 1)
    assert not alive(home, "one")
    assert look(home, lambda store: store.layers.facts(base))
    assert look(home, lambda store: store.layers.dirs(base)) == b"index"
    collect(home, max_size=0)
    assert look(home, lambda store: store.layers.dirs(base)) is None
    assert total(home) == 0


def test_a_history_outlives_the_results_it_tells_of(home, built):
    """Its key documents, and the listings that they name, are for explanations."""

    def remember(store):
        listing = store.blobs.put(b"what was selected", "blake3")
        store.records.put_document("a-two", b'{"files":"%s"}' % listing.encode())
        store.records.remember("ws/two", {"decision": "execute", "document": "a-two"})
        return listing

    listing = look(home, remember)
    collect(home)
    assert blob_path(home, listing).exists()
    done = collect(home, max_size=5 * KIB)
    assert len(done.evicted) == 4
    assert names(home) == set()
    assert look(home, lambda store: store.records.history("ws/two"))
    assert look(home, lambda store: store.records.document("a-two"))
    assert look(home, lambda store: store.records.document("a-one")) is None
    assert blob_path(home, listing).exists()
    assert [e.name for e in collect(home, max_size=0).evicted] == ["history of ws/two"]
    assert look(home, lambda store: store.index().keys()) == ()


def test_a_placed_recipe_and_a_bind_are_kept_until_the_size_says_no(home):
    def place(store):
        placed = store.blobs.put(b"a recipe as it lies on its stack", "blake3")
        layer = Digest.sha256(b"its tar")
        store.layers.put_recipe(placed, "", layer)
        store.layers.put_facts(layer, LayerFacts(placed, 7))
        (store.snapshots_dir / f"tree-{placed.hex}").mkdir()
        bind = store.blobs.put(b"a selection", "blake3")
        (store.snapshots_dir / f"tree-{bind.hex}").mkdir()

    look(home, place)
    assert collect(home).evicted == ()
    assert collect(home, max_age=10**12).evicted == ()
    done = collect(home, max_size=1)
    assert len(done.evicted) == 2
    assert done.kept == 0


def test_a_document_about_a_base_goes_with_the_base(home):
    def describe(store):
        base = Digest.sha256(b"base tar")
        store.layers.put_facts(base, LayerFacts(store.blobs.put(b"tree", "blake3"), 7))
        store.records.put_document("rootfs-00", b'{"diff_id":"%s"}' % base.encode())
        store.records.put_document("rootfs-11", b'{"diff_id":"gone"}')

    look(home, describe)
    collect(home)
    assert look(home, lambda store: store.records.document("rootfs-00"))
    assert look(home, lambda store: store.records.document("rootfs-11")) is None
    collect(home, max_size=0)
    assert look(home, lambda store: store.index().keys()) == ()


def test_what_is_told_names_the_step(home, built):
    entry = {"decision": "execute", "key": "a-four"}
    look(home, lambda store: store.records.remember("ws/four", entry))
    done = collect(home, max_size=total(home) - 1)
    assert [e.name for e in done.evicted] == ["ws/four"]
    assert {kept.label[:11] for kept in look(home, ls)} == {"run blake3:"}


def test_a_file_with_two_names_is_counted_once(tmp_path):
    alone, twice = tmp_path / "alone", tmp_path / "twice"
    for folder in (alone, twice):
        folder.mkdir()
        (folder / "file").write_bytes(b"x" * 64 * KIB)
    (twice / "again").hardlink_to(twice / "file")
    assert folder_size(twice) == folder_size(alone)


def test_usage_adds_up(home, built):
    usage = look(home, info)
    parts = {part.name: part for part in usage.parts}
    assert parts["blobs"].count == 8
    assert parts["snapshots"].count == 4
    assert parts["blobs"].size + parts["snapshots"].size == total(home)
    assert usage.total > total(home)
    assert set(parts) == {path.name for path in home.iterdir() if path.is_dir()}
    assert next(iter(look(home, ls))).layers == (built["four"].layer,)


def test_old_plans_go_with_age(home):
    plan = look(home, lambda store: store.plans / "plan")
    plan.write_bytes(b"x")
    collect(home, max_age=10**10)
    assert plan.exists()
    collect(home, max_age=-(10**12))
    assert not plan.exists()


def test_what_was_set_aside_as_damaged_goes(home):
    (home / "records.damaged-00").mkdir(parents=True)
    with LocalStore.open(home) as other:
        other.blobs.put(b"garbage")
    collect(home)
    assert not list(home.glob("*.damaged-*"))
