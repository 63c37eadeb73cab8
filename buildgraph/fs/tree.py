"""Trees: what a layer holds, as a sorted listing with one digest.

A tree is a tuple of :class:`Entry`, sorted by the bytes of the path; its object is the encoding below and its
digest is BLAKE3 over that object, so an object is stored as a blob under its own digest.

Object: ``buildgraph-tree 1\\0`` and then, per entry, ten fields each ended by ``\\0``::

    path · kind · mode (octal) · uid · gid · size · content · link · extra · mtime

``extra`` is ``name=hex,name=hex`` of the xattrs (sorted); of a device ``major,minor``, and ``;`` before the xattrs
where it has any. ``mtime`` is empty unless the step keeps times. Paths are bytes, relative to the root, without leading
or trailing slash; the root is ``b""`` and is listed only where its attributes are part of the layer.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import ContentError

DIRECTORY: Final = "d"
FIXED_DIRECTORY: Final = "D"
"""In recipes only: a directory whose mode and owner were given, so that it does not take those of a lower one."""
FILE: Final = "f"
SYMLINK: Final = "l"
HARDLINK: Final = "h"
CHAR: Final = "c"
BLOCK: Final = "b"
FIFO: Final = "p"
WHITEOUT: Final = "w"
OPAQUE: Final = "o"
"""A directory that hides everything below it (only in foreign layers; never made here)."""

MODE_ALONE: Final = b"mode"
"""In the ``link`` of such a directory: its owner was not given, and is that of a lower one."""
OWNER_ALONE: Final = b"owner"
"""In the same place: its mode was not given."""

ENTER: Final = b"enter"
"""How a directory of a Dockerfile's recipe meets what is there (in its ``link``): links that lead on are followed, and
what is missing is made. Without any of these words a recipe's directory does so, too; it is a Buildfile's then."""
FILL: Final = b"fill"
"""The same; what goes in it replaces whatever is in its way (an unpacked archive)."""
STRICT: Final = b"strict"
"""It merges with a directory; a file or a link is an error."""
REPLACE: Final = b"replace"
"""It replaces what is no directory, links are not followed, and what goes in it replaces whatever is in its way."""
HERE: Final = b"here:"
"""Before a name: if the stack has no directory here, then the file of that name in it lies here itself."""

_MAGIC: Final = b"buildgraph-tree 1\0"


class Entry(NamedTuple):
    """One path. ``content`` is the hex BLAKE3 of a regular file's bytes, empty while unknown.

    ``link`` is a symlink's target, or a hard link's first path (which sorts before it). A hard link carries the
    attributes of its file. ``mode`` is the permission bits with setuid, setgid and sticky (0 to 0o7777).
    """

    path: bytes
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    content: str = ""
    link: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    device: tuple[int, int] = (0, 0)
    mtime: int | None = None
    """Nanoseconds since the epoch where the step keeps times, else None."""


Tree = tuple[Entry, ...]


def size_of(entries: Iterable[Entry]) -> int:
    """Bytes of the files, each file once whatever the number of its names."""
    return sum(entry.size for entry in entries if entry.kind != HARDLINK)


def sort(entries: Iterable[Entry]) -> Tree:
    return tuple(sorted(entries))


def encode(tree: Iterable[Entry]) -> bytes:
    """The tree's object; every regular file's ``content`` must be known."""
    return joined(lines(tree))


def joined(found: Iterable[bytes]) -> bytes:
    """The object of a tree of these :func:`lines`."""
    return b"".join([_MAGIC, *found])


def lines(tree: Iterable[Entry]) -> Iterator[bytes]:
    """Each entry's part of the object."""
    heads: dict[tuple[str, int, int, int], bytes] = {}
    for path, kind, mode, uid, gid, size, content, link, xattrs, device, mtime in tree:
        common = (kind, mode, uid, gid)
        head = heads.get(common)
        if head is None:
            head = heads[common] = f"\0{kind}\0{mode:o}\0{uid}\0{gid}\0".encode()
        tail = b"\0\0\0"
        if xattrs or mtime is not None or kind in "cb":
            tail = _tail(kind, xattrs, device, mtime)
        yield b"%b%b%d\0%b\0%b%b" % (path, head, size, content.encode(), link, tail)


def _tail(
    kind: str, xattrs: Iterable[tuple[bytes, bytes]], device: tuple[int, int], mtime: int | None
) -> bytes:
    extra = ",".join(f"{name.hex()}={value.hex()}" for name, value in xattrs)
    if kind in "cb":
        extra = f"{device[0]},{device[1]}" + (f";{extra}" if extra else "")
    return f"\0{extra}\0{'' if mtime is None else mtime}\0".encode()


def decode(content: bytes) -> Tree:
    """Raises :class:`ContentError` when ``content`` is no tree object."""
    return tuple(_decode(content))


def _decode(content: bytes) -> Iterator[Entry]:
    fields = content[len(_MAGIC) :].split(b"\0")
    if not content.startswith(_MAGIC) or len(fields) % 10 != 1:
        raise ContentError("bad-tree", "this is no tree object")
    for at in range(0, len(fields) - 1, 10):
        path, kind, mode, uid, gid, size, digest, link, extra, time = fields[at : at + 10]
        name = kind.decode()
        xattrs: tuple[tuple[bytes, bytes], ...] = ()
        device = (0, 0)
        if extra and name in "cb":
            numbers, _, extra = extra.partition(b";")
            major, _, minor = numbers.partition(b",")
            device = (int(major), int(minor))
        if extra:
            pairs = (pair.partition(b"=") for pair in extra.split(b","))
            xattrs = tuple(
                (bytes.fromhex(n.decode()), bytes.fromhex(v.decode())) for n, _, v in pairs
            )
        yield Entry(
            path,
            name,
            int(mode, 8),
            int(uid),
            int(gid),
            int(size),
            digest.decode(),
            link,
            xattrs,
            device,
            int(time) if time else None,
        )


def digest(tree: Iterable[Entry]) -> Digest:
    return Digest.blake3(encode(tree))
