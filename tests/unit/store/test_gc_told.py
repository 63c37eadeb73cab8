"""What a collection says about what it leaves."""

import pytest
from support.stores import KIB, image, make

from buildgraph.store import gc
from buildgraph.store.local import LocalStore


@pytest.fixture
def home(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        one = make(store, "one", seconds=1, size=64 * KIB)
        make(store, "two", below=(one.result.tree,), seconds=50)
    return tmp_path / "home"


def told(home, **limits):
    with LocalStore.open(home, clock=lambda: 100_000.0) as store:
        found = gc.collect(store, dry_run=True, **limits)
    return {each.name: each.reason for each in found.staying}, found


def test_what_stays_is_told_with_the_reason(home):
    stays, found = told(home)
    assert len(stays) == 2
    assert all(reason.startswith("within the limits: ") for reason in stays.values())
    sizes = [each.size for each in found.staying]
    assert sizes == sorted(sizes, reverse=True)


def test_what_goes_is_not_told_to_stay(home):
    stays, found = told(home, max_size=0)
    assert stays == {}
    assert len(found.evicted) == 2


def test_a_running_build_keeps_what_it_uses(home):
    with LocalStore.open(home) as other:
        kept = make(other, "three")
        stays, _ = told(home, max_size=0)
        assert list(stays.values()) == ["a running build uses it"]
        assert kept.result.tree


def test_images_are_one_line(home):
    with LocalStore.open(home) as store:
        store.images.tag("shop/api:1", image(store, make(store, "layer")))
    stays, _ = told(home)
    assert stays["images"] == "they have names"
