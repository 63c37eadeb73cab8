"""What was seen in registries is remembered, by repository, until the registry is found to have lost it."""

import os
from itertools import count

import pytest

from buildgraph.digest import Digest
from buildgraph.store.remotes import LocalKnown

A, B = Digest.sha256(b"a"), Digest.sha256(b"b")


@pytest.fixture
def opened(tmp_path):
    """As each new command opens it."""
    numbers = count()
    (tmp_path / "seen").mkdir()
    return lambda: LocalKnown(tmp_path / "seen", lambda: tmp_path / f"temp{next(numbers)}")


def test_what_was_seen_is_known_to_the_next_command(opened):
    known = opened()
    known.add("r:5000/shop/api", A)
    assert known.has("r:5000/shop/api", A)
    assert not opened().has("r:5000/shop/api", A)
    known.save()
    later = opened()
    assert later.has("r:5000/shop/api", A)
    assert not later.has("r:5000/shop/api", B)
    assert not later.has("r:5000/shop/web", A)
    assert not later.has("r:5000/shop", A)


def test_other_repositories_of_the_same_host_are_places_to_mount_from(opened):
    known = opened()
    for name in ("r/web", "r/api", "r/shop/web", "other/web"):
        known.add(name, A)
    assert known.places("r/api", [A, B]) == {A: ("shop/web", "web"), B: ()}
    known.save()
    assert opened().places("r/api", [A, B]) == {A: ("shop/web", "web"), B: ()}


def test_what_was_said_to_be_there_is_tried_last_and_not_relied_on(opened):
    known = opened()
    known.hear("r/base", [A, B])
    known.add("r/web", A)
    known.add("r/base", B)
    known.save()
    later = opened()
    assert not later.has("r/base", A)
    assert later.places("r/api", [A, B]) == {A: ("web", "base"), B: ("base",)}


def test_what_a_registry_lost_is_forgotten(opened):
    known = opened()
    known.add("r/web", A)
    known.save()
    known.forget("r/web")
    known.add("r/web", B)
    known.save()
    assert not opened().has("r/web", A)
    assert opened().has("r/web", B)


def test_two_commands_at_once_add_to_each_other(opened):
    one, other = opened(), opened()
    one.add("r/web", A)
    other.add("r/web", B)
    one.save()
    other.save()
    assert opened().has("r/web", A)
    assert opened().has("r/web", B)


def test_a_second_save_writes_nothing(opened, tmp_path):
    known = opened()
    known.add("r/web", A)
    known.save()
    known.add("r/web", A)
    known.save()
    assert (tmp_path / "seen/r/web").read_text() == f"{A}\n"


def test_a_line_that_a_crash_cut_is_left_out(opened, tmp_path):
    known = opened()
    known.add("r/web", A)
    known.save()
    with (tmp_path / "seen/r/web").open("a") as file:
        file.write(str(B)[:20])
    later = opened()
    later.add("r/web", B)
    later.save()
    assert (tmp_path / "seen/r/web").read_text() == f"{A}\n{B}\n"


def test_the_latest_are_kept_of_very_many(opened, tmp_path):
    many = [Digest(f"sha256:{number:064x}") for number in range(9000)]
    known = opened()
    for digest in many:
        known.add("r/web", digest)
    known.save()
    later = opened()
    assert later.has("r/web", many[-1])
    assert not later.has("r/web", many[0])
    later.save()
    assert (tmp_path / "seen/r/web").read_text().split() == [str(one) for one in many[-4096:]]


def test_what_cannot_be_kept_costs_requests_and_no_error(opened, tmp_path):
    (tmp_path / "seen/r").write_text("a file where the folder of a host would be")
    known = opened()
    known.add("r/web", A)
    known.save()
    assert not opened().has("r/web", A)
    assert opened().places("r/api", [A]) == {A: ()}
    assert os.listdir(tmp_path / "seen") == ["r"]
