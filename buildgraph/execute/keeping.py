"""A blob is kept in the store while somebody else reads it, so that its bytes travel once."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Self, cast

from buildgraph.digest import Digest, hasher
from buildgraph.errors import ContentError
from buildgraph.store.local import LocalStore

_PIECE = 1 << 20


@contextmanager
def keep(store: LocalStore, digest: Digest) -> Iterator["Keeping"]:
    """What is read through it becomes the blob ``digest`` when the block ends well.

    Raises ContentError (``blob-damaged``) at the end when the bytes were others, or not all were read.
    """
    temp = store.blobs.temp()
    with temp.open("wb") as file:
        keeping = Keeping(file, digest)
        yield keeping
    keeping.check()
    store.blobs.adopt(temp, digest)


class Keeping(io.RawIOBase):
    """A stream that writes down what is read through it."""

    def __init__(self, file: BinaryIO, digest: Digest) -> None:
        self._file = file
        self._digest = digest
        self._hash = hasher(digest.algorithm)
        self._source: BinaryIO = io.BytesIO()

    def follow(self, source: BinaryIO) -> Self:
        """``source`` is closed by whoever opened it."""
        self._source = source
        return self

    def stream(self) -> BinaryIO:
        return cast("BinaryIO", io.BufferedReader(self, _PIECE))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._source.read(len(buffer))
        self._hash.update(content)
        self._file.write(content)
        buffer[: len(content)] = content
        return len(content)

    def drain(self) -> None:
        """Read what nobody read."""
        while self.read(_PIECE):
            pass

    def check(self) -> None:
        if self._hash.hexdigest() != self._digest.hex:
            raise ContentError(
                "blob-damaged", f"the bytes that came are not those of {self._digest}"
            )
