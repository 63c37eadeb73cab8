"""Several things at once: all of them, no more at a time than allowed, and nothing begun after a failure."""

import threading

import pytest

from buildgraph.registry.together import together


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_all_are_done(count):
    done = []
    together(4, done.append, range(count))
    assert sorted(done) == list(range(count))


def test_one_alone_needs_no_thread():
    threads = []
    together(4, lambda _: threads.append(threading.current_thread()), ["one"])
    assert threads == [threading.current_thread()]


def test_as_many_at_once_as_allowed():
    barrier = threading.Barrier(3)

    def work(_number: int) -> None:
        barrier.wait(30)

    together(3, work, range(6))


@pytest.mark.parametrize("count", [1, 3])
def test_what_work_gives_back_is_done_before_what_waits(count):
    done = []

    def work(number: int) -> list[int]:
        done.append(number)
        return [number + 10, number + 20] if number < 10 else []

    together(1, work, range(count))
    assert sorted(done) == sorted([*range(count), *range(10, 10 + count), *range(20, 20 + count)])
    assert done[:3] in ([0, 20, 10], [0, 10, 20])


def test_no_more_at_once_than_allowed():
    running, most, lock = 0, 0, threading.Lock()
    more = threading.Event()

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                more.set()
        if number < 2:
            assert more.wait(30)
        with lock:
            running -= 1

    together(2, work, range(10))
    assert most == 2


def test_nothing_is_begun_after_a_failure():
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        together(1, work, range(5))
    assert begun == [0]


def test_a_failure_can_stop_the_others():
    stop = threading.Event()

    def work(number: int) -> None:
        if number:
            raise ValueError(number)
        assert stop.wait(30)
        raise KeyError(number)

    with pytest.raises(ValueError, match="1"):
        together(2, work, range(2), stop.set)


def test_a_failure_waits_for_what_has_begun():
    failed, ended = threading.Event(), []

    def work(number: int) -> None:
        if number:
            failed.set()
            raise ValueError(number)
        assert failed.wait(30)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        together(2, work, range(2))
    assert ended == [0]
