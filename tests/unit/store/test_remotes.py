"""What was seen in registries is remembered, by repository, until the registry is found to have lost it."""

import pytest

from buildgraph.digest import Digest
from buildgraph.store.local import LocalStore
from buildgraph.store.remotes import LocalKnown

A, B = Digest.sha256(b"a"), Digest.sha256(b"b")


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        yield store


def test_what_was_seen_is_known_to_the_next_command(store):
    known = LocalKnown(store.index)
    known.add("r:5000/shop/api", A)
    assert known.has("r:5000/shop/api", A)
    assert not LocalKnown(store.index).has("r:5000/shop/api", A)
    known.save()
    later = LocalKnown(store.index)
    assert later.has("r:5000/shop/api", A)
    assert not later.has("r:5000/shop/api", B)
    assert not later.has("r:5000/shop/web", A)


def test_other_repositories_of_the_same_host_are_places_to_mount_from(store):
    known = LocalKnown(store.index)
    for name in ("r/web", "r/api", "other/web"):
        known.add(name, A)
    known.save()
    found = LocalKnown(store.index).places("r/api", [A, B])
    assert found == {A: ("web",), B: ()}


def test_what_a_registry_lost_is_forgotten(store):
    known = LocalKnown(store.index)
    known.add("r/web", A)
    known.save()
    known.forget("r/web")
    known.save()
    assert not LocalKnown(store.index).has("r/web", A)
