"""How is one entry of a layer written in tar, so that equal entries are equal bytes everywhere?

Every entry is a ustar header of 512 bytes (POSIX.1-2017, pax, "ustar Interchange Format"), preceded by a PAX extended
header only where a value does not fit. There are no user or group names, device numbers are zero except for devices,
and every time is :data:`EPOCH` unless the entry keeps its own. Whiteouts and opaque directories take the form of
image-spec, layer.md: empty files named ``.wh.NAME`` and ``.wh..wh..opq``. An archive ends with :data:`END` and is not
padded further. ``docs/technical/layer.md`` draws all of it byte by byte.
"""

from functools import lru_cache
from struct import Struct
from typing import Final
from zlib import adler32

from buildgraph.fs import tree
from buildgraph.fs.tree import Entry

EPOCH: Final = 315_532_800
"""1980-01-01T00:00:00Z, the earliest time that zip files can say as well."""

EPOCH_NS: Final = EPOCH * 1_000_000_000
END: Final = bytes(1024)
WHITEOUT_PREFIX: Final = b".wh."
OPAQUE_MARKER: Final = b".wh..wh..opq"

_USTAR: Final = Struct("100s24s12s12s8sc100s8s64x16s155s12x")
_BLANK: Final = b" " * 8
_MAGIC: Final = b"ustar\00000"
_NO_DEVICE: Final = b"0000000\0" * 2
_EPOCH_FIELD: Final = b"%011o\0" % EPOCH
_MOST_7: Final = 0o7777777
_MOST_11: Final = 0o77777777777
_FLAGS: Final = {
    tree.FILE: b"0",
    tree.HARDLINK: b"1",
    tree.SYMLINK: b"2",
    tree.CHAR: b"3",
    tree.BLOCK: b"4",
    tree.DIRECTORY: b"5",
    tree.FIXED_DIRECTORY: b"5",
    tree.OPAQUE: b"5",
    tree.FIFO: b"6",
    tree.WHITEOUT: b"0",
}


def head(entry: Entry, size: int = 0) -> bytes:
    """All that precedes the content of ``entry``, which is ``size`` bytes long; a multiple of 512 bytes.

    Whoever writes the content pads it to 512 bytes with zeros. The name ``.wh..wh..opq`` of an opaque directory comes
    with the directory.
    """
    path, kind, mode, uid, gid, _, _, link, xattrs, device, mtime = entry
    name = path if kind == tree.FILE else _name(path, kind)
    records = _records(entry, size) if xattrs or mtime is not None or size > _MOST_11 else b""
    prefix = b""
    if len(name) > 100:
        prefix, short = _split(name)
        records = records if prefix else record(b"path", name) + records
        name = short
    if len(link) > 100:
        records += record(b"linkpath", link)
    header = _USTAR.pack(
        name,
        _owner(mode, uid, gid),
        b"%011o\0" % (size if size <= _MOST_11 else 0),
        _EPOCH_FIELD if mtime is None else _time_field(mtime),
        _BLANK,
        _FLAGS[kind],
        link,
        _MAGIC,
        b"%07o\0%07o\0" % device if kind in "cb" else _NO_DEVICE,
        prefix,
    )
    if uid > _MOST_7 or gid > _MOST_7:
        records += _owner_records(uid, gid)
    header = _summed(header)
    if records:
        header = _extended(records) + header
    if kind == tree.OPAQUE:
        marker = path + b"/" + OPAQUE_MARKER if path else OPAQUE_MARKER
        header += head(Entry(marker, tree.FILE))
    return header


def _name(path: bytes, kind: str) -> bytes:
    if kind in "dDo":
        return path + b"/" if path else b"./"
    if kind == tree.WHITEOUT:
        parent, slash, base = path.rpartition(b"/")
        return parent + slash + WHITEOUT_PREFIX + base
    return path


def _split(name: bytes) -> tuple[bytes, bytes]:
    """The ustar prefix and name, parted at the first slash that lets both fit; no prefix when none does."""
    at = name.find(b"/", len(name) - 101, len(name) - 1)
    if 0 < at <= 155:
        return name[:at], name[at + 1 :]
    return b"", name[:100]


@lru_cache(maxsize=1024)
def _owner(mode: int, uid: int, gid: int) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (
        mode,
        uid if uid <= _MOST_7 else 0,
        gid if gid <= _MOST_7 else 0,
    )


def _summed(header: bytes) -> bytes:
    """``header`` with its checksum, the sum of its bytes; Adler-32's low half is that of 256 bytes, plus one."""
    total = (adler32(header[:256]) & 0xFFFF) + (adler32(header[256:]) & 0xFFFF) - 2
    return b"%b%06o\0 %b" % (header[:148], total, header[156:])


def _time_field(mtime: int) -> bytes:
    seconds = mtime // 1_000_000_000
    return b"%011o\0" % (seconds if 0 <= seconds <= _MOST_11 else 0)


def _records(entry: Entry, size: int) -> bytes:
    """PAX records of what every entry may have beside its name, in this order: size, mtime, xattrs."""
    records = record(b"size", b"%d" % size) if size > _MOST_11 else b""
    mtime = entry.mtime
    if mtime is not None:
        seconds, rest = divmod(abs(mtime), 1_000_000_000)
        if rest or not 0 <= mtime // 1_000_000_000 <= _MOST_11:
            sign = b"-" if mtime < 0 else b""
            fraction = (b".%09d" % rest).rstrip(b"0") if rest else b""
            records += record(b"mtime", b"%b%d%b" % (sign, seconds, fraction))
    for name, value in sorted(entry.xattrs):
        records += record(b"SCHILY.xattr." + name, value)
    return records


def _owner_records(uid: int, gid: int) -> bytes:
    records = record(b"uid", b"%d" % uid) if uid > _MOST_7 else b""
    return records + (record(b"gid", b"%d" % gid) if gid > _MOST_7 else b"")


def record(key: bytes, value: bytes) -> bytes:
    """One PAX record; its decimal length counts itself (POSIX.1-2017, pax, "pax Extended Header")."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if rest + len(str(length)) != length:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _extended(records: bytes) -> bytes:
    """The extended header that holds ``records`` for the header after it."""
    header = _USTAR.pack(
        b"././@PaxHeader",
        _owner(0o644, 0, 0),
        b"%011o\0" % len(records),
        _EPOCH_FIELD,
        _BLANK,
        b"x",
        b"",
        _MAGIC,
        _NO_DEVICE,
        b"",
    )
    return _summed(header) + records + bytes(-len(records) % 512)
