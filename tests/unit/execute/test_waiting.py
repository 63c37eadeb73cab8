import threading

import pytest

from buildgraph.events import WaitFinished, WaitStarted
from buildgraph.execute.waiting import Waiting


def test_what_is_soon_over_is_not_told():
    told = []
    with Waiting(told.append, "debian:12", "asks docker.io", patience=3600):
        pass
    assert told == []


def test_what_takes_longer_is_told_while_it_lasts():
    told, known = [], threading.Event()

    def observe(event):
        told.append(event)
        known.set()

    with Waiting(observe, "debian:12", "asks docker.io", patience=0.001) as waiting:
        assert known.wait(30)
        assert told == [WaitStarted("debian:12", "asks docker.io")]
        waiting.found = "sha256:1"
    assert told[1:] == [WaitFinished("debian:12", told[1].seconds, "sha256:1")]


def fail(told):
    with Waiting(told.append, "os", "looks up packages", patience=0):
        assert told == [WaitStarted("os", "looks up packages")]
        raise ValueError


def test_without_patience_it_is_told_at_once_and_its_end_in_any_case():
    told = []
    with pytest.raises(ValueError):
        fail(told)
    assert told[1:] == [WaitFinished("os", told[1].seconds)]


def test_many_are_looked_after_by_one_thread():
    told, before = [], threading.active_count()
    waits = [Waiting(told.append, f"i{at}", "waits", patience=3600) for at in range(100)]
    for wait in waits:
        wait.__enter__()
    assert threading.active_count() <= before + 1
    for wait in waits:
        wait.__exit__(None, None, None)
    assert threading.active_count() == before
    assert told == []


def test_nobody_who_reads_keeps_no_other_from_being_told():
    known = threading.Event()

    def broken(_event):
        raise BrokenPipeError

    told = []

    def observe(event):
        told.append(event)
        known.set()

    first = Waiting(broken, "a", "waits", patience=0.001)
    first.__enter__()
    with Waiting(observe, "b", "waits", patience=0.2):
        assert known.wait(30)
    with pytest.raises(BrokenPipeError):
        first.__exit__(None, None, None)
    assert [event.subject for event in told] == ["b", "b"]
