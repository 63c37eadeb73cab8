"""How a record lies in diskcache: JSON or raw bytes with a checksum, never a pickle.

diskcache would pickle whatever it does not know, on write and on read, and unpickling runs code. :class:`RecordDisk`
refuses both. A value is stored inside the database row (never in a file of its own, so that one transaction covers
all) as::

    CRC32 of the rest and of the key, 8 hex digits · "j" or "b" · compact JSON with sorted keys, or the bytes
"""

import json
import sqlite3
import zlib
from typing import Final

from diskcache import Disk
from diskcache.core import MODE_RAW, UNKNOWN

Value = None | bool | int | float | str | bytes | list["Value"] | dict[str, "Value"]

_HEAD: Final = 9


class DamagedRecordError(Exception):
    """A row that this program did not write so; never shown, always turned into a miss."""


class RecordDisk(Disk):  # type: ignore[misc]
    """Keys are text. Values are bound to their key by :func:`pack`; this class only carries bytes."""

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"a record's key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if type(key) is not str or not raw:
            raise DamagedRecordError
        return key

    def store(
        self,
        value: object,
        read: object,
        key: object = UNKNOWN,  # noqa: ARG002 - diskcache passes it by name
    ) -> tuple[int, int, None, sqlite3.Binary]:
        if type(value) is not bytes or read:
            raise TypeError(f"a record is bytes made by pack(), not {type(value).__name__}")
        return len(value), MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        if mode != MODE_RAW or filename is not None or type(value) is not bytes or read:
            raise DamagedRecordError
        return value


def pack(key: str, value: Value) -> bytes:
    """Raises ``TypeError`` for what is neither bytes nor JSON."""
    if isinstance(value, bytes):
        body = b"b" + value
    else:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        body = b"j" + text.encode()
    return b"%08x" % _checksum(key, body) + body


def unpack(key: str, packed: bytes) -> Value:
    """Raises :class:`DamagedRecordError`."""
    body = packed[_HEAD - 1 :]
    if packed[: _HEAD - 1] != b"%08x" % _checksum(key, body):
        raise DamagedRecordError
    if body[:1] == b"b":
        return body[1:]
    try:
        value: Value = json.loads(body[1:])
    except ValueError as error:
        raise DamagedRecordError from error
    return value


def _checksum(key: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(key.encode("utf-8", "surrogateescape")))
