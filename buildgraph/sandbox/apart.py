"""The thread that a sandbox is started from: what it gives up for good, its programs never have.

A thread of its own, because nothing of this can be taken back. Each thread that runs commands without a network has one
such at its side for all of them, in the same namespace of mounts; it ends with it.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from buildgraph.sandbox import profile, syscalls

_T = TypeVar("_T")

_KEPT = frozenset(map(profile.ALL_CAPABILITIES.index, profile.CAPABILITIES))
_EVERY = range(len(profile.ALL_CAPABILITIES))


def apart(call: Callable[[], _T]) -> _T:
    """``call()`` in a thread that does nothing else before or after; raises what it raises."""
    made = _Call(call)
    thread = threading.Thread(target=made.run, name="sandbox")
    thread.start()
    thread.join()
    return made.result()


def aside(call: Callable[[], _T]) -> _T:
    """``call()`` in the thread at the side of the calling one, which never has more rights than a command or any
    network again; raises what it raises."""
    side: _Side | None = getattr(_mine, "side", None)
    mounts = os.stat("/proc/thread-self/ns/mnt").st_ino
    if side is None or side.mounts != mounts:
        _mine.side = side = _Side(mounts)
    return side.call(call)


class _Call(Generic[_T]):
    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self.over = threading.Lock()
        self.over.acquire()

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._errors.append(error)
        finally:
            self.over.release()

    def result(self) -> _T:
        if self._errors:
            raise self._errors.pop()
        return self._results[0]


class _Side:
    """A thread that waits for calls until the one whose it is has ended, or has gone to other ``mounts``."""

    def __init__(self, mounts: int) -> None:
        self.mounts = mounts
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # the main thread ends after all others, except those that do not count
        threading.Thread(target=_serve, args=(self._calls,), name="sandbox", daemon=True).start()

    def __del__(self) -> None:
        self._calls.put(None)

    def call(self, call: Callable[[], _T]) -> _T:
        made = _Call(call)
        self._calls.put(made.run)
        with made.over:
            return made.result()


def _serve(calls: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # with all that it holds


_mine = threading.local()


def bound_capabilities() -> None:
    """Docker's are the most that a program of this thread can ever have; idempotent."""
    if not getattr(_mine, "bound", False):
        syscalls.bound_capabilities(_KEPT, _EVERY)
        _mine.bound = True
