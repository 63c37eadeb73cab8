"""A transfer is told at its start, now and then, and at its end, whatever that is."""

import pytest

from buildgraph.digest import Digest
from buildgraph.events import TransferFinished, TransferProgressed, TransferStarted
from buildgraph.registry.progress import Progress

BLOB = Digest.sha256(b"blob")


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


def test_now_and_then():
    told, clock = [], Clock()
    with Progress(told.append, "upload", BLOB, "r.example/x", 100, clock) as progress:
        for done in (10, 20, 30):
            clock.now += 0.2
            progress.at(done)
    assert told == [
        TransferStarted("upload", BLOB, "r.example/x", 100),
        TransferProgressed(BLOB, 20, 100),
        TransferFinished("upload", BLOB, "r.example/x", 30, pytest.approx(0.6)),
    ]


def test_one_that_fails_ends_as_well():
    told = []
    progress = Progress(told.append, "fetch", BLOB, "r.example/x", 100)

    def cut():
        with progress:
            progress.at(40)
            raise KeyError

    with pytest.raises(KeyError):
        cut()
    assert (told[-1].direction, told[-1].size) == ("fetch", 40)
