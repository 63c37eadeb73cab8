"""What is every observer promised, whichever threads things happen in? One call at a time."""

import threading

from buildgraph.events import Event, Observer


def one_at_a_time(observer: Observer) -> Observer:
    lock = threading.Lock()

    def observe(event: Event) -> None:
        with lock:
            observer(event)

    return observe
