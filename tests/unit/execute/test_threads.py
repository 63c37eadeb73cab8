"""Work is handed to threads, as many as there is work for, and nobody leaves before it is done."""

import threading

import pytest

from buildgraph.execute.threads import Threads


def test_a_result_is_waited_for() -> None:
    with Threads(2, "some") as threads:
        go = threading.Event()
        task = threads.submit(lambda: go.wait(20))
        go.set()
        assert task.result() is True
        assert task.result() is True


def test_an_error_is_told_to_whoever_asks() -> None:
    with Threads(1, "some") as threads:
        task = threads.submit(lambda: 1 // 0)
        task.wait()
        with pytest.raises(ZeroDivisionError):
            task.result()
        assert threads.submit(lambda: 7).result() == 7


def test_leaving_waits_for_all() -> None:
    done: list[int] = []
    with Threads(2, "some") as threads:
        for number in range(20):
            threads.submit(lambda number=number: done.append(number))
    assert sorted(done) == list(range(20))
    assert not [t for t in threading.enumerate() if t.name.startswith("some-")]


def test_there_are_no_more_threads_than_work() -> None:
    with Threads(4, "some") as threads:
        names = {threads.submit(lambda: threading.current_thread().name).result()}
        assert names == {"some-0"}


def test_there_are_no_more_threads_than_asked_for() -> None:
    both = threading.Barrier(2)
    with Threads(2, "some") as threads:
        tasks = [
            threads.submit(lambda: (both.wait(20), threading.current_thread().name)[1])
            for _ in range(6)
        ]
        assert {task.result() for task in tasks} == {"some-0", "some-1"}
