"""The thread at the side of a thread that runs commands: one for all its calls, and no longer than it."""

import threading

import pytest

from buildgraph.sandbox.apart import aside


def here() -> threading.Thread:
    return threading.current_thread()


def test_it_is_the_same_for_all_calls_of_a_thread() -> None:
    assert aside(here) is aside(here)
    assert aside(here) is not here()


def test_each_thread_has_its_own_and_it_ends_with_it() -> None:
    sides: list[threading.Thread] = []
    thread = threading.Thread(target=lambda: sides.append(aside(here)))
    thread.start()
    thread.join()
    assert sides[0] is not aside(here)
    sides[0].join(20)
    assert not sides[0].is_alive()


def test_an_error_is_raised_and_the_next_call_answered() -> None:
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 // 0)
    assert aside(lambda: 7) == 7
