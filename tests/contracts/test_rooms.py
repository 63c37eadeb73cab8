"""Rooms: each command's own, made ahead or not, and gone without a trace."""

import os
import stat
from pathlib import Path

import pytest
from support import sandboxes

from buildgraph.sandbox.room import DEVICES, Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    sandboxes.private_mounts()
    return Rooms(tmp_path, dev=True)


def listed(room: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(top, name), room)
        for top, *found in os.walk(room)
        for names in found
        for name in names
    )


@pytest.mark.parametrize("ahead", [True, False])
def test_a_room_is_furnished_the_same_whenever_it_was_made(
    rooms: Rooms, tmp_path: Path, ahead: bool
) -> None:
    before = os.umask(0o077)
    try:
        if ahead:
            rooms.furnish()
        with rooms.open() as room:
            assert {"root", "empty", "dev/null", "dev/shm", "dev/pts", "dev/fd"} <= set(
                listed(room)
            )
            assert stat.S_IMODE((room / "dev").stat().st_mode) == 0o755
            assert stat.S_IMODE((room / "dev/shm").stat().st_mode) == 0o1777
            assert all((room / "dev" / name).lstat().st_mode & 0o777 == 0o666 for name in DEVICES)
    finally:
        os.umask(before)
    assert [os.listdir(place) for place in tmp_path.iterdir()] == [[]]


def test_nobody_finds_what_another_left(rooms: Rooms) -> None:
    for _ in range(3):
        with rooms.open() as room:
            assert listed(room / "dev/shm") == []
            rooms.furnish()
            (room / "dev/shm/left").touch()


def test_what_a_room_was_mounted_on_is_used_again(tmp_path: Path) -> None:
    sandboxes.private_mounts()
    rooms = Rooms(tmp_path, dev=False)
    with rooms.open() as first:
        pass
    with rooms.open() as second:
        assert second == first
    assert os.listdir(tmp_path) == [first.name]
    del rooms
    assert os.listdir(tmp_path) == []


def test_two_at_once_have_a_room_each(rooms: Rooms) -> None:
    rooms.furnish()
    with rooms.open() as one, rooms.open() as two:
        (one / "mine").touch()
        assert not (two / "mine").exists()


def test_a_room_that_nobody_came_for_costs_no_descriptor(tmp_path: Path) -> None:
    sandboxes.private_mounts()
    before = len(os.listdir("/proc/self/fd"))
    rooms = Rooms(tmp_path, dev=False)
    rooms.furnish()
    rooms.furnish()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del rooms
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.listdir(tmp_path) == []
