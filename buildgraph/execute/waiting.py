"""What takes time and is no step? Told, so that nobody sits before a still screen.

What is over within :data:`PATIENCE` seconds is not worth a word. Used as a context manager, in any thread.
"""

import threading
import time
from contextlib import AbstractContextManager
from typing import Final, Self

from buildgraph.events import Observer, WaitFinished, WaitStarted

PATIENCE: Final = 0.5


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
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._told = self._over = False
        self._began = 0.0
        self.found = ""

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if self._patience:
            self._timer = threading.Timer(self._patience, self._tell)
            self._timer.daemon = True
            self._timer.start()
        else:
            self._tell()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._over = True
        if self._told:
            seconds = time.monotonic() - self._began
            self._observer(WaitFinished(self._event.subject, seconds, self.found))

    def _tell(self) -> None:
        with self._lock:
            if self._over:
                return
            self._told = True
            self._observer(self._event)
