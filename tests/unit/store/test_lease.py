import fcntl
import os
import threading

import pytest

from buildgraph.errors import MachineError
from buildgraph.store import lease
from buildgraph.store.lease import Lease, abandoned, dead, not_collecting, relied_on, single_flight


def test_names_are_lines_and_each_is_written_once(tmp_path):
    held = Lease(tmp_path / "1-a.lease")
    held.name("sha256:1", "sha256:2")
    held.name("sha256:2", "tree-3")
    assert held.path.read_text() == "sha256:1\nsha256:2\ntree-3\n"
    assert relied_on(tmp_path) == {"sha256:1", "sha256:2", "tree-3"}
    held.release()
    assert not held.path.exists()
    held.release()


def test_a_line_without_its_end_does_not_count(tmp_path):
    (tmp_path / "1-a.lease").write_text("sha256:1\nsha256:2")
    assert relied_on(tmp_path) == {"sha256:1"}


def test_only_held_leases_live(tmp_path):
    held = Lease(tmp_path / "1-a.lease")
    held.hold()
    (tmp_path / "2-b.lease").write_text("sha256:1\n")
    assert dead(tmp_path) == {"2-b.lease"}
    with abandoned(held.path) as nobody:
        assert not nobody
    with abandoned(tmp_path / "never.lease") as nobody:
        assert nobody
    held.release()


def test_a_lease_that_ends_during_a_collection_still_counts(tmp_path):
    held = Lease(tmp_path / "1-a.lease")
    held.name("sha256:1")
    with lease.locked(tmp_path / "collect.lock"):
        ended = dead(tmp_path)
        held.release()
        assert relied_on(tmp_path, but=ended) == {"sha256:1"}
        with not_collecting(tmp_path) as free:
            assert not free
    assert dead(tmp_path) == {"1-a.lease"}


def test_a_torn_line_is_not_glued_to_the_next(tmp_path, monkeypatch):
    held = Lease(tmp_path / "1-a.lease")
    held.hold()
    real = os.write

    def full(fd, content):
        real(fd, bytes(content)[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lease.os, "write", full)
    with pytest.raises(MachineError) as caught:
        held.name("sha256:1")
    assert caught.value.code == "no-space"
    monkeypatch.undo()
    held.name("sha256:2")
    assert "sha256:2" in relied_on(tmp_path)
    held.release()


def test_one_flight_at_a_time_between_threads(tmp_path):
    inside = []
    most = []

    def fly():
        with single_flight(tmp_path, "key") as mine:
            assert mine
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=fly) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 16
    assert not list(tmp_path.iterdir())


def test_waiting_ends_when_cancelled(tmp_path):
    cancelled = threading.Event()
    with single_flight(tmp_path, "key"):
        cancelled.set()
        with single_flight(tmp_path, "key", cancelled) as mine:
            assert not mine


def test_flights_of_other_keys_do_not_wait(tmp_path):
    with single_flight(tmp_path, "one") as one, single_flight(tmp_path, "two") as two:
        assert one
        assert two


def test_a_file_that_a_killed_process_left_is_taken_over(tmp_path):
    with single_flight(tmp_path, "key"):
        (name,) = os.listdir(tmp_path)
    (tmp_path / name).touch()
    with single_flight(tmp_path, "key") as mine:
        assert mine
    assert not list(tmp_path.iterdir())


def test_whoever_locked_a_removed_file_starts_over(tmp_path, monkeypatch):
    real = fcntl.flock
    removed = []

    def flock(fd, how):
        real(fd, how)
        if not removed:
            removed.append(os.unlink(next(tmp_path.iterdir())))

    monkeypatch.setattr(lease.fcntl, "flock", flock)
    with single_flight(tmp_path, "key") as mine:
        assert mine
        assert len(list(tmp_path.iterdir())) == 1
