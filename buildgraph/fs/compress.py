"""How does a layer's tar become a blob, and a blob a tar again?

Compressed bytes depend on the tar, the codec's level and the implementation, never on the number of workers or on how
the tar was handed over: the tar is cut into blocks of ``Codec.block`` bytes and each is compressed for itself.

gzip (RFC 1952)   one member: header ``1f 8b 08 00 00000000 00 ff``; per block the deflate blocks that isal makes of
                  it, ended by a sync flush; the empty last block ``03 00``; CRC-32 and length of the tar.
                  isal's levels 1 and 2 miss a match now and then, as addresses in memory happen to be
                  (docs/adr/0026): they are taken as 3
zstd (RFC 8878)   one frame per block, with its content size and checksum
none              the tar itself

Reading takes any gzip (several members too), zstd, xz or bzip2 stream, told by its first bytes, and never holds more
than a piece of it, whatever the stream claims.
"""

import io
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, Final, Literal, Protocol, Self, cast

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, MachineError, UsageError
from buildgraph.values import dataclass

_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_MEDIA_TYPES: Final = {"gzip": _LAYER + "+gzip", "zstd": _LAYER + "+zstd", "none": _LAYER}
_DEFAULT_LEVELS: Final = {"gzip": 3, "zstd": 3, "none": 0}
_LEVELS: Final = {"gzip": range(4), "zstd": range(1, 20), "none": range(1)}
_BLOCKS: Final = {"gzip": 1 << 20, "zstd": 4 << 20, "none": 1 << 20}
_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Codec:
    """``level`` None is the codec's default: gzip 3 (of 0 to 3; 1 and 2 are 3), zstd 3 (of 1 to 19)."""

    name: Literal["gzip", "zstd", "none"] = "gzip"
    level: int | None = None

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in _LEVELS[self.name]:
            levels = _LEVELS[self.name]
            raise UsageError(
                "bad-level",
                f"{self.name} has no level {self.level}",
                hint=f"choose {levels[0]} to {levels[-1]}, or leave the level out",
            )

    @classmethod
    def nearest(cls, name: Literal["gzip", "zstd", "none"], level: int | None) -> Self:
        """Levels higher than ours mean the highest: other programs count gzip's to 9 and zstd's to 22."""
        return cls(name, level if level is None else min(level, _LEVELS[name][-1]))

    @property
    def block(self) -> int:
        """How many bytes of the tar are compressed for themselves."""
        return _BLOCKS[self.name]

    @property
    def identity(self) -> str:
        """Implementation, version, level and block size: what the compressed bytes depend on beside the tar."""
        match self.name:
            case "gzip":
                version = _load_isal().__version__
                return f"gzip-isal-{version}-l{self._level}-b{self.block}"
            case "zstd":
                return f"zstd-{_load_zstd().zstd_version}-l{self._level}-b{self.block}"
            case "none":
                return "none"

    @property
    def media_type(self) -> str:
        """image-spec, media-types.md."""
        return _MEDIA_TYPES[self.name]

    @property
    def _level(self) -> int:
        if self.level is None or (self.name == "gzip" and self.level):
            return _DEFAULT_LEVELS[self.name]
        return self.level

    def compressor(self) -> Callable[[memoryview], bytes]:
        """Compresses one block; may be called from several threads, and lets other threads run meanwhile."""
        level = self._level
        match self.name:
            case "gzip":
                isal = _load_isal().isal_zlib

                def deflate(block: memoryview) -> bytes:
                    stream = isal.compressobj(level, isal.DEFLATED, -15)
                    compressed: bytes = stream.compress(block) + stream.flush(isal.Z_SYNC_FLUSH)
                    return compressed

                return deflate
            case "zstd":
                zstd = _load_zstd()
                options = {
                    zstd.CompressionParameter.compression_level: level,
                    zstd.CompressionParameter.checksum_flag: 1,
                }
                return lambda block: cast("bytes", zstd.compress(block, options=options))
            case "none":
                return bytes

    def frame(self) -> "Frame":
        return GzipFrame() if self.name == "gzip" else Frame()


class Frame:
    """What stands before and after the compressed blocks of one stream; fed the tar in order."""

    head = b""

    def update(self, block: memoryview) -> None:
        """Take note of the next piece of the tar."""

    def tail(self) -> bytes:
        return b""


class GzipFrame(Frame):
    head = _GZIP_HEAD

    def __init__(self) -> None:
        self._crc32 = _load_isal().isal_zlib.crc32
        self._crc = 0
        self._size = 0

    def update(self, block: memoryview) -> None:
        self._crc = self._crc32(block, self._crc)
        self._size += len(block)

    def tail(self) -> bytes:
        length = self._size & 0xFFFFFFFF
        return b"\x03\0" + self._crc.to_bytes(4, "little") + length.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Blob:
    """The compressed form of one layer."""

    digest: Digest
    size: int
    media_type: str


def open_decompressor(stream: BinaryIO, media_type: str = "") -> BinaryIO:
    """What ``stream`` holds, uncompressed; a stream without a known magic is handed on as it is.

    ``media_type`` says what was promised: a compression that the first bytes belie is refused. Damage raises
    :class:`ContentError` (``bad-compression``) while reading. Closing the answer closes ``stream``.
    """
    start = _read_exactly(stream, 10)
    for name, magic, load in _FORMATS:
        if magic.match(start):
            return cast(
                "BinaryIO", io.BufferedReader(_Inflating(stream, start, name, load()), 1 << 20)
            )
    promised = media_type.rpartition("+")[2] if "+" in media_type else ""
    if promised:
        raise ContentError("bad-compression", f"this is no {promised} stream, though {media_type}")
    return cast("BinaryIO", io.BufferedReader(_Prefixed(stream, start), 1 << 20))


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    content = b""
    while len(content) < size and (more := stream.read(size - len(content))):
        content += more
    return content


class _Decompressor(Protocol):
    """What isal, zstd, lzma and bz2 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


_Format = tuple[Callable[[], _Decompressor], type[Exception]]
"""What reads one member, and what it raises when that is damaged."""


class _Prefixed(io.RawIOBase):
    """A stream from which a few bytes were already read."""

    def __init__(self, stream: BinaryIO, start: bytes) -> None:
        self._stream = stream
        self._start = start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content, self._start = self._start, b""
        if not content:
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Inflating(_Prefixed):
    """Concatenated members of one format; nothing else may follow them."""

    def __init__(self, stream: BinaryIO, start: bytes, name: str, form: _Format) -> None:
        super().__init__(stream, start)
        self._name = name
        self._make, self._error = form
        self._member: _Decompressor | None = self._make()

    def readinto(self, buffer: Any) -> int:
        while (member := self._member) is not None:
            if member.eof:
                self._next_member(member)
                continue
            given = b""
            if member.needs_input:
                given = self._start or self._stream.read(_PIECE)
                self._start = b""
                if not given:
                    raise self._bad("it ends too early")
            try:
                content = member.decompress(given, len(buffer))
            except self._error as error:
                raise self._bad(str(error)) from error
            if content:
                buffer[: len(content)] = content
                return len(content)
        return 0

    def _next_member(self, member: _Decompressor) -> None:
        start = member.unused_data or self._stream.read(_PIECE)
        self._start = start
        self._member = self._make() if start else None

    def _bad(self, why: str) -> ContentError:
        return ContentError("bad-compression", f"the {self._name} stream is damaged: {why}")


def _gzip() -> _Format:
    isal = _load_isal().igzip_lib
    return partial(isal.IgzipDecompressor, flag=isal.DECOMP_GZIP), isal.IsalError


def _zstd() -> _Format:
    zstd = _load_zstd()
    return zstd.ZstdDecompressor, zstd.ZstdError


def _xz() -> _Format:
    from lzma import FORMAT_XZ, LZMADecompressor, LZMAError

    return partial(LZMADecompressor, FORMAT_XZ, memlimit=1 << 28), LZMAError


def _bzip2() -> _Format:
    from bz2 import BZ2Decompressor

    return BZ2Decompressor, OSError


_FORMATS: Final[tuple[tuple[str, re.Pattern[bytes], Callable[[], _Format]], ...]] = (
    ("gzip", re.compile(rb"\x1f\x8b\x08"), _gzip),
    (
        "zstd",
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        _zstd,
    ),  # or a skippable frame
    ("xz", re.compile(rb"\xfd7zXZ\0"), _xz),
    ("bzip2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), _bzip2),
)


def _load_isal() -> Any:
    try:
        import isal
        from isal import igzip_lib, isal_zlib  # noqa: F401 - loads the submodules
    except ImportError as error:
        raise MachineError(
            "no-isal",
            f"gzip needs the package isal: {error}",
            hint="python3 -m pip install isal",
        ) from error
    return isal


def _load_zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise MachineError(
            "no-zstd",
            f"zstd needs the package backports.zstd: {error}",
            hint="python3 -m pip install backports.zstd",
        ) from error
    return zstd
