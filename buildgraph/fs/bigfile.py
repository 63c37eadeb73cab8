"""How is a file written that nobody reads back soon? Its beginning as any other, the rest past the page cache.

What is written is waited for anyway before a record may name it, and copying hundreds of megabytes into pages that
nothing asks for costs more CPU time than hashing them. From :data:`CACHED` bytes on the file is therefore written with
``O_DIRECT``, in whole aligned blocks; where the file system has no such thing, as always.
"""

import fcntl
import os
from errno import EINVAL
from mmap import mmap
from pathlib import Path
from typing import Final

BLOCK: Final = 1 << 20
CACHED: Final = 8 * BLOCK
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class BigFile:
    """A new file, or one that loses what it held. Blocks that begin at a page boundary in memory are not copied."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, _FLAGS, 0o600)
        self._size = 0
        self._direct = False
        self._block = memoryview(mmap(-1, BLOCK))
        self._filled = 0

    def write(self, content: bytes | memoryview) -> None:
        content = memoryview(content)
        if not self._filled and len(content) == BLOCK:
            self._put(content)
            return
        while content:
            at = self._filled
            part = content[: BLOCK - at]
            self._filled += len(part)
            self._block[at : self._filled] = part
            content = content[len(part) :]
            if self._filled == BLOCK:
                self._put(self._block)
                self._filled = 0

    def finish(self, *, sync: bool) -> None:
        """Write what is left, to the disk with ``sync``, and close."""
        if self._filled:
            self._set_direct(direct=False)
            self._put_all(self._block[: self._filled])
        if sync:
            os.fsync(self._fd)
        self.close()

    def close(self) -> None:
        """Idempotent; without :meth:`finish` the file has no end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _put(self, block: memoryview) -> None:
        if self._size == CACHED:
            self._set_direct(direct=True)
        try:
            self._put_all(block)
        except OSError as error:
            if error.errno != EINVAL or not self._direct:
                raise
            os.lseek(self._fd, self._size, os.SEEK_SET)  # not for this memory or this file
            self._set_direct(direct=False)
            self._put_all(block)
        self._size += len(block)

    def _put_all(self, content: memoryview) -> None:
        while content:
            content = content[os.write(self._fd, content) :]

    def _set_direct(self, *, direct: bool) -> None:
        if direct == self._direct:
            return
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags ^ os.O_DIRECT)
        except OSError:
            return
        self._direct = direct
