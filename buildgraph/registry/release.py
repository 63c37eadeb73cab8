"""Many images into registries, as one release: everything goes up first, then all tags move, or none does.

    1. ask what each tag names now; an image whose tags all name it already is left alone
    2. upload blobs, each once per registry: what one repository got, the others mount
    3. put manifests and indexes by digest, children first
    4. move the tags; if one cannot be moved, those that were moved are put back

Nothing that a reader can see by name changes before every byte of every image is there. A killed release leaves
blobs without names; the next one finds them and goes on.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.client import RegistryError, Repository
from buildgraph.registry.stopping import Stop, StoppedError
from buildgraph.registry.together import together
from buildgraph.values import dataclass, field, replace

_AT_ONCE: Final = 6
"""Connections to registries; they, not we, are the limit."""

_GRACE: Final = 5.0
"""Seconds that putting tags back may take once the release is told to stop."""

_LOST: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
"""What a registry says of a manifest whose blobs it had once (distribution-spec, "Error Codes")."""


@dataclass(frozen=True, slots=True)
class Blob:
    """``near``: other repositories of the same registry that may have it, to be mounted from; the first of them was
    ``seen`` to have it."""

    descriptor: Descriptor
    open: Callable[[], BinaryIO]
    near: tuple[str, ...] = ()
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Shipment:
    """One image (or index) for one repository. ``manifests`` are in the order of upload, the root last."""

    target: str
    repository: Repository
    root: Descriptor
    manifests: tuple[tuple[Descriptor, bytes], ...]
    blobs: tuple[Blob, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag that now names ``after``; ``before`` is None where it is new."""

    reference: str
    before: Digest | None
    after: Digest


@dataclass(slots=True)
class Shipped:
    """What became of a shipment; bytes of blobs and manifests. ``current``: there was nothing to do."""

    shipment: Shipment
    uploaded: int = 0
    mounted: int = 0
    current: bool = False
    fresh: bool = False
    """The repository did not have the image, whatever it was called."""
    lost: bool = False
    """The registry lacks blobs that it once had; they are sent again."""
    moved: list[Moved] = field(default_factory=list)


def _unrecorded(_behind: Sequence[Shipped]) -> None:
    """Nobody keeps a record."""


class Release:
    """``deliver`` once. ``stopped`` is that of the repositories' registries, so that no request is waited for."""

    def __init__(self, shipments: Sequence[Shipment], stopped: Stop) -> None:
        self.shipped = tuple(Shipped(shipment) for shipment in shipments)
        self._stopped = stopped
        self._counting = threading.Lock()
        self._before: dict[tuple[str, str], Descriptor | None] = {}

    def deliver(
        self, begin: Callable[[Sequence[Shipped]], None] = _unrecorded
    ) -> tuple[Shipped, ...]:
        """``begin`` is called when everything is there and tags are about to move.

        Raises RemoteError and what reading a blob raises; then no tag has moved, or all moved ones are back.
        """
        together(_AT_ONCE, self._look, self.shipped)
        behind = [one for one in self.shipped if not one.current]
        together(_AT_ONCE, self._carry, _by_blob(behind))
        together(_AT_ONCE, self._describe, behind)
        if lost := [one for one in behind if one.lost]:
            together(_AT_ONCE, self._carry, _by_blob(lost))
            together(_AT_ONCE, self._put_manifests, lost)
        if behind:
            begin(behind)
            self._move(behind)
        return self.shipped

    # -- before any tag moves

    def _look(self, one: Shipped) -> None:
        shipment = one.shipment
        for tag in shipment.tags:
            self._check()
            found = shipment.repository.resolve(tag, mirrors=False)
            self._before[shipment.repository.name, tag] = found
        named = [self._before[shipment.repository.name, tag] for tag in shipment.tags]
        digest = shipment.root.digest
        one.current = bool(named) and all(n is not None and n.digest == digest for n in named)

    def _carry(self, places: "_Places") -> "Iterator[_Places]":
        """One blob into every repository of one registry that wants it: into one, then from there to the others."""
        self._check()
        (one, blob), *others = places
        repository = one.shipment.repository
        unlikely = blob.seen and self._is_new(one)
        how = repository.upload(blob.descriptor, blob.open, blob.near, unlikely=unlikely)
        with self._counting:
            one.uploaded += blob.descriptor.size if how == "uploaded" else 0
            one.mounted += blob.descriptor.size if how == "mounted" else 0
        _, _, path = repository.name.partition("/")
        return (((two, replace(copy, near=(path, *copy.near), seen=True)),) for two, copy in others)

    def _is_new(self, one: Shipped) -> bool:
        """Whether none of its tags was there: then most likely its repository is new, and has nothing."""
        name, tags = one.shipment.repository.name, one.shipment.tags
        return all(self._before[name, tag] is None for tag in tags)

    def _describe(self, one: Shipped) -> None:
        repository, digest = one.shipment.repository, one.shipment.root.digest
        one.fresh = repository.resolve(digest, mirrors=False) is None
        try:
            self._put_manifests(one)
        except RegistryError as error:
            if _LOST.isdisjoint(error.names):
                raise
            one.lost = True

    def _put_manifests(self, one: Shipped) -> None:
        repository = one.shipment.repository
        for descriptor, content in one.shipment.manifests:
            self._check()
            repository.put_manifest(content, descriptor.media_type, descriptor.digest)
            with self._counting:
                one.uploaded += len(content)

    # -- the tags

    def _move(self, behind: Sequence[Shipped]) -> None:
        moved: list[tuple[Shipped, str]] = []

        def move(one: Shipped) -> None:
            for tag in one.shipment.tags:
                self._check()
                moved.append((one, tag))  # a put that fails may still have been carried out
                self._tag(one, tag)

        try:
            together(_AT_ONCE, move, behind)
        except BaseException as error:
            with self._stopped.grace(_GRACE):
                stuck = self._put_all_back(moved)
            if stuck and isinstance(error, BuildgraphError):
                error.detail += ("these tags could not be put back:", *stuck)
            raise

    def _tag(self, one: Shipped, tag: str) -> None:
        repository, root = one.shipment.repository, one.shipment.root
        before = self._before[repository.name, tag]
        if before is None or before.digest != root.digest:
            _, content = one.shipment.manifests[-1]
            repository.put_manifest(content, root.media_type, tag)
            found = before.digest if before else None
            one.moved.append(Moved(f"{repository.name}:{tag}", found, root.digest))

    def _put_all_back(self, moved: Sequence[tuple[Shipped, str]]) -> list[str]:
        """What could not be, and why. A registry that gives no answer is waited for once, not for each of its tags."""
        stuck: list[str] = []
        silent: dict[str, str] = {}
        for one, tag in reversed(moved):
            host, _, path = one.shipment.repository.name.partition("/")
            try:
                left = silent.get(host) or self._put_back(one, tag)
            except RegistryError as error:
                left = error.message
                if not error.status:
                    silent[host] = error.message
            except StoppedError:
                left = "it took too long"
            except BuildgraphError as error:
                left = error.message
            stuck += [f"{host}/{path}:{tag}: {left}"] if left else []
        return stuck

    def _put_back(self, one: Shipped, tag: str) -> str:
        """Make the tag what it was; why not, where that is known. Raises what the registry says."""
        repository = one.shipment.repository
        before = self._before[repository.name, tag]
        if before is not None and before.digest == one.shipment.root.digest:
            return ""
        if before is None:
            self._remove(one, tag)
        else:
            old = repository.manifest(before.digest)
            if old is None:
                return f"{before.digest} is gone"
            repository.put_manifest(old.content, old.descriptor.media_type, tag)
        one.moved = [m for m in one.moved if m.reference != f"{repository.name}:{tag}"]
        return ""

    @staticmethod
    def _remove(one: Shipped, tag: str) -> None:
        """Many registries delete no tags, only manifests with all their tags: all of these are ours if it is fresh."""
        try:
            one.shipment.repository.delete(tag)
        except RegistryError:
            if not one.fresh:
                raise
            one.shipment.repository.delete(one.shipment.root.digest)

    # -- stopping

    def _check(self) -> None:
        if self._stopped.is_set():
            raise StoppedError


_Places = Sequence[tuple[Shipped, Blob]]


def _by_blob(behind: Iterable[Shipped]) -> list[_Places]:
    """Who wants each blob, registry by registry; the largest blobs first, so that none is left for the end."""
    wanted: dict[tuple[str, Digest], dict[str, tuple[Shipped, Blob]]] = {}
    for one in behind:
        for blob in one.shipment.blobs:
            repository = one.shipment.repository
            places = wanted.setdefault(
                (repository.name.partition("/")[0], blob.descriptor.digest), {}
            )
            places.setdefault(repository.name, (one, blob))
    groups: list[_Places] = [list(places.values()) for places in wanted.values()]
    return sorted(groups, key=lambda group: -group[0][1].descriptor.size)
