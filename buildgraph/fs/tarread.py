"""What is in this tar archive? One member after the other, in constant memory.

A member is a header (see ``tarheader``), perhaps behind extended headers, and its content, padded to 512 bytes. Two
zero blocks end the archive, or its bytes do, even without the last padding (``umoci insert`` writes such layers);
whatever follows the zero blocks is no part of it. An extended header is bounded by :data:`MOST_META`, whatever it
claims; nothing else is kept.
"""

from collections.abc import Iterator
from typing import Final, NoReturn

from buildgraph.errors import ContentError
from buildgraph.fs.readahead import ReadAhead
from buildgraph.fs.rooted import shown
from buildgraph.fs.tarheader import (
    HEADER,
    Member,
    Records,
    checked,
    member_of,
    number,
    records_of,
    text,
)

MOST_META: Final = 1 << 20
"""Bytes of one PAX extended header or GNU long name."""

_META: Final = b"xXgLK"
_MOST_GLOBAL: Final = 64
_NEVER_GLOBAL: Final = (b"path", b"linkpath", b"size")
_LONG: Final = frozenset((b"path", b"linkpath"))
_NONE: Final[Records] = {}


class Archive:
    """Iterates over the members once; while a member is current, :meth:`chunk` gives its content.

    Raises :class:`ContentError` with a code ``archive-…`` that names the member.
    """

    def __init__(self, source: ReadAhead) -> None:
        self._source = source
        self._left = 0
        self._padding = 0
        self._member = b""
        self._global: Records = _NONE

    def chunk(self) -> memoryview:
        """The next piece of the content, empty at its end; valid until the next call."""
        if not self._left:
            return memoryview(b"")
        view = self._source.take(self._left)
        if not view:
            self._truncated()
        self._left -= len(view)
        return view

    def __iter__(self) -> Iterator[Member]:
        source = self._source
        records: Records = _NONE
        while True:
            if not source.skip(self._left):
                self._truncated()
            source.skip(self._padding)  # that of the last member may be missing
            self._left = self._padding = 0
            block = source.take(512)
            if len(block) < 512 or not checked(block, source.size - 512):
                if records or 0 < len(block) < 512:
                    if source.size == len(block):
                        raise ContentError(
                            "archive-truncated",
                            f"{len(block)} bytes are no tar archive: it begins with a header of 512",
                            hint="name a tar file: plain, gzip or zstd",
                        )
                    self._truncated()
                self._end()
                return
            kind = bytes(block[156:157])
            if kind in _META:
                records = self._meta(kind, block, records)
                continue
            member = member_of(block, {**self._global, **records} if self._global else records)
            self._member = member.name
            if member.size > source.left:
                raise ContentError(
                    "archive-too-big",
                    f"{shown(member.name)} claims {member.size} bytes, more than an archive may have",
                )
            self._left, self._padding = member.size, -member.size % 512
            yield member
            records = _NONE

    def _end(self) -> None:
        """After a zero block: readers disagree whether a header may follow a single one, so none may."""
        block = self._source.take(512)
        if any(block):
            raise ContentError(
                "archive-header", f"a lone block of zeros follows {shown(self._member)}"
            )

    def _truncated(self) -> NoReturn:
        raise ContentError(
            "archive-truncated",
            f"the archive ends in the middle of {shown(self._member)}",
            hint="transfer it again",
        )

    def _meta(self, kind: bytes, block: memoryview, records: Records) -> Records:
        """What an extended header says about the next member (type g: about all that follow)."""
        fields = HEADER.unpack(block)
        self._member = name = text(fields[0])
        size = number(fields[2], "size", name)
        if not 0 <= size <= MOST_META:
            raise ContentError(
                "archive-header",
                f"the extended header {shown(name)} claims {size} bytes, more than {MOST_META}",
            )
        self._left, self._padding = size, -size % 512
        parts = []
        while view := self.chunk():
            parts.append(bytes(view))
        body = b"".join(parts)
        if kind == b"L":
            return {**records, b"path": text(body)}
        if kind == b"K":
            return {**records, b"linkpath": text(body)}
        found = records_of(body, name)
        if kind != b"g":
            # GNU long names before it hold, another extended header before it does not
            return {**records, **found} if records.keys() <= _LONG else found
        if any(key in found for key in _NEVER_GLOBAL):
            raise ContentError(
                "archive-header",
                f"the global header {shown(name)} renames or resizes every member of the archive",
            )
        self._global = {**self._global, **found}
        if len(self._global) > _MOST_GLOBAL or sum(map(len, self._global.values())) > MOST_META:
            raise ContentError("archive-header", "the archive has too many global headers")
        return records
