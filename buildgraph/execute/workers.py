"""Packing beside packing: worker processes for layers that would otherwise wait for Python's one thread.

The first layer is packed where the caller is. Only while that goes on, and only for layers that are worth the trip,
the next ones go to processes of a forkserver (ADR 9), each started when the first layer comes for it. A worker gets
entries and paths and writes the layer's files itself; no content travels. Each has a connection of its own: one that
is killed breaks that and nothing else (a pool's shared queue would stay locked for ever), and workers end with the
process that started them, however it ends. What a terminal or ``timeout`` sends to the whole group does not reach
them; the process that started them decides.
"""

import os
import pickle
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from buildgraph.errors import MachineError
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, Packed, pack

if TYPE_CHECKING:
    from multiprocess.connection import Connection
    from multiprocess.process import BaseProcess

_WORTH_FILES = 100
_WORTH_BYTES = 4 << 20


class Packers:
    """Call it like :func:`buildgraph.fs.pack.pack`, from any thread; a context manager."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._places = threading.Semaphore(self._processes)
        self._lock = threading.Lock()
        self._busy = 0
        self._starting = threading.Lock()
        self._idle: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        while self._idle:
            self._idle.pop().end()

    def __call__(
        self,
        items: Sequence[Item],
        *,
        codec: Codec | None = None,
        blob: Path | None = None,
        snapshot: Path | None = None,
        tar: bool = True,
    ) -> Packed:
        """Whoever adopts the blob syncs it."""
        with self._lock:
            beside = self._busy > 0 and self._processes > 1 and _is_worth_it(items)
            self._busy += 1
        try:
            options = {
                "codec": codec,
                "blob": blob,
                "snapshot": snapshot,
                "tar": tar,
                "sync": False,
            }
            if not beside:
                return pack(items, **options)  # type: ignore[arg-type]
            # a connection's own pickling is pure Python and would hold up every thread
            answer = self._ask(pickle.dumps((items, options), pickle.HIGHEST_PROTOCOL))
            packed: Packed | Exception = pickle.loads(answer)  # noqa: S301 - our own process
            if isinstance(packed, Exception):
                raise packed
            return packed
        finally:
            with self._lock:
                self._busy -= 1

    def _ask(self, task: bytes) -> bytes:
        worker = None
        with self._places:
            try:
                worker = self._take()
                answer = worker.ask(task)
            except (EOFError, OSError) as error:
                if worker is not None:
                    worker.end()
                raise MachineError(
                    "packer-killed",
                    "a process that packed a layer was killed",
                    hint="the machine may be short of memory; build again, with a smaller -j",
                ) from error
            self._idle.append(worker)
            return answer

    def _take(self) -> "_Worker":
        with suppress(IndexError):
            return self._idle.pop()
        with self._starting:
            return _Worker.start()


class _Worker:
    def __init__(self, process: "BaseProcess", connection: "Connection") -> None:
        self._process = process
        self._connection = connection

    @classmethod
    def start(cls) -> "_Worker":
        from multiprocess import get_context

        context = get_context("forkserver")
        context.set_forkserver_preload(["buildgraph.fs.pack"])
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def ask(self, task: bytes) -> bytes:
        """Raises EOFError or OSError when the process is gone."""
        self._connection.send_bytes(task)
        answer: bytes = self._connection.recv_bytes()
        return answer

    def end(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()


def _is_worth_it(items: Sequence[Item]) -> bool:
    if len(items) >= _WORTH_FILES:
        return True
    return sum(item.entry.size for item in items) >= _WORTH_BYTES


def _serve(connection: "Connection") -> None:
    os.setsid()
    with suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_pack(connection.recv_bytes()))


def _pack(task: bytes) -> bytes:
    """The layer, or what went wrong."""
    items, options = pickle.loads(task)  # noqa: S301 - our own process
    try:
        packed: object = pack(items, **options)
    except Exception as error:  # noqa: BLE001 - raised again where the layer was asked for
        packed = error
    return pickle.dumps(packed, pickle.HIGHEST_PROTOCOL)
