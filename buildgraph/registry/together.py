"""How are many things done at once, by threads that wait for registries rather than for each other?

Lighter than a pool of the standard library, whose import costs as much as the moving of a small image.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def together(
    limit: int,
    work: Callable[[T], Iterable[T] | None],
    things: Iterable[T],
    failed: Callable[[], object] = lambda: None,
) -> None:
    """Do it for each, at most ``limit`` at once, begun in their order; one alone in the caller's own thread. What
    ``work`` gives back is to be done as well, before what still waits.

    At the first failure what has not begun is left out and ``failed`` called, so that it may stop the others; when they
    have ended, that failure is raised.
    """
    waiting = deque(things)
    while len(waiting) == 1:
        waiting.extend(work(waiting.popleft()) or ())
    failures: list[BaseException] = []

    def run() -> None:
        while not failures:
            try:
                thing = waiting.popleft()
            except IndexError:
                return
            try:
                waiting.extendleft(work(thing) or ())
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)
                failed()

    threads = [
        threading.Thread(target=run, name="together") for _ in range(min(limit, len(waiting)))
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        waiting.clear()  # what has begun ends by itself, and nobody waits for it
        raise
    if failures:
        raise failures[0]
