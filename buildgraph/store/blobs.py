"""Bytes by digest on disk: ``blobs/ALGORITHM/HEX``, an OCI layout's blob folder with BLAKE3 objects beside it.

A blob is written under ``tmp/SESSION/``, fsynced and renamed, mode 0444. Every digest that is looked for or made is
named in the session's lease first, so gc running beside keeps it. Reading verifies; damaged bytes are dropped and
reported (``blob-damaged``), so that they are made again and never used.
"""

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from buildgraph.digest import Digest, hasher
from buildgraph.errors import ContentError, DroppedError
from buildgraph.store.atomic import sync_file, sync_folder, write_synced
from buildgraph.store.faults import translated
from buildgraph.store.lease import Lease, locked

ALGORITHMS: Final = ("sha256", "sha512", "blake3")
_CHUNK: Final = 1 << 20
_SMALL: Final = 1 << 16
_SYNCERS: Final = 8
"""fsyncs that run together share a journal commit."""


class LocalBlobs:
    """The ``BlobStore`` of a home folder. ``temp`` yields unused paths on the same file system."""

    def __init__(
        self,
        home: Path,
        lease: Lease,
        temp: Callable[[], Path],
        on_damage: Callable[[Digest], None],
        *,
        frozen: bool = False,
    ) -> None:
        """``frozen``: ``blobs/`` takes no writes, and what is new goes to ``made/``."""
        self._root = str(home / ("made" if frozen else "blobs"))
        self._below = str(home / "blobs") if frozen else ""
        self._gc_lock = home / "leases" / "gc.lock"
        self._lease = lease
        self._temp = temp
        self._on_damage = on_damage
        self._unsynced: set[str] = set()

    def temp(self) -> Path:
        """A name for a new file, for :meth:`adopt`; the session removes what is left under it."""
        return self._temp()

    def path(self, digest: Digest) -> Path:
        """Where the blob is or would be, for sendfile and mounts; whoever reads there does not verify."""
        self._lease.name(digest)
        return Path(self._name(digest))

    def has(self, digest: Digest) -> bool:
        return self.size(digest) is not None

    def has_all(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those of ``digests`` that are here; one write to the lease for all."""
        wanted = tuple(digests)
        self._lease.name(*wanted)
        return frozenset(digest for digest in wanted if self.size(digest) is not None)

    def whole(self, sizes: Mapping[Digest, int]) -> frozenset[Digest]:
        """Those that are here, of these sizes. One of another size is damaged: it is dropped and told."""
        here = self.has_all(sizes)
        for digest in tuple(here):
            if self.size(digest) != sizes[digest]:
                here -= {digest}
                self._damaged(digest)
        return here

    def size(self, digest: Digest) -> int | None:
        self._lease.name(digest)
        name = self._name(digest)
        found = _size(name)
        if found is None:
            # gc renames a candidate away, then asks the leases, then renames back what they name.
            with locked(self._gc_lock, shared=True):
                found = _size(name)
        return found

    def read(self, digest: Digest) -> bytes | None:
        stream = self.open(digest)
        if stream is None:
            return None
        with stream:
            return stream.read()

    def open(self, digest: Digest) -> BinaryIO | None:
        self._lease.name(digest)
        file = self._open(digest)
        if file is None:
            with locked(self._gc_lock, shared=True):
                file = self._open(digest)
        if file is None:
            return None
        raw = VerifiedStream(file, digest, self._damaged)
        return io.BufferedReader(raw, _CHUNK)

    def put(self, content: bytes, algorithm: str = "sha256") -> Digest:
        digest = Digest.of(content, algorithm)
        self._lease.name(digest)
        name = self._name(digest)
        with translated(name):
            if not _holds(name, content):
                temp = self._temp()
                write_synced(temp, content, 0o444)
                self._rename(temp, self._own(digest))
        return digest

    def holds(self, content: bytes, algorithm: str = "sha256") -> bool:
        """Whether exactly this is here; then it stays."""
        digest = Digest.of(content, algorithm)
        self._lease.name(digest)
        name = self._name(digest)
        with translated(name):
            return _holds(name, content)

    def put_many(self, contents: Iterable[bytes], algorithm: str = "sha256") -> tuple[Digest, ...]:
        """Like :meth:`put` for each, in order; for slow disks, because the fsyncs run together."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_SYNCERS) as pool:
            return tuple(pool.map(lambda content: self.put(content, algorithm), contents))

    def adopt(self, temp: Path, digest: Digest) -> bool:
        """Make the finished file ``temp`` (from :meth:`temp`) the blob ``digest``, which the caller computed; whether
        it is new here.

        Idempotent; whatever was there is replaced unless it is seen to be the same, which also heals damage. ``temp``
        is gone afterwards.
        """
        self._lease.name(digest)
        name = self._name(digest)
        with translated(temp):
            if _is_small_copy(temp, name):
                os.unlink(temp)
                return False
            os.chmod(temp, 0o444)
            sync_file(temp)
            fresh = _size(name) is None
            self._rename(temp, self._own(digest))
        return fresh

    def delete(self, digest: Digest) -> None:
        with suppress(FileNotFoundError), translated(self._root):
            os.unlink(self._own(digest))

    def sync(self) -> None:
        """fsync the folders that got new names; before a tag, and at the end of a session."""
        folders, self._unsynced = self._unsynced, set()
        for folder in folders:
            with translated(folder):
                sync_folder(folder)

    def _name(self, digest: Digest) -> str:
        own = self._own(digest)
        if self._below and not os.path.lexists(own):
            return self._below + own[len(self._root) :]
        return own

    def _own(self, digest: Digest) -> str:
        """Where it goes if it is made now."""
        algorithm, _, hex_ = digest.partition(":")
        if algorithm not in ALGORITHMS or not hex_.isalnum():
            Digest.parse(digest)
        return f"{self._root}/{algorithm}/{hex_}"

    def _open(self, digest: Digest) -> io.FileIO | None:
        try:
            fd = os.open(self._name(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return io.FileIO(fd)
        except IsADirectoryError:
            os.close(fd)
            return None

    def _rename(self, temp: Path, name: str) -> None:
        folder = os.path.dirname(name)
        try:
            os.rename(temp, name)
        except FileNotFoundError:
            os.makedirs(folder, 0o700, exist_ok=True)
            os.rename(temp, name)
        except IsADirectoryError:  # somebody put it there
            from shutil import rmtree

            rmtree(name)
            os.rename(temp, name)
        self._unsynced.add(folder)

    def _damaged(self, digest: Digest) -> ContentError:
        if self._below and self._name(digest) != self._own(digest):
            return ContentError(
                "blob-damaged",
                f"the stored bytes of {digest} are not what their name says",
                hint="the store cannot be written here: run buildgraph cache verify where it can",
            )
        self.delete(digest)
        self._on_damage(digest)
        return damaged(digest)


class VerifiedStream(io.RawIOBase):
    """Bytes of a blob that turn into an error at their end when they were not the digest's."""

    def __init__(
        self, file: io.FileIO, digest: Digest, on_damage: Callable[[Digest], ContentError]
    ) -> None:
        super().__init__()
        self._file = file
        self._digest = digest
        self._on_damage = on_damage
        self._hash = hasher(digest.algorithm, os.fstat(file.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        assert count is not None  # a regular file never blocks
        if count:
            self._hash.update(buffer[:count])
        elif len(buffer) and self._hash.hexdigest() != self._digest.hex:
            raise self._on_damage(self._digest)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def damaged(digest: Digest) -> DroppedError:
    error = DroppedError(
        "blob-damaged",
        f"the stored bytes of {digest} are not what their name says; they were dropped",
        hint="run the command again: what is missing is made anew",
    )
    error.digest = digest
    return error


def listed(home: Path) -> Iterator[tuple[Digest, Path]]:
    """Every blob by its name, without looking inside; what is no blob's name is left out."""
    for algorithm in ALGORITHMS:
        folder = home / "blobs" / algorithm
        names = os.listdir(folder) if folder.is_dir() else []
        for name in names:
            with suppress(ContentError):
                yield Digest.parse(f"{algorithm}:{name}"), folder / name


def _size(name: str) -> int | None:
    try:
        found = os.stat(name, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _is_small_copy(temp: Path, name: str) -> bool:
    """Whether the blob is there undamaged, and telling costs less than writing it again."""
    size = _size(name)
    if size is None or size > _SMALL:
        return False
    with open(temp, "rb") as file:
        content = file.read(_SMALL + 1)
    return _holds(name, content)


def _holds(name: str, content: bytes) -> bool:
    """Whether the blob is there undamaged; comparing costs less than trusting a name."""
    if _size(name) != len(content):
        return False
    try:
        with open(name, "rb") as file:
            return file.read() == content
    except FileNotFoundError:
        return False
