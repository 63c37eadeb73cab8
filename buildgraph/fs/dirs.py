"""What must be known of a layer to lay files over it? Its directories and links, and the names of all else.

That is what placing a copy asks (implied parents, links to follow, files over directories), so a layer whose *dirs
index* is known can stand below copy layers without a byte of it being here. The index is derived from the layer's tree;
nothing can be made from it again: entries of other kinds come back as files without attributes or content.

An index is one zlib stream (RFC 1950, level 9) of: ``buildgraph-dirs 1\\0``, the diff ID, ``\\0``, and per entry,
sorted by path::

    kind shared \\0 rest \\0              every entry: its path begins with `shared` bytes of the path before it
    mode,uid,gid[,name=hex…] \\0         after d and o: mode is octal, then the xattrs, sorted
    target \\0                           after l

``kind`` is one letter: d directory, o opaque directory, l symlink, w whiteout, f anything else.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.tree import Entry, Tree

_MAGIC: Final = b"buildgraph-dirs 1\0"
LARGEST: Final = 1 << 26
"""Bytes of an index as it is kept."""
_UNPACKED: Final = 1 << 28
"""Bytes that an index may have when it is decompressed."""
_DIRECTORIES: Final = (tree.DIRECTORY, tree.OPAQUE)


def of(layer: Iterable[Entry]) -> Tree:
    """What the index keeps of a layer's tree."""
    return tuple(map(_kept, layer))


def _kept(entry: Entry) -> Entry:
    path, kind = entry.path, entry.kind
    if kind in _DIRECTORIES:
        return Entry(path, kind, entry.mode, entry.uid, entry.gid, xattrs=entry.xattrs)
    if kind == tree.SYMLINK:
        return Entry(path, kind, link=entry.link)
    return Entry(path, tree.WHITEOUT if kind == tree.WHITEOUT else tree.FILE)


def encode(diff_id: Digest, layer: Iterable[Entry]) -> bytes:
    """The index of a layer whose entries come sorted; the same bytes for the same entries."""
    parts = [_MAGIC, diff_id.encode(), b"\0"]
    before = b""
    for entry in map(_kept, layer):
        shared = _shared(before, entry.path)
        before = entry.path
        parts.append(b"%b%d\0%b\0" % (entry.kind.encode(), shared, before[shared:]))
        if entry.kind in _DIRECTORIES:
            xattrs = "".join(f",{name.hex()}={value.hex()}" for name, value in entry.xattrs)
            parts.append(f"{entry.mode:o},{entry.uid},{entry.gid}{xattrs}\0".encode())
        elif entry.kind == tree.SYMLINK:
            parts.append(entry.link + b"\0")
    return zlib.compress(b"".join(parts), 9)


def _shared(one: bytes, two: bytes) -> int:
    """How many bytes both begin with."""
    for at, (a, b) in enumerate(zip(one, two, strict=False)):
        if a != b:
            return at
    return min(len(one), len(two))


def layer_of(content: bytes) -> Digest:
    """The diff ID that an index claims; to decode it for that layer is to check it. Raises ContentError."""
    head = b""
    with suppress(zlib.error):
        head = zlib.decompressobj().decompress(content, len(_MAGIC) + 256)
    claimed = head.removeprefix(_MAGIC).partition(b"\0")[0]
    return Digest.parse(claimed.decode("ascii", "replace"))


def decode(diff_id: Digest, content: bytes) -> Tree:
    """Raises ContentError (``bad-dirs``) when ``content`` is no index of that layer."""
    try:
        entries = tuple(_entries(iter(_fields(diff_id, content))))
        _check_order(entries)
    except (ValueError, zlib.error) as error:
        raise ContentError("bad-dirs", f"this is no dirs index of {diff_id}: {error}") from error
    return entries


def _check_order(entries: Tree) -> None:
    if any(one.path >= two.path for one, two in pairwise(entries)):
        raise ValueError("it is not sorted")


def _fields(diff_id: Digest, content: bytes) -> list[bytes]:
    stream = zlib.decompressobj()
    plain = stream.decompress(content, _UNPACKED)
    if not stream.eof or stream.unused_data:
        raise ValueError("it is cut, or too long")
    head = _MAGIC + diff_id.encode() + b"\0"
    if not plain.startswith(head):
        raise ValueError("it is of another layer")
    fields = plain[len(head) :].split(b"\0")
    if fields.pop():
        raise ValueError("it is cut")
    return fields


def _entries(fields: Iterator[bytes]) -> Iterator[Entry]:
    before = b""
    for head in fields:
        kind = head[:1].decode()
        before = before[: int(head[1:])] + _next(fields)
        match kind:
            case tree.DIRECTORY | tree.OPAQUE:
                mode, uid, gid, *xattrs = _next(fields).decode().split(",")
                pairs = (pair.partition("=") for pair in xattrs)
                found = tuple((bytes.fromhex(n), bytes.fromhex(v)) for n, _, v in pairs)
                yield Entry(before, kind, int(mode, 8), int(uid), int(gid), xattrs=found)
            case tree.SYMLINK:
                yield Entry(before, kind, link=_next(fields))
            case tree.WHITEOUT | tree.FILE:
                yield Entry(before, kind)
            case _:
                raise ValueError(f"there is no kind {kind!r}")


def _next(fields: Iterator[bytes]) -> bytes:
    """The field that belongs to the one before."""
    found = next(fields, None)
    if found is None:
        raise ValueError("it is cut")
    return found
