"""The record index of a store that takes no writes: read where it lies, what is set stays in memory.

SQLite reads it beside whoever writes to it. Where nobody has it open and its folder takes no writes, it is read as a
file that nobody changes; with a log beside it that nobody put into the file, from a copy of both. A damaged index is
told and counts as empty.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from diskcache.core import MODE_RAW

from buildgraph.events import Observer, Warned
from buildgraph.store.disk import DamagedRecordError, Value, unpack
from buildgraph.store.index import is_damage

_ROW: Final = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_KEYS: Final = "SELECT key FROM Cache WHERE raw = 1 AND typeof(key) = 'text' ORDER BY rowid"
_UNREADABLE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
)
_WAIT_SECONDS: Final = 60


class FrozenIndex:
    """An ``Index``. ``scratch`` makes a folder for a copy. May be used from several threads."""

    def __init__(self, home: Path, scratch: Callable[[], Path], observer: Observer) -> None:
        self._folder = home / "records"
        self._observer = observer
        self._lock = threading.Lock()
        self._own: dict[str, Value] = {}
        """None of what was deleted."""
        self._scratch = scratch
        self._connection: sqlite3.Connection | None = None
        self.set_aside: list[str] = []

    def get(self, key: str) -> Value:
        try:
            return self._read(key)
        except DamagedRecordError:
            self._observer(Warned("record-damaged", f"the record {key} is damaged"))
            self.delete(key)
            return None

    def _read(self, key: str) -> Value:
        if key in self._own:
            return self._own[key]
        for mode, filename, value in self._ask(_ROW, key):
            if mode != MODE_RAW or filename is not None or type(value) is not bytes:
                raise DamagedRecordError
            return unpack(key, value)
        return None

    def set(self, key: str, value: Value) -> None:
        self._own[key] = value

    def delete(self, key: str) -> None:
        self._own[key] = None

    def keys(self) -> tuple[str, ...]:
        there = dict.fromkeys(key for (key,) in self._ask(_KEYS))
        return tuple(key for key in there | self._own if self._own.get(key, key) is not None)

    def damaged(self) -> tuple[str, ...]:
        found = self._ask("PRAGMA integrity_check")
        if found not in ([], [("ok",)]):
            with self._lock:
                self._give_up(sqlite3.DatabaseError(found[0][0]))
        return tuple(key for key in self.keys() if not self._whole(key))

    def _whole(self, key: str) -> bool:
        try:
            self._read(key)
        except DamagedRecordError:
            return False
        return True

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _ask(self, question: str, *given: str) -> list[Any]:
        file = self._folder / "cache.db"
        with self._lock:
            if self.set_aside or not file.exists():
                return []
            try:
                if self._connection is None:
                    self._connection = _connect(file, self._scratch)
                return self._connection.execute(question, given).fetchall()
            except sqlite3.Error as error:
                self._give_up(error)
                return []

    def _give_up(self, error: sqlite3.Error) -> None:
        """Raises :class:`MachineError` for what is no damage."""
        is_damage(error, self._folder)
        self.set_aside.append(self._folder.name)
        said = f"the record index {self._folder} is damaged: it is not used, and stays"
        self._observer(Warned("records-damaged", said))


def _connect(file: Path, scratch: Callable[[], Path]) -> sqlite3.Connection:
    for uri in _ways(file, scratch):
        connection = sqlite3.connect(
            uri, _WAIT_SECONDS, uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(_KEYS).fetchone()
        except sqlite3.Error as error:
            connection.close()
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _UNREADABLE:
                raise
            problem = error
        else:
            return connection
    raise problem


def _ways(file: Path, scratch: Callable[[], Path]) -> Iterator[str]:
    import shutil

    there = file.absolute().as_uri()
    yield f"{there}?mode=ro"
    log = file.with_name(f"{file.name}-wal")
    if not log.exists() or not os.stat(log).st_size:
        yield f"{there}?immutable=1"
        return
    folder = scratch()
    folder.mkdir()
    for one in (file, log):
        shutil.copyfile(one, folder / one.name)
    yield (folder / file.name).absolute().as_uri()
