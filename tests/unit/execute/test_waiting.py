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
