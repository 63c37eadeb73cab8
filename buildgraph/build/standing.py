"""Does every tag still name what a release made it name? One ``HEAD`` each, for a push that has nothing else to do.

Loaded by the warm answer of ``build --push``, so it stays light. What cannot be asked or understood counts as no: the
long way finds out and says why.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from buildgraph.errors import BuildgraphError
from buildgraph.execute.interrupt import interruptible
from buildgraph.names import Reference
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.registry.stopping import Stop, StoppedError

_AT_ONCE: Final = 6


def stands(named: Sequence[tuple[str, str]], environ: Mapping[str, str], ca: str = "") -> bool:
    """``named`` are references with a tag, and digests; ``ca`` is the workspace's bundle."""
    stop, waiting = Stop(), list(named)
    right: list[str] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                text, digest = waiting.pop()
            except IndexError:
                return
            try:
                reference = Reference.parse(text)
                found = registries.repository(reference).resolve(reference.tag, mirrors=False)
            except (BuildgraphError, StoppedError):
                found = None
            if found is None or found.digest != digest:
                stop.set()  # the others need not be asked any more
                return
            right.append(text)

    try:
        settings = Settings.load(environ, Path(ca) if ca else None)
        registries = Registries(settings, Credentials.load(environ), stop=stop)
    except BuildgraphError:
        return False
    with registries, interruptible(stop.set):
        threads = [threading.Thread(target=ask) for _ in range(min(_AT_ONCE, len(named)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(right) == len(named)
