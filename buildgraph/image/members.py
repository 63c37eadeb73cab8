"""Where do the files of a tar lie, so that they can be read in any order?

The archive is a file, compressed or not; a compressed one is first unpacked into a temporary file without a name.
Names are normalized (``./a//b`` is ``a/b``); a later member of one name replaces an earlier one, as when unpacking.
"""

import io
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from buildgraph.errors import ContentError
from buildgraph.fs import tarheader
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.tarread import Archive
from buildgraph.image.layout import open_regular

if TYPE_CHECKING:
    from buildgraph.fs.readahead import ReadAhead

_MOST_MEMBERS: Final = 100_000
_MOST_BYTES: Final = 256 << 30
_MOST_LINKS: Final = 8
_PIECE: Final = 1 << 20


class _Member(NamedTuple):
    offset: int
    size: int


class Members:
    """The regular files of the archive at ``path``, and the links to them; ``close`` when done.

    Raises ContentError: ``not-an-archive``, ``archive-…``, ``bad-compression``.
    """

    def __init__(self, path: Path, tmp: Path | None) -> None:
        self.path = path
        try:
            self._file = _plain(open_regular(path), path, tmp)
        except OSError as error:
            raise ContentError("not-an-archive", f"{path}: {error.strerror}") from error
        self._files: dict[str, _Member] = {}
        self._links: dict[str, str] = {}
        with _owned(self._file):
            self._scan()

    def close(self) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._files or name in self._links

    def open(self, name: str) -> BinaryIO:
        """A seekable stream; several can be read at once. Raises ContentError (``blob-missing``)."""
        here = posixpath.normpath(name)
        for _ in range(_MOST_LINKS):
            if here in self._files:
                return cast(
                    "BinaryIO", io.BufferedReader(_Slice(self._file, self._files[here]), _PIECE)
                )
            if here not in self._links:
                break
            here = self._links[here]
        raise ContentError("blob-missing", f"{self.path} lacks {name}")

    def _scan(self) -> None:
        source = _Seeking(self._file)
        for member in Archive(cast("ReadAhead", source)):
            name = posixpath.normpath(os.fsdecode(member.name)).lstrip("/")
            self._files.pop(name, None)
            self._links.pop(name, None)
            if member.type == tarheader.FILE:
                self._files[name] = _Member(source.size, member.size)
            elif member.type in (tarheader.SYMLINK, tarheader.LINK):
                start = posixpath.dirname(name) if member.type == tarheader.SYMLINK else ""
                self._links[name] = posixpath.normpath(
                    posixpath.join(start, os.fsdecode(member.link))
                )
            if len(self._files) + len(self._links) > _MOST_MEMBERS:
                raise ContentError("archive-too-big", f"{self.path} has too many members")


def _plain(file: BinaryIO, path: Path, tmp: Path | None) -> BinaryIO:
    """``file`` itself, or a temporary file with what it holds uncompressed."""
    start = file.read(6)
    file.seek(0)
    compressed = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh")
    if not start.startswith(compressed):
        return file
    with _owned(cast("BinaryIO", TemporaryFile(dir=tmp))) as plain:
        with open_decompressor(file) as stream:
            while content := stream.read(_PIECE):
                if plain.write(content) and plain.tell() > _MOST_BYTES:
                    raise ContentError(
                        "archive-too-big", f"{path} unpacks to more than {_MOST_BYTES} bytes"
                    )
        plain.flush()
    return plain


@contextmanager
def _owned(file: BinaryIO) -> Iterator[BinaryIO]:
    """Closed on failure only."""
    try:
        yield file
    except BaseException:
        file.close()
        raise


class _Seeking:
    """What :class:`Archive` needs of its source, over a file that can be skipped in."""

    def __init__(self, file: BinaryIO) -> None:
        self._fd = file.fileno()
        self._end = os.fstat(self._fd).st_size
        self.size = 0
        self.left = _MOST_BYTES

    def take(self, count: int) -> memoryview:
        content = os.pread(self._fd, min(count, _PIECE), self.size)
        self.size += len(content)
        return memoryview(content)

    def skip(self, count: int) -> bool:
        whole = self.size + count <= self._end
        self.size = min(self.size + count, self._end)
        return whole


class _Slice(io.RawIOBase):
    """One member's content; several can be read at once, because each keeps its own position."""

    def __init__(self, file: BinaryIO, member: _Member) -> None:
        self._file = file
        self._member = member
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._member.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._member.size - self._at)]
        count = os.preadv(self._file.fileno(), [view], self._member.offset + self._at)
        self._at += count
        return count
