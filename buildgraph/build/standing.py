"""Does every tag still name what a release made it name? One ``HEAD`` each, for a push that has nothing else to do.

Loaded by the warm answer of ``build --push``, so it stays light. What cannot be asked or understood counts as no: the
long way finds out and says why.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from buildgraph.errors import BuildgraphError
from buildgraph.names import Reference
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.registry.stopping import Stop, StoppedError

_AT_ONCE: Final = 6


def stands(named: Sequence[tuple[str, str]], environ: Mapping[str, str], ca: str = "") -> bool:
    """``named`` are references with a tag, and digests; ``ca`` is the workspace's bundle."""
    stop, waiting = Stop(), list(named)
    other: list[str] = []

    def ask() -> None:
        try:
            while waiting and not other:
                text, digest = waiting.pop()
                reference = Reference.parse(text)
                found = registries.repository(reference).resolve(reference.tag, mirrors=False)
                if found is None or found.digest != digest:
                    other.append(text)
        except (BuildgraphError, StoppedError, IndexError) as error:
            other.extend([] if isinstance(error, IndexError) else [str(error)])

    try:
        settings = Settings.load(environ, Path(ca) if ca else None)
        registries = Registries(settings, Credentials.load(environ), stop=stop)
    except BuildgraphError:
        return False
    with registries:
        threads = [threading.Thread(target=ask) for _ in range(min(_AT_ONCE, len(named)))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            stop.set()
    return not other
