"""What does this archive hold as a layer, and how does it become a snapshot on disk?

:func:`unpack` writes an uncompressed tar into an empty directory, :func:`index` only looks; both read it once, in
constant memory but for the listing, and agree on every member. The archive is applied inside the directory or refused
with an error that names the member, and then the directory is empty again. Snapshots are not synced to disk here.
"""

import errno
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from blake3 import blake3

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError, MachineError
from buildgraph.fs import tree
from buildgraph.fs.layernode import Node
from buildgraph.fs.layertree import LayerTree, Limits, Lookup, Place
from buildgraph.fs.readahead import ReadAhead
from buildgraph.fs.rooted import shown
from buildgraph.fs.snapshotwrite import SnapshotWriter
from buildgraph.fs.tarread import Archive
from buildgraph.fs.tree import Entry, Tree
from buildgraph.values import dataclass

LIMITS: Final = Limits()
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """``diff_id`` and ``size`` are of all bytes read, those behind the archive's end included.

    ``implied`` are the directories that members lie in and that the archive leaves out, with the attributes that they
    got; they are in ``tree``. The tree has times only if they were asked for.
    """

    tree: Tree
    diff_id: Digest
    size: int
    implied: tuple[bytes, ...]


def unpack(
    stream: BinaryIO,
    root: Path,
    *,
    whiteouts: bool = True,
    below: Lookup | None = None,
    userxattr: bool | None = None,
    keep_times: bool = True,
    record_times: bool = False,
    limits: Limits = LIMITS,
) -> Unpacked:
    """Make the archive's files in ``root``, an empty directory, whose own attributes it sets.

    * ``whiteouts``: ``.wh.`` names are deletions (a layer), or are refused (any other archive);
    * ``below``: knows the stack that the layer lies on, for parents that the archive leaves out;
    * ``userxattr``: mark opaque directories for overlays mounted in a user namespace; None: if this is one;
    * ``keep_times=False`` gives every file the fixed time; ``record_times`` fills ``Entry.mtime``.

    Raises :class:`ContentError` (``archive-…``, or the stream's own) or :class:`MachineError` (``no-space``).
    """
    with (
        ReadAhead(stream, limits.stream) as source,
        SnapshotWriter(root, userxattr=userxattr, keep_times=keep_times) as writer,
    ):
        layer = LayerTree(limits, writer.imply, whiteouts=whiteouts, below=below)
        archive = Archive(source)
        for member in archive:
            try:
                place = layer.place(member)
                if place is not None:
                    writer.make(place, archive)
            except OSError as error:
                raise _failed(member.name, error) from error
        found = layer.sorted()
        _finish(writer, found, layer.root)
        return _unpacked(found, source, record_times=record_times)


def index(
    stream: BinaryIO,
    *,
    whiteouts: bool = True,
    below: Lookup | None = None,
    record_times: bool = False,
    limits: Limits = LIMITS,
) -> Unpacked:
    """The same answer as :func:`unpack`, without writing a file."""
    with ReadAhead(stream, limits.stream) as source:
        layer = LayerTree(limits, _nothing, whiteouts=whiteouts, below=below)
        archive = Archive(source)
        for member in archive:
            place = layer.place(member)
            if place is not None and place.node.kind == tree.FILE and place.target is None:
                place.node.content = _hash(archive)
        return _unpacked(layer.sorted(), source, record_times=record_times)


def _nothing(_: Place) -> None:
    pass


def _hash(archive: Archive) -> str:
    hasher = blake3()
    while view := archive.chunk():
        hasher.update(view)
    return hasher.hexdigest()


def _finish(writer: SnapshotWriter, found: Sequence[tuple[bytes, Node]], root: Node) -> None:
    """Directories get their attributes once nothing changes in them any more."""
    directories = [node for _, node in reversed(found) if node.children is not None]
    if root.implied:
        directories.append(root)
    for node in directories:
        try:
            writer.finish(node)
        except OSError as error:
            raise _failed(node.path, error) from error


def _unpacked(
    found: Sequence[tuple[bytes, Node]], source: ReadAhead, *, record_times: bool
) -> Unpacked:
    entries = tuple(_entries(found, record_times=record_times))
    diff_id = source.finish()
    implied = tuple(path for path, node in found if node.implied)
    return Unpacked(entries, diff_id, source.size, implied)


def _entries(found: Iterable[tuple[bytes, Node]], *, record_times: bool) -> Iterator[Entry]:
    first: dict[int, bytes] = {}
    for path, node in found:
        kind, link = node.kind, node.link
        if node.names > 1:
            known = first.setdefault(id(node), path)
            if known is not path:
                kind, link = tree.HARDLINK, known
        yield Entry(
            path,
            kind,
            node.mode,
            node.uid,
            node.gid,
            node.size,
            node.content,
            link,
            node.xattrs,
            node.device,
            node.mtime if record_times and kind != tree.WHITEOUT else None,
        )


def _failed(name: bytes, error: OSError) -> BuildgraphError:
    if error.errno in _NO_SPACE:
        return MachineError(
            "no-space",
            f"no space left to unpack {shown(name)}",
            hint="free some space, or collect what is not used: buildgraph cache gc",
        )
    hint = ""
    if error.errno in (errno.EPERM, errno.EINVAL):
        hint = "owners and devices need root, or a user namespace with enough ids"
    return ContentError(
        "archive-entry", f"{shown(name)} cannot be unpacked: {error.strerror}", hint=hint
    )
