"""Hashes many files on all cores: each is opened and read once, into one reused buffer.

A digest is given only if the file is still what its row says after the last byte was read; else the answer is
``""`` and the caller looks closer. Where there is enough to do, half of it runs in a second process: forked as
long as this one has a single thread (5 ms), else one of ``multiprocess`` with the forkserver context (150 ms, so
for big trees alone). Threads do not help: small files cost system calls, and those wait for each other's lock.
"""

import os
from itertools import accumulate, chain
from signal import SIGKILL
from stat import S_ISREG
from struct import error, iter_unpack, pack
from typing import TYPE_CHECKING, Final, cast

from blake3 import blake3

from buildgraph.fs.rows import WIDTH, Row, row_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_BUFFER: Final = 1 << 18
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HEX: Final = 64
LEAST_COST: Final = 9_000
_BYTES_PER_COST: Final = 3
"""Costs are nanoseconds, measured: 9 µs a file and three bytes a nanosecond."""
_WORTH_A_FORK: Final = 30_000_000
_WORTH_A_SERVER: Final = 400_000_000


def hash_files(paths: list[bytes], rows: list[Row]) -> list[str]:
    """The hex BLAKE3 of every file, or ``""``."""
    costs = list(accumulate(map(cost, rows)))
    total = costs[-1] if costs else 0
    if total < _WORTH_A_FORK or len(os.sched_getaffinity(0)) < 2:
        return hash_here(paths, rows)
    cut = next(i for i, spent in enumerate(costs, 1) if spent >= total // 2)
    if has_one_thread():
        return _with_fork(paths, rows, cut)
    if total >= _WORTH_A_SERVER:
        return _with_server(paths, rows, cut)
    return hash_here(paths, rows)


def cost(row: Row) -> int:
    """Nanoseconds to read and hash a file."""
    return LEAST_COST + row[2] // _BYTES_PER_COST


def has_one_thread() -> bool:
    """Whether this process has one thread, those that Python does not know of included."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def hash_here(paths: list[bytes], rows: list[Row]) -> list[str]:
    """The same in this thread."""
    buffer = bytearray(_BUFFER)
    view, buffers = memoryview(buffer), [buffer]
    found = []
    for path, row in zip(paths, rows, strict=True):
        try:
            fd = os.open(path, _READ) if S_ISREG(row[3]) else -1
        except OSError:
            fd = -1
        if fd < 0:
            found.append("")
            continue
        try:
            size = os.readv(fd, buffers)
            hasher = blake3(view[:size])
            while size < row[2] and (more := os.readv(fd, buffers)):
                hasher.update(view[:more])
                size += more
            same = size == row[2] and row_of(os.fstat(fd)) == row
        except OSError:
            same = False
        finally:
            os.close(fd)
        found.append(hasher.hexdigest() if same else "")
    return found


def _with_fork(paths: list[bytes], rows: list[Row], cut: int) -> list[str]:
    """What follows ``cut`` is hashed by a forked child, which does nothing else and cannot return."""
    reader, writer = os.pipe()
    with open(reader, "rb") as answer, open(writer, "wb") as out:
        try:
            child = os.fork()
        except OSError:
            return hash_here(paths, rows)
        if not child:
            try:
                out.write(_joined(hash_here(paths[cut:], rows[cut:])))
                out.flush()
            finally:
                os._exit(0)
        try:
            out.close()
            mine = hash_here(paths[:cut], rows[:cut])
            return mine + _split(answer.read(), len(paths) - cut)
        finally:
            os.kill(child, SIGKILL)
            os.waitpid(child, 0)


def _with_server(paths: list[bytes], rows: list[Row], cut: int) -> list[str]:
    """The same with a worker process; paths and rows go as bytes, since pickling them would cost more."""
    from multiprocess import get_context

    try:
        numbers = pack(f"{WIDTH * (len(rows) - cut)}q", *chain.from_iterable(rows[cut:]))
    except error:
        return hash_here(paths, rows)
    context = get_context("forkserver")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs,), daemon=True)
    worker.start()
    theirs.close()
    with ours:
        try:
            ours.send_bytes(b"\0".join(paths[cut:]))
            ours.send_bytes(numbers)
            mine = hash_here(paths[:cut], rows[:cut])
            answer = ours.recv_bytes()
        except (EOFError, OSError):  # the worker died
            return hash_here(paths, rows)
        finally:
            worker.kill()
            worker.join()
    return mine + _split(answer, len(paths) - cut)


def _serve(connection: "Connection") -> None:
    """Runs in the worker."""
    paths = connection.recv_bytes().split(b"\0")
    rows = cast("list[Row]", list(iter_unpack(f"{WIDTH}q", connection.recv_bytes())))
    connection.send_bytes(_joined(hash_here(paths, rows)))


def _joined(found: list[str]) -> bytes:
    return "".join(content.ljust(_HEX) for content in found).encode()


def _split(answer: bytes, count: int) -> list[str]:
    """A short answer (the child died) leaves the rest unknown."""
    text = answer.decode()
    return [text[at : at + _HEX].strip() for at in range(0, _HEX * count, _HEX)]
