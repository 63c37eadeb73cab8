"""What does one tar header say, with the extended headers before it? Nothing is believed that was not checked.

Read are ustar (POSIX.1-2017, pax), PAX extended headers, GNU long names and base-256 numbers, and the archives of old
that have no magic. A header is 512 bytes::

    0 name 100 mode 108 uid 116 gid 124 size 136 mtime 148 checksum 156 type 157 link 257 magic 263 version
    265 uname 297 gname 329 major 337 minor 345 prefix 500

Refused are numbers that the kernel cannot hold, sparse files, and types that nobody defined.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, NoReturn
from zlib import adler32

from buildgraph.errors import ContentError
from buildgraph.fs.rooted import shown

FILE: Final = b"0"
LINK: Final = b"1"
SYMLINK: Final = b"2"
CHAR: Final = b"3"
BLOCK: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"

HEADER: Final = Struct("100s24s12s12s8sc100s6s2x32x32x8s8s155s12x")
"""name, mode with uid and gid, size, mtime, checksum, type, link, magic, major, minor, prefix"""

_XATTR: Final = b"SCHILY.xattr."
_MOST_ID: Final = 2**32 - 2  # the last one means "unchanged" in chown(2)
_MOST_SIZE: Final = 2**63 - 1
_SECOND: Final = 1_000_000_000
_FIRST: Final = -(2**31) * _SECOND  # what ext4 can keep
_LAST: Final = 15_032_385_535 * _SECOND
_NO_DEVICE: Final = (0, 0)
_DECIMAL: Final = re.compile(rb"(-?)([0-9]{1,30})(?:\.([0-9]{0,40}))?")

Records = Mapping[bytes, bytes]
"""PAX records; also GNU long names, as the records ``path`` and ``linkpath``."""


class Member(NamedTuple):
    """One entry as the archive has it; names may be anything without a zero byte, numbers are in range.

    ``type`` is one of the constants above. ``size`` counts content bytes; only files have any, whatever a header
    claims. ``mtime`` is in nanoseconds, brought into the range that file systems have.
    """

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    device: tuple[int, int]


def member_of(block: memoryview, records: Records) -> Member:
    """Raises :class:`ContentError` (``archive-…``) that names the member."""
    raw, ids, size, mtime, _, kind, link, magic, major, minor, prefix = HEADER.unpack(block)
    name = text(raw)
    if prefix[0] and magic == b"ustar\0":
        name = text(prefix) + b"/" + name
    link = text(link) if link[0] else b""
    if records:
        name = records.get(b"path") or name
        link = records.get(b"linkpath") or link
        if b"\0" in name or b"\0" in link:
            raise ContentError("archive-name", f"{shown(name)} has a zero byte in its name")
    try:
        mode, uid, gid = _known_ids(ids)
        seconds = _known_number(mtime)
        length = number(size, "size", b"")
    except ContentError:  # again, to name the member
        mode, uid, gid = _ids(ids, name)
        seconds, length = number(mtime, "mtime", name), number(size, "size", name)
    kind = _type(kind, name)
    if kind in b"34":
        device = (number(major, "major", name), number(minor, "minor", name))
        if not (0 <= device[0] < 1 << 12 and 0 <= device[1] < 1 << 20):
            raise ContentError("archive-device", f"{shown(name)} is a device that cannot be")
    else:
        device = _NO_DEVICE
    member = Member(name, kind, mode, uid, gid, length, seconds * _SECOND, link, (), device)
    return _ranged(_extended(member, records) if records else member)


def _ids(field: bytes, name: bytes) -> tuple[int, int, int]:
    return (
        number(field[:8], "mode", name) & 0o7777,
        number(field[8:16], "uid", name),
        number(field[16:], "gid", name),
    )


# Modes, owners and times repeat from member to member.
_known_ids = lru_cache(maxsize=512)(lambda field: _ids(field, b""))
_known_number = lru_cache(maxsize=512)(lambda field: number(field, "mtime", b""))


def checked(block: memoryview, offset: int) -> bool:
    """Whether ``block`` is a header; False for a block of zeros."""
    # adler32 sums bytes modulo 65521 in its low half: exact for up to 256 bytes, and much faster than sum()
    low, high = adler32(block[:256]) & 0xFFFF, adler32(block[256:]) & 0xFFFF
    if low == high == 1:
        return False
    field = bytes(block[148:156])
    total = low + high - 2 - sum(field) + 8 * 32
    if field == b"%06o\0 " % total:
        return True
    claimed = _octal(field)
    if claimed != total and claimed != _signed(block):
        raise ContentError(
            "archive-header",
            f"there is no tar header at byte {offset}",
            hint="the file is damaged, or it is no tar archive",
        )
    return True


def _signed(block: memoryview) -> int:
    """The checksum of writers that took char for signed."""
    return sum(block[:148].cast("b")) + sum(block[156:].cast("b")) + 8 * 32


def text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _octal(field: bytes) -> int:
    """-1 for what is no octal number."""
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else -1
    except ValueError:
        return -1


def number(field: bytes, what: str, name: bytes) -> int:
    first = field[0]
    if first == 0x80:
        return int.from_bytes(field[1:], "big")
    if first == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    number = _octal(field)
    if number < 0:
        _bad(what, field, name)
    return number


def _bad(what: str, value: bytes, name: bytes) -> NoReturn:
    raise ContentError("archive-header", f"{shown(name)} has a bad {what}: {ascii(value[:40])[1:]}")


def _type(kind: bytes, name: bytes) -> bytes:
    if kind in b"0123456":
        return kind
    if kind == b"\0":  # older than directories' own type
        return DIRECTORY if name.endswith(b"/") else FILE
    if kind == b"7":  # "contiguous file"
        return FILE
    if kind == b"S":
        _sparse(name)
    raise ContentError("archive-type", f"{shown(name)} is of the unknown type {ascii(kind)[1:]}")


def _sparse(name: bytes) -> NoReturn:
    raise ContentError(
        "archive-sparse",
        f"{shown(name)} is a sparse file",
        hint="write the archive without --sparse",
    )


def records_of(body: bytes, name: bytes) -> dict[bytes, bytes]:
    """PAX records: ``LENGTH KEY=VALUE\\n``, the length counting the whole record."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 9)
        digits = body[at:space]
        end = at + int(digits) if space > at and digits.isdigit() else 0
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not space + 1 < end <= len(body) or body[end - 1] != 0x0A or not equals or not key:
            raise ContentError(
                "archive-header", f"the extended header {shown(name)} has a malformed record"
            )
        found[key] = value
        at = end
    return found


def _extended(member: Member, records: Mapping[bytes, bytes]) -> Member:
    """``member`` with what its PAX records say; an empty value takes a record back."""
    name = member.name
    xattrs = []
    for key, value in records.items():
        if key.startswith(_XATTR):
            xattrs.append((key[len(_XATTR) :], value))
        elif not value:
            continue
        elif key.startswith(b"GNU.sparse."):
            _sparse(name)
        elif key == b"uid":
            member = member._replace(uid=_decimal(value, "uid", name))
        elif key == b"gid":
            member = member._replace(gid=_decimal(value, "gid", name))
        elif key == b"size":
            member = member._replace(size=_decimal(value, "size", name))
        elif key == b"mtime":
            member = member._replace(mtime=_seconds(value, name))
    return member._replace(xattrs=tuple(sorted(xattrs))) if xattrs else member


def _decimal(value: bytes, what: str, name: bytes) -> int:
    match = _DECIMAL.fullmatch(value)
    if match is None or match[3] is not None:
        _bad(what, value, name)
    return int(value)


def _seconds(value: bytes, name: bytes) -> int:
    """Nanoseconds of a decimal number of seconds, exactly."""
    match = _DECIMAL.fullmatch(value)
    if match is None:
        _bad("mtime", value, name)
    fraction = (match[3] or b"")[:9].ljust(9, b"0")
    total = int(match[2]) * _SECOND + int(fraction)
    return -total if match[1] else total


def _ranged(member: Member) -> Member:
    name, kind, _, uid, gid, size, mtime, *_ = member
    if not 0 <= uid <= _MOST_ID:
        _bad("uid", b"%d" % uid, name)
    if not 0 <= gid <= _MOST_ID:
        _bad("gid", b"%d" % gid, name)
    if not 0 <= size <= _MOST_SIZE:
        _bad("size", b"%d" % size, name)
    if size and kind != FILE:
        member = member._replace(size=0)
    if _FIRST <= mtime <= _LAST:
        return member
    return member._replace(mtime=_FIRST if mtime < _FIRST else _LAST)
