"""The remote caches of one build, asked in order; what goes wrong costs time and a warning, never more.

A cache that cannot be reached, that refuses or that takes too long is warned about once and not used again in this
build, neither for reading nor for writing what has not begun. One damaged record or blob is warned about by itself.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from buildgraph.errors import ContentError, LayerLostError, RemoteError
from buildgraph.events import Observer, Warned
from buildgraph.graph.step import StepId
from buildgraph.remote.base import RemoteCache
from buildgraph.remote.record import Record, parse
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.values import dataclass

_AT_ONCE: Final = 16
"""Requests under way: a look-up waits for answers, not for bytes."""

T = TypeVar("T")


@dataclass(slots=True)
class Member:
    """``steps`` are those whose results are written there; None of all. ``broken``: it failed in this build; ``lost``:
    something could not be written there."""

    url: CacheURL
    cache: RemoteCache
    steps: frozenset[StepId] | None = None
    broken: bool = False
    told_empty: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A record, and who has it."""

    name: str
    record: Record
    member: Member


class Caches:
    """Safe to use from several threads."""

    def __init__(self, members: Iterable[Member], observer: Observer) -> None:
        self.members = tuple(members)
        self._observer = observer
        self._lock = threading.Lock()
        self.bad: set[str] = set()
        """Names of records that are there and of no use."""
        self.troubled = False

    @property
    def readable(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.url.read and not one.broken)

    @property
    def writable(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.url.write and not one.broken)

    def look_up(self, names: Iterable[str]) -> Mapping[str, Found]:
        """All at once, each in the first cache that has it; what nobody has is absent."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, Found] = {}
        for member in self.readable:
            missing = [name for name in wanted if name not in found]
            found |= self._ask(member, missing)
        return found

    def attempt(self, member: Member, what: Callable[[], T], name: str = "") -> T | None:
        """None, and a warning, when it fails. ``name`` is of the record that it is about. Raises LayerLostError."""
        began = time.monotonic()
        try:
            return None if member.broken else what()
        except ContentError as error:
            self.distrust(member, name, error)
        except LayerLostError:
            raise
        except RemoteError as error:
            self.give_up(member, error, time.monotonic() - began)
        return None

    def distrust(self, member: Member, name: str, error: ContentError) -> None:
        """One thing of the cache is damaged."""
        self.troubled = True
        self.bad.add(name)
        self._observer(
            Warned("cache-damaged", f"{member.url}: {error.message}; it counts as absent")
        )

    def give_up(self, member: Member, error: RemoteError, seconds: float) -> None:
        """Warned about once."""
        with self._lock:
            first, member.broken, self.troubled = not member.broken, True, True
        if first:
            self._observer(
                Warned(
                    "cache-failed",
                    f"the build goes on without the cache {member.url}: {error.message} ({seconds:.1f} s lost)",
                )
            )

    def _ask(self, member: Member, names: list[str]) -> dict[str, Found]:
        if not names:
            return {}
        if len(names) == 1:
            answers = [self._get(member, names[0])]
        else:
            with ThreadPoolExecutor(min(_AT_ONCE, len(names)), "cache") as pool:
                answers = [*pool.map(lambda name: self._get(member, name), names)]
        found = {one.name: one for one in answers if one}
        if not (found or member.url.write or member.told_empty or member.broken):
            member.told_empty = True
            self._tell_empty(member)
        return found

    def _get(self, member: Member, name: str) -> Found | None:
        def get() -> Found | None:
            content = member.cache.get(name)
            return None if content is None else Found(name, parse(content, name), member)

        return self.attempt(member, get, name)

    def _tell_empty(self, member: Member) -> None:
        if self.attempt(member, member.cache.is_empty):
            self._observer(
                Warned(
                    "cache-empty",
                    f"the cache {member.url} holds nothing: nobody has written it yet",
                )
            )
