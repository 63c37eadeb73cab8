"""How do entries become a layer, with every file read exactly once?

One pass over sorted items reads each file into the chunk of tar that it belongs to and from there takes everything
else: its BLAKE3, the diff ID, the compressed blob and the snapshot. What is hashed is therefore what is packed. A file
that is not what its entry says, vanished, or changed while it was read is :class:`ContentError` ``source-changed``.
"""

import errno
import os
import stat
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from blake3 import blake3

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.compress import Blob, Codec
from buildgraph.fs.place import Snapshot
from buildgraph.fs.printable import printable
from buildgraph.fs.stream import Chunks, TarStream
from buildgraph.fs.tarball import END, WHITEOUT_PREFIX, head
from buildgraph.fs.tree import Entry, Tree
from buildgraph.values import dataclass

OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHANGED: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR))
_SCRATCH: Final = 1 << 20
_ZEROS: Final = bytes(512)
_NONE: Final = Digest()
_NO_NAMES: Final = (b"", b".", b"..")


class Item(NamedTuple):
    """An entry and where a regular file's content is: at the host path ``source``, or in ``data``.

    ``entry.content`` may be empty: then content and size are whatever is found. ``implied`` marks a directory that is
    listed only because of something below it.
    """

    entry: Entry
    source: bytes = b""
    data: bytes | None = None
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """``tree`` has every content and size filled in; ``diff_id`` and ``size`` (of the tar) are empty without a tar."""

    tree: Tree
    diff_id: Digest = _NONE
    size: int = 0
    blob: Blob | None = None


def pack(
    items: Sequence[Item],
    *,
    codec: Codec | None = None,
    blob: Path | None = None,
    snapshot: Path | None = None,
    tar: bool = True,
    workers: int = 2,
    userxattr: bool = False,
    sync: bool = True,
) -> Packed:
    """Pack ``items``, sorted by path with every directory listed before what is in it.

    With ``codec`` and ``blob`` the compressed layer is written to the file ``blob`` and fsynced (not with ``sync``
    False: then the caller does); on failure it is removed. ``snapshot`` is an existing empty directory that becomes the
    layer's snapshot; on failure what was written stays there. ``tar`` False makes only the snapshot and the tree. May
    run in several threads and processes at once.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(TarStream(codec, blob, workers, sync=sync)) if tar else None
        folder = None
        if snapshot is not None:
            folder = stack.enter_context(Snapshot(snapshot, userxattr=userxattr))
        packing = Packing(items, stream, folder)
        listing = packing.run()
        if folder:
            folder.finish()
        if stream is None:
            return Packed(listing)
        return Packed(listing, *stream.finish(packing.rest()))


class Packing:
    """The state of one pass: ``_view[:_at]`` is the part of the current chunk that is written; never all of it.

    :meth:`run` once, then :meth:`rest`.
    """

    def __init__(
        self,
        items: Iterable[Item],
        stream: Chunks | None,
        snapshot: Snapshot | None = None,
        *,
        folders: set[bytes] | None = None,
    ) -> None:
        """``items`` may be the middle of a layer that has ``folders``."""
        self._items = items
        self._stream = stream
        self._snapshot = snapshot
        self._listing: list[Entry] = []
        self._plain = stream is not None and snapshot is None
        self._view = stream.first() if stream else memoryview(bytearray(_SCRATCH))
        self._room = len(self._view)
        self._at = 0
        self._folders = {b""} if folders is None else folders

    def run(self) -> Tree:
        listing = self._listing
        folders = self._folders
        before: bytes | None = None
        for item in self._items:
            entry = item.entry
            path, kind = entry.path, entry.kind
            parent, _, name = path.rpartition(b"/")
            if before is not None and path <= before:
                raise ValueError(f"items are not sorted: {path!r} after {before!r}")
            if (
                parent not in folders
                or name in _NO_NAMES[not path :]
                or path[:1] == b"/"
                or b"\0" in path
            ):
                _refuse("bad-tree", path, "is in no directory of this layer")
            if name.startswith(WHITEOUT_PREFIX):
                _refuse("whiteout-name", path, "is a name that only whiteouts can have in a layer")
            if entry.xattrs:
                _check_xattrs(entry)
            before = path
            if kind == tree.FILE:
                listing.append(self._file(item))
                continue
            entry = self._canonical(entry)
            if entry.kind in "do":
                folders.add(path)
            if self._stream:
                self._write(head(entry))
            if self._snapshot:
                self._snapshot.add(entry)
            listing.append(entry)
        return tuple(listing)

    def _canonical(self, entry: Entry) -> Entry:
        """The one form of an entry without content."""
        kind = entry.kind
        if kind == tree.FIXED_DIRECTORY:
            kind = tree.DIRECTORY
        elif kind == tree.SYMLINK:
            entry = entry._replace(mode=0o777)
        elif kind == tree.WHITEOUT:
            return Entry(entry.path, kind)
        elif kind == tree.HARDLINK:
            return self._linked(entry)
        elif kind == tree.CHAR and entry.device == (0, 0):
            _refuse("whiteout-name", entry.path, "is a device 0:0, which means a whiteout")
        if kind == entry.kind and not entry.size and not entry.content:
            return entry
        return entry._replace(kind=kind, size=0, content="")

    def _linked(self, entry: Entry) -> Entry:
        """A hard link is its file under another name."""
        at = bisect_left(self._listing, entry.link, key=lambda listed: listed.path)
        first = self._listing[at] if at < len(self._listing) else None
        if first is None or first.path != entry.link:
            _refuse("bad-tree", entry.path, "is a hard link to nothing before it")
        if first.kind in "dowh":
            _refuse("bad-tree", entry.path, "is a hard link to what cannot have one")
        return first._replace(path=entry.path, kind=tree.HARDLINK, link=first.path)

    def _file(self, item: Item) -> Entry:
        entry, source, data, _ = item
        if data is not None:
            return self._content(item, -1, len(data))
        if self._plain and entry.content and entry.size and self._small(entry, source):
            return entry
        try:
            fd = os.open(source, OPEN)
        except OSError as error:
            raise _unreadable(source, error) from error
        try:
            # A content that is known proves itself; anything else must be a regular file before it is read.
            if entry.content and entry.size:
                return self._content(item, fd, entry.size)
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise changed(source, "it is no regular file")
            return self._content(item, fd, found.st_size)
        finally:
            os.close(fd)

    def _small(self, entry: Entry, source: bytes) -> bool:
        """The fast way for a file of known content that fits the chunk: one read puts it behind its header.

        False when anything is not as it should be; then nothing is written yet, and the general way finds out why.
        """
        size = entry.size
        header = head(entry, size)
        start = self._at + len(header)
        end = start + size
        if end + 512 >= self._room:
            return False
        view = self._view
        try:
            fd = os.open(source, OPEN)
            try:
                got = os.readv(fd, (view[start : end + 1],))
            finally:
                os.close(fd)
        except OSError:
            return False
        if got != size or blake3(view[start:end]).hexdigest() != entry.content:
            return False
        self._put(header, end)
        return True

    def _put(self, header: bytes, end: int) -> None:
        """The header of the content that lies in the chunk up to ``end``."""
        self._view[self._at : self._at + len(header)] = header
        self._at = end + -(end - self._at) % 512
        self._view[end : self._at] = _ZEROS[: self._at - end]

    def _content(self, item: Item, fd: int, size: int) -> Entry:
        path, _, mode, uid, gid, claimed, known, _, xattrs, _, mtime = entry = item.entry
        if known and claimed != size:
            raise changed(item.source or path, f"it has {size} bytes instead of {claimed}")
        target = self._snapshot.create(entry) if self._snapshot else -1
        try:
            if self._stream:
                self._write(head(entry, size))
            if item.data is None:
                content = self._copy(item.source, fd, size, target)
            else:
                content = self._copy_data(item.data, target)
            if self._stream and size % 512:
                self._write(_ZEROS[size % 512 :])
        except BaseException:
            if target >= 0:
                os.close(target)
            raise
        if self._snapshot:
            self._snapshot.complete(entry, target)
        if known:
            if content != known:
                raise changed(item.source or path, "its content is another")
            return entry
        return Entry(path, tree.FILE, mode, uid, gid, size, content, b"", xattrs, (0, 0), mtime)

    def _copy(self, source: bytes, fd: int, size: int, target: int) -> str:
        """The file's hex BLAKE3; one byte more than ``size`` is asked for, so that one read sees its end too."""
        hasher = blake3()
        left = size
        while True:
            at = self._at
            wanted = min(self._room - at, left + 1)
            try:
                got = os.readv(fd, (self._view[at : at + wanted],))
            except OSError as error:
                raise _unreadable(source, error) from error
            if got > left:
                raise changed(source, "it grew while it was read")
            if not got:
                if left:
                    raise changed(source, "it shrank while it was read")
                return hasher.hexdigest()
            piece = self._view[at : at + got]
            hasher.update(piece)
            if target >= 0:
                _write_all(target, piece)
            left -= got
            self._advance(at + got)
            if not left and got < wanted:
                return hasher.hexdigest()

    def _copy_data(self, content: bytes, target: int) -> str:
        if self._stream:
            self._write(content)
        if target >= 0:
            _write_all(target, content)
        return blake3(content).hexdigest()

    def _advance(self, at: int) -> None:
        if not self._stream:
            self._at = 0
        elif at == self._room:
            self._view = self._stream.push(self._view)
            self._at = 0
        else:
            self._at = at

    def _write(self, content: bytes) -> None:
        at = self._at
        while len(content) >= self._room - at:
            part = self._room - at
            self._view[at:] = content[:part]
            content = content[part:]
            self._advance(self._room)
            at = 0
        end = at + len(content)
        self._view[at:end] = content
        self._at = end

    def rest(self) -> memoryview:
        """The last chunk, which is not full, with the archive's end."""
        self._write(END)
        return self._view[: self._at]


def _check_xattrs(entry: Entry) -> None:
    for key, _ in entry.xattrs:
        if b"=" in key or key.startswith((b"trusted.overlay.", b"user.overlay.")):
            _refuse(
                "bad-xattr", entry.path, f"has the attribute {_shown(key)}, which no layer can hold"
            )


def _write_all(fd: int, content: bytes | memoryview) -> None:
    while content:
        content = content[os.write(fd, content) :]


def _refuse(code: str, path: bytes, why: str) -> NoReturn:
    raise ContentError(code, f"{_shown(path)!r} {why}")


def changed(source: bytes, why: str) -> ContentError:
    return ContentError(
        "source-changed",
        f"{_shown(source)} changed while it was packed: {why}",
        hint="build again when nothing writes to it",
    )


def _unreadable(source: bytes, error: OSError) -> ContentError:
    why = error.strerror or str(error)
    if error.errno in _CHANGED:
        return changed(source, why)
    return ContentError("source-unreadable", f"cannot read {_shown(source)}: {why}")


def _shown(path: bytes) -> str:
    return printable(path)
