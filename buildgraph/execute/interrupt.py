"""SIGINT, SIGTERM and SIGHUP as one orderly request to stop, instead of an exception between any two instructions."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(notify: Callable[[], None]) -> Iterator[None]:
    """Call ``notify`` at the first signal; at the end of the block it acts as if this block were not there: the handler
    of before is called, or else KeyboardInterrupt raised for SIGINT, SystemExit with 128 + the number for the others. A
    second signal acts so at once. An ignored SIGHUP stays ignored. In other threads than the main one signals do not
    arrive, and nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {int(number): signal.getsignal(number) for number in _SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN:  # nohup means it
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        restore()
        notify()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()
        if came:
            handler = before[came[0]]
            if callable(handler):
                handler(came[0], None)
            raise KeyboardInterrupt if came[0] == signal.SIGINT else SystemExit(128 + came[0])
