"""A few threads to hand work to. Every build has them, so they are made of nothing but threads and a queue: the
standard library's pool loads logging and more, which takes 3 ms.

A thread is started when there is more work than threads, up to ``count``. Leaving the block waits for all that was
handed in.
"""

import queue
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class Task(Generic[_T]):
    """Work that was handed in."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._over = threading.Lock()
        self._over.acquire()
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Once."""
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised again for whoever asks
            self._error = error
        finally:
            self._over.release()

    def wait(self) -> None:
        with self._over:
            """It is over, however it ended."""

    def result(self) -> _T:
        """Waits; raises what the work raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]


class Threads:
    """A context manager; used from any thread, but not after its block."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, call: Callable[[], _T]) -> Task[_T]:
        """Whoever wants to know what became of it asks the task."""
        task = Task(call)
        with self._lock:
            self._unfinished += 1
            if len(self._threads) < min(self._unfinished, self._count):
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name)
                thread.start()
                self._threads.append(thread)
        self._waiting.put(task.run)
        return task

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()
            with self._lock:
                self._unfinished -= 1
