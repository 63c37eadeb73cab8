"""What takes time and is no step? Told, so that nobody sits before a still screen.

What is over within :data:`PATIENCE` seconds is not worth a word. Used as a context manager, in any thread. There may be
hundreds at once, most of them soon over, so one thread looks after all of them.
"""

import threading
import time
from contextlib import AbstractContextManager, suppress
from typing import Final, Self

from buildgraph.events import Observer, WaitFinished, WaitStarted

PATIENCE: Final = 0.5
_TICK: Final = 0.1


class Waiting(AbstractContextManager["Waiting"]):
    """``subject`` is a step, an image, a file or an address; ``doing`` says what is done about it.

    Whoever waited may set ``found`` to what came of it, for people. ``patience`` 0 tells at once: lines of
    output of the same name, as a step's, may follow.
    """

    def __init__(
        self, observer: Observer, subject: str, doing: str, *, patience: float = PATIENCE
    ) -> None:
        self._observer = observer
        self._event = WaitStarted(subject, doing)
        self._patience = patience
        self._lock = threading.Lock()
        self._told = self._over = False
        self._began = 0.0
        self.found = ""

    @property
    def due(self) -> float:
        return self._began + self._patience

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if self._patience:
            _WATCH.add(self)
        else:
            self.tell()
        return self

    def __exit__(self, *_: object) -> None:
        if self._patience:
            _WATCH.discard(self)
        with self._lock:
            self._over = True
        if self._told:
            seconds = time.monotonic() - self._began
            self._observer(WaitFinished(self._event.subject, seconds, self.found))

    def tell(self) -> None:
        """That it lasts; nothing if it is over."""
        with self._lock:
            if not self._over:
                self._told = True
                self._observer(self._event)


class _Watch:
    """Its thread lives while something is pending: hashing and packing fork only a process that has one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = set[Waiting]()
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()

    def add(self, one: Waiting) -> None:
        with self._lock:
            self._pending.add(one)
            if self._thread is None:
                self._idle = threading.Event()
                run = threading.Thread(
                    target=self._run, args=(self._idle,), name="waiting", daemon=True
                )
                self._thread = run
                run.start()

    def discard(self, one: Waiting) -> None:
        with self._lock:
            self._pending.discard(one)
            thread = self._thread
            if self._pending or thread is None:
                return
            self._thread = None
            self._idle.set()
        thread.join()

    def _run(self, idle: threading.Event) -> None:
        while not idle.wait(_TICK):
            now = time.monotonic()
            with self._lock:
                due = {one for one in self._pending if one.due <= now}
                self._pending -= due
            for one in due:
                with suppress(OSError):  # nobody reads any more: whoever writes next meets it, too
                    one.tell()


_WATCH: Final = _Watch()
