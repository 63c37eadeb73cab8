"""The remote caches of one build: which there are, and the two directions in which records go.

``--cache`` (and docker's ``--cache-from``, ``--cache-to``) count before ``BUILDGRAPH_CACHE``, that before
``workspace.cache`` of the Buildfile. Nothing here is loaded by a build that has none.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from buildgraph.build.adopting import Adopting
from buildgraph.build.sending import Sending
from buildgraph.digest import Digest
from buildgraph.events import Warned
from buildgraph.graph.graph import ImageTarget
from buildgraph.names import Reference
from buildgraph.remote.caches import Caches, Member
from buildgraph.remote.folder import MARKER, Folder
from buildgraph.remote.repository import RegistryCache
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.values import dataclass, replace

if TYPE_CHECKING:
    from buildgraph.build.session import Session
    from buildgraph.graph.step import StepId


@dataclass(frozen=True, slots=True)
class Shared:
    """What a build has of remote caches."""

    caches: Caches
    adopting: Adopting
    sending: Sending

    @classmethod
    def open(
        cls, session: "Session", urls: Sequence[CacheURL], images: Sequence[ImageTarget]
    ) -> "Shared":
        """``images`` are those that this build makes."""
        caches = Caches(
            [member for url in urls for member in _members(session, url, images)], session.observer
        )
        adopting = Adopting(session, caches, images)
        session.stacks.elsewhere = adopting.layer
        session.bases.seek = adopting.dirs
        return cls(caches, adopting, Sending(session, caches, adopting))

    def markers(self) -> list[str]:
        """Files that are there as long as what was written there is."""
        return [
            os.path.join(one.url.place, MARKER)
            for one in self.caches.members
            if one.url.scheme == "file" and one.url.write
        ]


def readable(session: "Session", urls: Sequence[CacheURL]) -> Caches:
    """To look into, and no more."""
    members = [member for url in urls for member in _members(session, url, ())]
    return Caches(members, session.observer)


def _members(session: "Session", url: CacheURL, images: Sequence[ImageTarget]) -> Iterator[Member]:
    """``steps`` of a member are those whose results are written there; None of all."""
    stacked = frozenset(step for image in images for step in image.stack)
    steps = stacked if url.steps == "images" else None
    match url.scheme:
        case "file":
            yield Member(url, Folder(url.place), steps)
        case "registry":
            yield Member(url, _registry(session, url.place), steps)
        case "inline":
            yield from _inline(session, url, images)


def _inline(session: "Session", url: CacheURL, images: Sequence[ImageTarget]) -> Iterator[Member]:
    """The repositories that the images are pushed to, each with the steps of its images."""
    from buildgraph.build.products import all_tags_of

    if not session.request.push:
        session.observer(
            Warned(
                "cache-unpushed",
                "the inline cache is written beside the image that is pushed, and nothing is pushed: add --push",
            )
        )
        return
    places: dict[str, set[StepId]] = {}
    for image in images:
        for tag in all_tags_of(session, image):
            places.setdefault(Reference.parse(tag).repository, set()).update(image.stack)
    for place, steps in places.items():
        own = replace(url, scheme="registry", place=place)
        yield Member(own, _registry(session, place), frozenset(steps))


def _registry(session: "Session", place: str) -> RegistryCache:
    return RegistryCache(
        place, partial(session.access.cache, place), partial(_near, session, place)
    )


def _near(session: "Session", place: str, digest: Digest) -> Sequence[str]:
    return session.access.remote.near(place, [digest])[digest]
