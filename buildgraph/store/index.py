"""The record index: small values by text key in ``records/`` (diskcache), opened when first used.

A damaged index is renamed to ``records.damaged-…`` with a warning, and an empty one takes its place: records cost time
to lose, never correctness. A damaged row is dropped with a warning and is a miss. Processes that still have the old
index open notice at their next write and reopen. Nothing here expires or is evicted by diskcache itself.
"""

import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from diskcache import Cache, Timeout

from buildgraph.errors import MachineError
from buildgraph.events import Observer, Warned
from buildgraph.store.disk import DamagedRecordError, RecordDisk, Value, pack, unpack
from buildgraph.store.faults import no_space, not_writable, translated, unusable
from buildgraph.store.lease import locked

_SETTINGS: Final = {
    "statistics": 0,
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 1 << 62,
    "sqlite_journal_mode": "wal",
    "sqlite_synchronous": 1,
    # A mapped file that shrinks under us is a SIGBUS instead of an error.
    "sqlite_mmap_size": 0,
}
_WAIT_SECONDS: Final = 60
_TRIES: Final = 3

_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_FORMAT,
    }
)
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

T = TypeVar("T")


class Index(Protocol):
    """Small values by text key: what records are made of. May be used from several threads."""

    set_aside: list[str]
    """The names of indexes that were found damaged, as they are called now."""

    def get(self, key: str) -> Value:
        """None when absent or damaged."""

    def set(self, key: str, value: Value) -> None: ...

    def delete(self, key: str) -> None: ...

    def keys(self) -> tuple[str, ...]: ...

    def damaged(self) -> tuple[str, ...]:
        """Check the whole index, every row too; the keys of damaged rows, which stay until they are deleted."""

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside become visible together; other writers wait, so keep it short. Nests."""

    def close(self) -> None:
        """Idempotent."""


class RecordIndex:
    """May be used from several threads; each has its own connection."""

    def __init__(self, home: Path, observer: Observer) -> None:
        self._folder = home / "records"
        self._lock_file = home / "leases" / "records.lock"
        self._observer = observer
        self._opening = threading.Lock()
        self._current: Any = None
        self._identity = (0, 0)
        self.set_aside: list[str] = []
        """The names that damaged indexes were given by this object."""

    def get(self, key: str) -> Value:
        """None when absent or damaged."""
        try:
            packed = self._run(lambda cache: cache.get(key))
            return None if packed is None else unpack(key, packed)
        except DamagedRecordError:
            self._observer(Warned("record-damaged", f"dropped the damaged record {key}"))
            self.delete(key)
            return None

    def set(self, key: str, value: Value) -> None:
        packed = pack(key, value)
        self._follow()
        self._run(lambda cache: cache.set(key, packed))

    def delete(self, key: str) -> None:
        self._follow()
        self._run(lambda cache: cache.delete(key))

    def keys(self) -> tuple[str, ...]:
        return self._run(tuple)

    def damaged(self) -> tuple[str, ...]:
        """Check the whole index, every row too; the keys of damaged rows, which stay until they are deleted.

        An index that is itself damaged is set aside.
        """
        cache = self._cache()
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # inside, they are collected and returned
            found = self._run(lambda cache: [w for w in cache.check() if _is_integrity(w)])
        if found:
            self._set_aside(cache)
        return tuple(key for key in self.keys() if not self._whole(key))

    def _whole(self, key: str) -> bool:
        try:
            packed = self._run(lambda cache: cache.get(key))
            if packed is not None:
                unpack(key, packed)
        except DamagedRecordError:
            return False
        return True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become visible together; other writers wait, so keep it short. Nests."""
        self._follow()
        cache = self._cache()
        block = cache.transact()
        try:
            block.__enter__()
        except (sqlite3.Error, Timeout) as error:
            self._recover(cache, error)
            with self.transaction():
                yield
            return
        try:
            yield
        except BaseException as error:
            # A connection whose index was set aside meanwhile has nothing to roll back.
            with suppress(sqlite3.Error):
                block.__exit__(type(error), error, error.__traceback__)
            raise
        try:
            block.__exit__(None, None, None)
        except sqlite3.Error as error:
            if cache is self._current:
                self._recover(cache, error)

    def close(self) -> None:
        """Idempotent; closes the calling thread's connection, others end with their thread."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _run(self, operation: Callable[[Any], T]) -> T:
        for _ in range(_TRIES - 1):
            cache = self._cache()
            try:
                return operation(cache)
            except (sqlite3.Error, Timeout) as error:
                self._recover(cache, error)
        return operation(self._cache())

    def _cache(self) -> Any:
        if self._current is None:
            with self._opening:
                if self._current is None:
                    self._current = self._open()
        return self._current

    def _follow(self) -> None:
        """Another process may have set the index aside; what is written to the old one is lost."""
        if self._current is not None and _identity(self._folder) != self._identity:
            self._current = None

    def _open(self) -> Any:
        with translated(self._folder), locked(self._lock_file):
            for _ in range(_TRIES - 1):
                try:
                    return self._open_folder()
                except (sqlite3.Error, Timeout) as error:
                    if is_damage(error, self._folder):
                        self._rename_away()
                except (ValueError, TypeError, KeyError):  # settings that are no settings
                    self._rename_away()
            return self._open_folder()

    def _open_folder(self) -> Any:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._identity = _identity(self._folder)
        return Cache(str(self._folder), timeout=_WAIT_SECONDS, disk=RecordDisk, **_SETTINGS)

    def _recover(self, cache: Any, error: Exception) -> None:
        """Return when the operation can be tried again; raise what the machine lacks."""
        if cache is self._current:
            if is_damage(error, self._folder):
                self._set_aside(cache)
            else:
                self._current = None

    def _set_aside(self, cache: Any) -> None:
        """Only the first of several threads or processes that met the damage renames."""
        with self._opening:
            if cache is self._current:
                with locked(self._lock_file):
                    if _identity(self._folder) == self._identity:
                        self._rename_away()
                self._current = None

    def _rename_away(self) -> None:
        aside = self._folder.with_name(f"records.damaged-{os.urandom(4).hex()}")
        with suppress(FileNotFoundError):
            os.rename(self._folder, aside)
            self.set_aside.append(aside.name)
        self._observer(
            Warned(
                "records-damaged",
                f"the record index {self._folder} is damaged: it is kept as {aside.name} and a new one is begun",
            )
        )


def _is_integrity(found: warnings.WarningMessage) -> bool:
    """diskcache also tells of foreign files and of counters that are off by a killed process; they do no harm."""
    return found.category is UserWarning and not str(found.message).startswith("Settings.")


def is_damage(error: Exception, folder: Path) -> bool:
    """False when the index only has to be opened again; raises :class:`MachineError` for all else."""
    cause = error.__context__ if isinstance(error, Timeout) else error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        if isinstance(cause, sqlite3.ProgrammingError):
            raise error
        return isinstance(cause, sqlite3.Error)  # text that is no UTF-8
    if code == sqlite3.SQLITE_READONLY_DBMOVED or not folder.is_dir():
        return False
    primary = code & 0xFF
    if primary in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return True
    raise _machine_error(primary, cause, folder) from cause


def _machine_error(primary: int, cause: BaseException | None, folder: Path) -> MachineError:
    disk = os.statvfs(folder)
    if primary == sqlite3.SQLITE_FULL or not disk.f_bavail or (disk.f_files and not disk.f_favail):
        return no_space(folder)
    if primary in _BUSY:
        return MachineError(
            "store-busy",
            f"the record index {folder} was locked by another process for {_WAIT_SECONDS} seconds",
            hint="look for a stopped buildgraph process and end it",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return not_writable(folder, str(cause))
    return unusable(folder, str(cause))


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino
