"""What is every observer promised, whichever threads things happen in? One call at a time, and no warning twice."""

import threading

from buildgraph.events import Event, Observer, Warned


def one_at_a_time(observer: Observer) -> Observer:
    lock = threading.Lock()

    def observe(event: Event) -> None:
        with lock:
            observer(event)

    return observe


def unheard(_event: Event) -> None:
    """For what is short, or has nobody to tell."""


def told_once(observer: Observer) -> Observer:
    """For what is read several times: a warning that was told is not told again."""
    told = set[Warned]()

    def observe(event: Event) -> None:
        if isinstance(event, Warned):
            if event in told:
                return
            told.add(event)
        observer(event)

    return observe
