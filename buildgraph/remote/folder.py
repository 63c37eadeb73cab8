"""A remote cache in a folder: of this machine, or of a file system that several machines mount.

    FOLDER/buildgraph-cache.json    {"format": 1}
    FOLDER/records/NAME             a record's bytes
    FOLDER/blobs/sha256/HEX         what records name

A file appears under its name by link or rename, when it is whole and synced; what a killed process left is called
``.tmp-…``. The folder may be copied, and anything in it but the first file may be deleted at any time.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, RemoteError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.store.atomic import sync_file, write_synced
from buildgraph.store.blobs import VerifiedStream

MARKER: Final = "buildgraph-cache.json"
_FORMAT: Final = b'{"format": 1}\n'
_PIECE: Final = 1 << 20


class Folder:
    """``path`` is absolute; it is made when something is put there."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.place = f"file://{path}"

    def get(self, name: str) -> bytes | None:
        with _reading(self._path):
            try:
                with (self._path / "records" / name).open("rb") as file:
                    return file.read(LARGEST + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def has(self, name: str) -> bool:
        with _reading(self._path):
            return (self._path / "records" / name).is_file()

    def put(self, name: str, record: bytes, *, replace: bool = False) -> None:
        with _writing(self._path):
            temp = self._temp("records")
            write_synced(temp, record, 0o644)
            try:
                _appear(temp, self._path / "records" / name, replace=replace)
            finally:
                temp.unlink(missing_ok=True)

    def lacks(self, blob: Descriptor) -> bool:
        try:
            return self._blob(blob.digest).stat().st_size != blob.size
        except OSError:
            return True

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        with _reading(self._path):
            try:
                fd = os.open(self._blob(blob.digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError as error:
                raise ContentError(
                    "blob-missing", f"the cache {self.place} lacks the blob {blob.digest}"
                ) from error
        return io.BufferedReader(VerifiedStream(io.FileIO(fd), blob.digest, self._damaged), _PIECE)

    def put_blob(
        self, blob: Descriptor, open_blob: Callable[[], BinaryIO], *, afresh: bool = False
    ) -> int:
        path = self._blob(blob.digest)
        with _writing(self._path):
            with suppress(FileNotFoundError):
                if path.stat().st_size == blob.size and not afresh:
                    return 0
            temp = self._temp(f"blobs/{blob.digest.algorithm}")
            try:
                with open_blob() as source, temp.open("xb") as file:
                    while piece := source.read(_PIECE):
                        file.write(piece)
                temp.chmod(0o644)
                sync_file(temp)
                temp.rename(path)
            finally:
                temp.unlink(missing_ok=True)
        return blob.size

    def names(self) -> Iterator[str]:
        with _reading(self._path):
            try:
                found = os.listdir(self._path / "records")
            except FileNotFoundError:
                found = []
        yield from sorted(name for name in found if not name.startswith("."))

    def is_empty(self) -> bool:
        return not (self._path / MARKER).is_file()

    def _blob(self, digest: Digest) -> Path:
        return self._path / "blobs" / digest.algorithm / digest.hex

    def _temp(self, folder: str) -> Path:
        where = self._path / folder
        if not where.is_dir():
            where.mkdir(parents=True, exist_ok=True)
        marker = self._path / MARKER
        if not marker.exists():
            temp = self._path / f".tmp-{os.urandom(8).hex()}"
            write_synced(temp, _FORMAT, 0o644)
            temp.rename(marker)
        return where / f".tmp-{os.urandom(8).hex()}"

    def _damaged(self, digest: Digest) -> ContentError:
        """Out of the way, so that whoever makes it again can put it there."""
        with suppress(OSError):
            self._blob(digest).unlink()
        return ContentError(
            "blob-damaged", f"the cache {self.place} has other bytes than those of {digest}"
        )


def _appear(temp: Path, path: Path, *, replace: bool) -> None:
    if replace:
        temp.rename(path)
        return
    with suppress(FileExistsError):
        os.link(temp, path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed("read", path, error) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed("written", path, error) from error


def _failed(verb: str, path: Path, error: OSError) -> RemoteError:
    return RemoteError(
        "cache-failed", f"the cache file://{path} cannot be {verb}: {error.strerror or error}"
    )
