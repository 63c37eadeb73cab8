"""The store of one machine: a home folder that any number of processes share without a daemon.

``docs/technical/store.md`` draws every file. ``store.json`` names the format; a newer one is refused. Opening makes
what is missing, imports nothing heavy, and leaves the record index closed until something asks for it.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from buildgraph.digest import Digest
from buildgraph.errors import MachineError
from buildgraph.events import Event, Observer, Warned
from buildgraph.store import lease, reserve
from buildgraph.store.actions import LocalRecords
from buildgraph.store.atomic import replace
from buildgraph.store.blobs import LocalBlobs
from buildgraph.store.faults import translated, unusable
from buildgraph.store.layers import LocalLayers
from buildgraph.store.lease import Lease, locked
from buildgraph.store.origins import LocalOrigins
from buildgraph.store.remotes import LocalKnown
from buildgraph.store.trash import Trash

if TYPE_CHECKING:
    from buildgraph.store.images import LocalImages
    from buildgraph.store.index import Index

FORMAT: Final = 1
FOLDERS: Final = (
    "blobs/blake3",
    "blobs/sha256",
    "leases",
    "plans",
    "records",
    "releases",
    "seen",
    "snapshots",
    "stat",
    "tmp",
    "trash",
    "volumes",
)


def silent(_event: Event) -> None:
    """Nobody watches."""


class LocalStore:
    """An open store; a context manager. May be used from several threads.

    ``blobs``, ``records``, ``layers`` satisfy the contracts of ``store.base``; ``origins`` says where blobs lie that
    need not be here, ``seen`` what registries have; ``lease`` is what this session relies on: name a snapshot or digest
    there before looking for it by any other way than through the store.
    """

    def __init__(
        self,
        home: Path,
        observer: Observer = silent,
        clock: Callable[[], float] = time.time,
        *,
        frozen: bool = False,
    ) -> None:
        """Use :meth:`open`."""
        self.home = home
        self.observer = observer
        self.clock = clock
        self.session = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.lease = Lease(home / "leases" / f"{self.session}.lease")
        self.trash = Trash(home / "trash", self.lease)
        self.frozen = frozen
        """What was there when it was opened takes no writes: it is another store's (``store.reading``)."""
        self.blobs = LocalBlobs(home, self.lease, self.temp, self._blob_damaged, frozen=frozen)
        self.records = LocalRecords(self.index, self.blobs, clock)
        self.seen = LocalKnown(home / "seen", self.temp)
        self.origins = LocalOrigins(self.index, self.seen)
        self.layers = LocalLayers(self.index, self.blobs, self.origins)
        self._opened: Index | None = None
        self._opening = threading.Lock()
        self._counter = itertools.count()
        self._temp_made = False

    @classmethod
    def open(
        cls,
        home: Path,
        observer: Observer = silent,
        clock: Callable[[], float] = time.time,
        *,
        frozen: bool = False,
    ) -> Self:
        """Raises :class:`MachineError`: ``store-too-new``, ``store-not-writable``, ``store-unusable``, ``no-space``."""
        store = cls(home, observer, clock, frozen=frozen)
        with translated(home):
            try:
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
            except FileNotFoundError as error:  # /proc and the like take no new folders
                raise unusable(home, error.strerror or str(error)) from error
            refuse_strange(home)
            for folder in FOLDERS:
                with suppress(FileExistsError):
                    os.makedirs(home / folder, 0o700)
            _check_format(store)
            if not (home / "oci-layout").exists():
                store.write(home / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            if not (home / "generation").exists():
                store.raise_generation()
            if not frozen:
                reserve.make(home / "reserve")
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent. Also removes what killed processes left, as far as this user may."""
        from buildgraph.store.clean import clean

        try:
            with suppress(MachineError):  # a full disk loses what was counted, not what was built
                self.records.flush()
            self.seen.save()
            self.blobs.sync()
        finally:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
            try:
                if self._temp_made:
                    self.trash.remove(self.home / "tmp" / self.session)
                    self._temp_made = False
                with suppress(OSError, MachineError):  # a read-only disk keeps its left-overs
                    clean(self.home, self.trash)
            finally:
                self.lease.release()

    @cached_property
    def images(self) -> "LocalImages":
        from buildgraph.store.images import LocalImages

        return LocalImages(self)

    @property
    def snapshots_dir(self) -> Path:
        return self.home / "snapshots"

    @property
    def volumes(self) -> Path:
        return self.home / "volumes"

    @property
    def plans(self) -> Path:
        return self.home / "plans"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def stat(self) -> Path:
        return self.home / "stat"

    @property
    def tmp(self) -> Path:
        """This session's own folder; whatever is left in it goes when the session ends, however it ends."""
        path = self.home / "tmp" / self.session
        if not self._temp_made:
            self.lease.hold()
            with translated(path):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._temp_made = True
        return path

    def temp(self) -> Path:
        """An unused path in :attr:`tmp`."""
        return self.tmp / str(next(self._counter))

    def snapshot(self, name: str) -> Path | None:
        """The snapshot ``name`` (``sha256-…`` of a diff ID, ``tree-…``) if it is here; kept while the session lasts."""
        self.lease.name(name)
        path = self.snapshots_dir / name
        if path.is_dir():
            return path
        with locked(self.home / "leases" / "gc.lock", shared=True):
            return path if path.is_dir() else None

    def single_flight(
        self, key: str, cancelled: threading.Event | None = None
    ) -> AbstractContextManager[bool]:
        """See :func:`buildgraph.store.lease.single_flight`."""
        return lease.single_flight(self.home / "leases", key, cancelled)

    def generation(self) -> bytes:
        """Changes whenever something is taken out of the store; compare for equality only."""
        try:
            return (self.home / "generation").read_bytes()
        except FileNotFoundError:
            return b""

    def raise_generation(self) -> None:
        """Tell compiled plans that something may be gone; before it goes. Works on a full disk."""
        file = self.home / "generation"
        with self.lock("generation"):
            try:
                self.write(file, os.urandom(16).hex().encode())
            except MachineError as error:
                if error.code != "no-space":
                    raise
                file.unlink(missing_ok=True)

    def bind_ids(self, mapping: str) -> None:
        """Record the user and group ids that this store's snapshots are written with, or refuse another mapping.

        ``mapping`` is any text that is equal exactly when the ids are. Raises :class:`MachineError`
        (``store-ids-differ``).
        """
        file = self.home / "store.json"
        with self.lock("index"):
            known = _read_format(file)
            if known.get("ids") not in (None, mapping):
                raise MachineError(
                    "store-ids-differ",
                    f"the store {self.home} belongs to the ids {known['ids']}, not to {mapping}",
                    hint="run as the user that made it, or name another folder with --home",
                )
            if "ids" not in known:
                self.write(file, _format_bytes({**known, "ids": mapping}))

    def index(self) -> "Index":
        """The record index, opened on the first call."""
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = self._open_index()
        return self._opened

    def _open_index(self) -> "Index":
        if self.frozen:
            from buildgraph.store.frozenindex import FrozenIndex

            return FrozenIndex(self.home, self.temp, self.observer)
        from buildgraph.store.index import RecordIndex

        return RecordIndex(self.home, self.observer)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        with locked(self.home / "leases" / f"{name}.lock"):
            yield

    def write(self, path: Path, content: bytes) -> None:
        """Replace the small file ``path`` as a whole."""
        with translated(path):
            replace(path, content, self.temp())

    def miss(self, digest: Digest) -> None:
        """Somebody relied on this blob and found it gone, or of another size: what is left of it goes."""
        if self.blobs.has(digest):
            self.blobs.delete(digest)
            self._blob_damaged(digest)
        else:
            self.observer(Warned("blob-missing", f"the blob {digest} is gone from the store"))

    def _blob_damaged(self, digest: Digest) -> None:
        self.raise_generation()
        self.observer(Warned("blob-damaged", f"dropped the damaged blob {digest}"))


def refuse_strange(home: Path) -> None:
    """A folder of somebody's own, named by mistake, stays as it is. One that a crash left half made is taken."""
    names = {name for name in os.listdir(home) if ".damaged-" not in name} - {"lost+found"}
    ours = {folder.partition("/")[0] for folder in FOLDERS}
    if names and not names <= ours and not names & {"store.json", "leases"}:
        raise MachineError(
            "store-unusable",
            f"{home} is not empty and no store: it holds {min(names - ours)!r}",
            hint="name a new or empty folder with --home or BUILDGRAPH_HOME",
        )


def _check_format(store: LocalStore) -> None:
    file = store.home / "store.json"
    if not file.exists():
        store.write(file, _format_bytes({"format": FORMAT}))
        return
    found = _read_format(file).get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise MachineError(
            "store-too-new",
            f"the store {store.home} has format {found}; this buildgraph knows formats up to {FORMAT}",
            hint="use the newer buildgraph, or name another folder with --home",
        )


def _read_format(file: Path) -> dict[str, object]:
    """A damaged file counts as one of this format: everything in the store checks itself."""
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, FileNotFoundError):
        return {"format": FORMAT}
    return found if isinstance(found, dict) else {"format": FORMAT}


def _format_bytes(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True).encode() + b"\n"
