"""Carries out what the scheduler says, on this machine: looks in the calling thread, work in ``jobs`` threads.

The calling thread alone talks to the scheduler, so no state is shared. SIGINT and SIGTERM become a cancellation:
nothing new starts, running commands are ended, and what was being made is discarded by the context managers around it.
"""

import heapq
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import assert_never

from buildgraph.errors import BuildgraphError
from buildgraph.execute.admission import Node
from buildgraph.execute.interrupt import interruptible
from buildgraph.execute.scheduler import (
    Answer,
    Done,
    Event,
    Failed,
    Instruction,
    Interrupted,
    Look,
    Miss,
    Scheduler,
    Skip,
    Start,
)
from buildgraph.execute.threads import Threads
from buildgraph.registry.stopping import StoppedError


class CancelledError(StoppedError):
    """Raised by work that noticed the cancellation."""


class Either(threading.Event):
    """Set when one of ``events`` is; to be looked at, not to be waited for."""

    def __init__(self, *events: threading.Event) -> None:
        super().__init__()
        self._events = events

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._events)


def drive(
    scheduler: Scheduler,
    *,
    jobs: int,
    look: Callable[[Node], Answer],
    work: Callable[[Node], None],
    skipped: Callable[[Node], None],
    cancelled: threading.Event,
    failed: threading.Event,
) -> dict[Node, BaseException]:
    """Run until every node is settled, failed or skipped; returns the failures in the order they came.

    ``look`` runs in the calling thread, in graph order of what can be looked at, and says whether a result is known;
    ``work`` runs in a worker thread. When ``look`` or ``work`` raises an error the node has failed. A signal stops the
    build and waits for what runs; then it takes its usual effect. ``failed`` is set at the first failure of ``work``.
    """
    driver = _Driver(scheduler, look, work, skipped, failed)

    def stop() -> None:
        cancelled.set()
        driver.events.put(Interrupted())

    with (
        interruptible(stop),
        Threads(jobs, "step") as pool,
    ):
        driver.run(pool)
    return driver.failures


class _Driver:
    def __init__(
        self,
        scheduler: Scheduler,
        look: Callable[[Node], Answer],
        work: Callable[[Node], None],
        skipped: Callable[[Node], None],
        failed: threading.Event,
    ) -> None:
        self.scheduler = scheduler
        self.look = look
        self.work = work
        self.skipped = skipped
        self.failed = failed
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.failures: dict[Node, BaseException] = {}

    def run(self, pool: Threads) -> None:
        self.carry_out(self.scheduler.start(), pool)
        while not self.scheduler.finished:
            self.carry_out(self.scheduler.handle(self.events.get()), pool)

    def carry_out(self, todo: list[Instruction], pool: Threads) -> None:
        """Start and skip at once; look at one node at a time, the first in graph order."""
        looks: list[tuple[int, Node]] = []
        while todo or looks:
            for instruction in todo:
                match instruction:
                    case Start(node):
                        pool.submit(partial(self.do, node))
                    case Skip(node):
                        self.skipped(node)
                    case Look(node):
                        heapq.heappush(looks, (self.scheduler.place(node), node))
                    case _:
                        assert_never(instruction)
            todo = self.scheduler.handle(self.find(heapq.heappop(looks)[1])) if looks else []

    def find(self, node: Node) -> Answer:
        try:
            return self.look(node)
        except BuildgraphError as error:
            # the look is part of the work: the node fails when its turn to run comes
            self.failures[node] = error
            return Miss(node)

    def do(self, node: Node) -> None:
        if node in self.failures:
            self.events.put(Failed(node))
            return
        try:
            self.work(node)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the build must learn of it
            self.failures[node] = error
            self.failed.set()
            self.events.put(Failed(node))
        else:
            self.events.put(Done(node))
