"""Who uses what right now: flock-held files, so that a killed process holds nothing.

``leases/`` holds three sorts of file:

``SESSION.lease``
    Held exclusively by one open store for as long as it is open. Its lines are the digests and snapshot names
    that the session relies on; a line is appended *before* the thing is looked for. A line without its newline
    is still being written, so whoever writes it has not looked yet. The same session owns ``tmp/SESSION/``.
``KEY.flight``
    Held by whoever works on KEY; removed by its holder. Whoever gets the lock checks that the file it locked is
    still the one under that name, else it starts over.
``NAME.lock``
    Short critical sections (``gc``, ``index``, ``records``, ``generation``); ``collect`` for as long as a collection
    runs. Never removed.

Order of locks: a transaction of the record index, then ``gc.lock``; nothing begins a transaction under ``gc.lock``.
flock belongs to the open file description, so two threads of a process exclude each other like two processes.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from buildgraph.digest import Digest
from buildgraph.store.faults import translated

_FIRST_WAIT = 0.001
_LONGEST_WAIT = 0.05


class Lease:
    """What one open store relies on. The file exists from the first name on, until :meth:`release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._fd = -1
        self._torn = False

    @property
    def path(self) -> Path:
        return self._path

    def name(self, *names: str) -> None:
        """Rely on ``names``: from now on gc keeps them, or had dropped them before. Cheap when named before."""
        if self._names.issuperset(names):
            return
        with self._lock, translated(self._path):
            self._open()
            fresh = [name for name in names if name not in self._names]
            self._append("".join(f"{name}\n" for name in fresh).encode())
            self._names.update(fresh)

    def hold(self) -> None:
        """Make the session known to others even though it relies on nothing yet."""
        with self._lock, translated(self._path):
            self._open()

    def release(self) -> None:
        """Idempotent. While a collection runs, the file stays: what was relied on may just have been recorded."""
        with self._lock:
            if self._fd >= 0:
                with not_collecting(self._path.parent) as free, suppress(FileNotFoundError):
                    if free:
                        os.unlink(self._path)
                os.close(self._fd)
                self._fd = -1
                self._names.clear()

    def _append(self, lines: bytes) -> None:
        """A full disk can cut a line short; the next one must not be glued to it."""
        lines = b"\n" + lines if self._torn else lines
        self._torn = True
        while lines:
            lines = lines[os.write(self._fd, lines) :]
        self._torn = False

    def _open(self) -> None:
        if self._fd < 0:
            fd = _lock_current(self._path, threading.Event())
            assert fd is not None
            self._fd = fd


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the ``.lock`` file ``path``; for sections of a few milliseconds, so the wait is not interruptible."""
    with translated(path):
        fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def single_flight(
    folder: Path, key: str, cancelled: threading.Event | None = None
) -> Iterator[bool]:
    """Hold ``key`` among all threads and processes; False (and not held) when ``cancelled`` was set meanwhile.

    Whoever waited looks up again what it wanted to make: the one before has most likely made it.
    """
    name = Digest.sha256(key.encode()).hex[:40]
    path = folder / f"{name}.flight"
    with translated(path):
        fd = _lock_current(path, cancelled or threading.Event())
    if fd is None:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
        os.close(fd)


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody holds the file ``path`` (or it is gone); if so, nobody can take it inside the block."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


@contextmanager
def not_collecting(folder: Path) -> Iterator[bool]:
    """Whether no collection runs; if so, none begins inside the block."""
    fd = _open(folder / "collect.lock")
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def dead(folder: Path) -> frozenset[str]:
    """The leases that nobody holds."""
    found = set()
    for name in _leases(folder):
        with abandoned(folder / name) as nobody:
            if nobody:
                found.add(name)
    return frozenset(found)


def relied_on(folder: Path, but: frozenset[str] = frozenset()) -> frozenset[str]:
    """What the sessions name, except the leases ``but``.

    A collection leaves out those that were dead when it began. It keeps those that ended since: what they recorded
    is not in its inventory. Read under ``gc.lock``, after the candidates were renamed away.
    """
    names: set[str] = set()
    for name in _leases(folder):
        if name not in but:
            with suppress(FileNotFoundError), open(folder / name, "rb") as file:
                whole, _, _ = file.read().rpartition(b"\n")
                names.update(whole.decode("ascii", "replace").split("\n"))
    names.discard("")
    return frozenset(names)


def _leases(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.endswith(".lease")]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock_current(path: Path, cancelled: threading.Event) -> int | None:
    """A descriptor that holds the lock of the file that ``path`` names now; None when cancelled."""
    wait = _FIRST_WAIT
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(fd, path):
                return fd
            os.close(fd)
        except BlockingIOError:
            os.close(fd)
            if cancelled.wait(wait):
                return None
            wait = min(wait * 2, _LONGEST_WAIT)
        except BaseException:
            os.close(fd)
            raise


def _is_current(fd: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)
