"""What has a build to do with other machines? Remote caches: before it looks, while it ends, and when one of them does
not keep its word. Loads nothing of them for a build that has none.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildgraph.build.lookups import rules_for
from buildgraph.build.session import Session
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ErrorGroup, LayerLostError
from buildgraph.execute.interrupt import interruptible
from buildgraph.execute.waiting import Waiting
from buildgraph.graph.step import StepId

if TYPE_CHECKING:
    from buildgraph.build.caches import Shared
    from buildgraph.spec.cacheurl import CacheURL


def cache_urls(session: Session) -> tuple["CacheURL", ...]:
    """The remote caches that this build is to use; of the command line, of the environment or of the Buildfile."""
    asked = session.request.caches
    if asked is not None:
        return asked
    if words := session.request.environ.get("BUILDGRAPH_CACHE", "").split():
        return _of_environment(words, str(session.request.directory))
    root = str(session.workspace.root)
    return tuple(url.below(root) for url in session.workspace.model.workspace.caches)


def _of_environment(words: Sequence[str], folder: str) -> tuple["CacheURL", ...]:
    """Raises ErrorGroup with all that are no URLs."""
    from buildgraph.spec.cacheurl import parse

    found, errors = [], []
    for word in words:
        try:
            found.append(parse(word).below(folder))
        except BuildgraphError as error:
            error.message = f"BUILDGRAPH_CACHE: {error.message}"
            errors.append(error)
    if errors:
        raise ErrorGroup(errors)
    return tuple(found)


def look_elsewhere(session: Session, shared: "Shared", steps: Sequence[StepId]) -> None:
    """What the store lacks may be in remote caches; what they are to get is made ready for them."""
    with (
        interruptible(session.cancelled.set),
        Waiting(session.observer, "caches", "asks them for results and fetches these"),
    ):
        shared.adopting.look_up(steps, rules_for(session.request, 0).forced)
    shared.sending.prepare(steps)


def sent(session: Session) -> tuple[BuildgraphError, ...]:
    """Wait until remote caches have what they are to get."""
    if session.shared is None:
        return ()
    with (
        interruptible(session.cancelled.set),
        Waiting(session.observer, "caches", "sends what they are to get"),
    ):
        return tuple(session.shared.sending.finish())


@contextmanager
def distrusting(session: Session) -> Iterator[None]:
    """Who does not give a layer that was left there is relied on no more."""
    try:
        yield
    except LayerLostError as error:
        session.store.origins.distrust(Digest(error.digest))
        session.store.layers.forget_lost()
        raise
