"""Packing beside packing: worker processes for layers that would otherwise wait for Python's one thread.

The first layer is packed where the caller is. Only while that goes on, and only for layers that are worth the trip,
the next ones go to processes of a forkserver (ADR 9), which is started when the first of them comes. A worker gets
entries and paths and writes the layer's files itself; no content travels. Workers end with the process that started
them, however it ends: their queue breaks.
"""

import os
import pickle
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, Packed, pack

if TYPE_CHECKING:
    from multiprocess.pool import Pool

_WORTH_FILES = 100
_WORTH_BYTES = 4 << 20


class Packers:
    """Call it like :func:`buildgraph.fs.pack.pack`, from any thread; a context manager."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._busy = 0
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()

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
            pool = self._started() if beside else None
        try:
            options = {
                "codec": codec,
                "blob": blob,
                "snapshot": snapshot,
                "tar": tar,
                "sync": False,
            }
            if pool is None:
                return pack(items, **options)  # type: ignore[arg-type]
            # the pool's own pickling is pure Python and would hold up every thread
            task = pickle.dumps((items, options), pickle.HIGHEST_PROTOCOL)
            packed: Packed = pickle.loads(pool.apply(_pack, (task,)))  # noqa: S301 - our own process
            return packed
        finally:
            with self._lock:
                self._busy -= 1

    def _started(self) -> "Pool":
        if self._pool is None:
            from multiprocess import get_context

            context = get_context("forkserver")
            context.set_forkserver_preload(["buildgraph.fs.pack"])
            self._pool = context.Pool(self._processes, initializer=_leave_signals)
        return self._pool


def _is_worth_it(items: Sequence[Item]) -> bool:
    if len(items) >= _WORTH_FILES:
        return True
    return sum(item.entry.size for item in items) >= _WORTH_BYTES


def _pack(task: bytes) -> bytes:
    items, options = pickle.loads(task)  # noqa: S301 - our own process
    return pickle.dumps(pack(items, **options), pickle.HIGHEST_PROTOCOL)


def _leave_signals() -> None:
    """What a terminal sends goes to the whole group; the process that started the worker decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
