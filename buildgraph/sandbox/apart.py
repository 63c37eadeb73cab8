"""The thread that a sandbox is started from: what it gives up for good, its programs never have.

A thread of its own, because nothing of this can be taken back. It ends with the sandbox.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from buildgraph.sandbox import profile, syscalls

_T = TypeVar("_T")

_KEPT = frozenset(map(profile.ALL_CAPABILITIES.index, profile.CAPABILITIES))
_EVERY = range(len(profile.ALL_CAPABILITIES))


def apart(call: Callable[[], _T]) -> _T:
    """``call()`` in a thread of its own; raises what it raises."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="sandbox")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def bound_capabilities() -> None:
    """Docker's are the most that a program of this thread can ever have."""
    syscalls.bound_capabilities(_KEPT, _EVERY)
