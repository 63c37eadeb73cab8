"""Threads that run commands have their mounts to themselves."""

import os
import threading
from pathlib import Path

from support import sandboxes

from buildgraph.sandbox.apart import aside
from buildgraph.sandbox.mounts import Tmpfs, attached
from buildgraph.sandbox.namespace import part_mounts, whole_mounts


def in_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def test_a_parted_threads_mounts_are_its_own(tmp_path: Path) -> None:
    sandboxes.private_mounts()
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    theirs.mkdir()
    mounted, looked = threading.Event(), threading.Event()

    def work() -> tuple[bool, bool]:
        part_mounts()
        part_mounts()
        with attached(Tmpfs(), theirs):
            mounted.set()
            looked.wait(20)
            return os.path.ismount(theirs), os.path.ismount(mine)

    def watch() -> bool:
        mounted.wait(20)
        with attached(Tmpfs(), mine):
            seen = os.path.ismount(theirs)
            looked.set()
            thread.join()
        return seen

    results: list[tuple[bool, bool]] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    assert watch() is False
    assert results == [(True, False)]


def test_what_a_parted_thread_sets_aside_can_be_had_again() -> None:
    sandboxes.private_mounts()
    before = sorted(mounted_below_sys())

    def work() -> tuple[list[str], list[str]]:
        part_mounts()
        parted = mounted_below_sys()
        whole_mounts()
        whole_mounts()
        return parted, sorted(mounted_below_sys())

    assert before
    assert in_thread(work) == ([], before)
    assert sorted(mounted_below_sys()) == before


def test_what_was_set_aside_ends_with_its_thread() -> None:
    sandboxes.private_mounts()
    before = len(os.listdir("/proc/self/fd"))
    in_thread(part_mounts)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_thread_at_its_side_is_where_a_thread_is() -> None:
    sandboxes.private_mounts()

    def mounts() -> str:
        return os.readlink("/proc/thread-self/ns/mnt")

    def work() -> bool:
        before = aside(mounts)
        part_mounts()
        return before != mounts() and aside(mounts) == mounts()

    assert in_thread(work)


def mounted_below_sys() -> list[str]:
    with open("/proc/thread-self/mountinfo") as lines:
        places = [line.split()[4] for line in lines]
    return [place for place in places if place.startswith("/sys")]


def test_the_main_thread_stays_where_it_is(tmp_path: Path) -> None:
    sandboxes.private_mounts()
    before = os.readlink("/proc/thread-self/ns/mnt")
    part_mounts()
    assert os.readlink("/proc/thread-self/ns/mnt") == before


def test_what_a_parted_thread_starts_sees_its_mounts(tmp_path: Path) -> None:
    sandboxes.private_mounts()

    def work() -> bool:
        part_mounts()
        with attached(Tmpfs(), tmp_path):
            return in_thread(lambda: os.path.ismount(tmp_path))

    assert in_thread(work)
