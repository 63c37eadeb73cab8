import bz2
import gzip
import io
import lzma
import sys
import zlib

import pytest
from backports import zstd

from buildgraph.errors import ContentError, MachineError, UsageError
from buildgraph.fs.compress import Codec, open_decompressor

TEXT = b"".join(b"line %d of many\n" % n for n in range(60_000))


def read(content: bytes, media_type: str = "") -> bytes:
    with open_decompressor(io.BytesIO(content), media_type) as stream:
        return stream.read()


def squeeze(name: str, content: bytes) -> bytes:
    match name:
        case "gzip":
            return gzip.compress(content, 1, mtime=0)
        case "zstd":
            return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})
        case "xz":
            return lzma.compress(content)
        case _:
            return bz2.compress(content)


FORMATS = ["gzip", "zstd", "xz", "bzip2"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"x", TEXT], ids=["empty", "one", "long"])
def test_reads_what_others_wrote(name, content):
    assert read(squeeze(name, content)) == content


@pytest.mark.parametrize("name", FORMATS)
def test_reads_concatenated_members(name):
    assert read(squeeze(name, b"one") + squeeze(name, b"") + squeeze(name, TEXT)) == b"one" + TEXT


def test_skippable_frames_of_zstd_hold_nothing():
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"skip!"
    assert read(skipped + squeeze("zstd", TEXT) + skipped) == TEXT


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f", b"BZh9.txt" + bytes(504)])
def test_what_is_not_compressed_is_handed_on(content):
    assert read(content) == content


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "cut-early", "trailing", "flipped"])
def test_damage_is_a_content_error(name, damage):
    content = bytearray(squeeze(name, TEXT))
    match damage:
        case "cut":
            del content[-3:]
        case "cut-early":
            del content[len(content) // 2 :]
        case "trailing":
            content += b"something else"
        case _:
            content[len(content) // 2] ^= 0x41
    with pytest.raises(ContentError) as caught:
        read(bytes(content))
    assert caught.value.code == "bad-compression"
    assert name in caught.value.message


def test_a_wrong_checksum_is_a_content_error():
    content = bytearray(gzip.compress(TEXT))
    content[-6] ^= 1
    with pytest.raises(ContentError, match="checksum"):
        read(bytes(content))


def test_a_broken_promise_is_a_content_error():
    with pytest.raises(ContentError, match="no gzip stream"):
        read(b"plain", "application/vnd.oci.image.layer.v1.tar+gzip")
    assert read(b"plain", "application/vnd.oci.image.layer.v1.tar") == b"plain"


class Trickle(io.RawIOBase):
    """Gives a byte at a time and counts."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)
        self.given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self.content.read(1)
        self.given += len(piece)
        return piece


@pytest.mark.parametrize("name", FORMATS)
def test_reads_from_a_stream_that_gives_little(name):
    with open_decompressor(Trickle(squeeze(name, b"text" * 50))) as stream:
        assert stream.read() == b"text" * 50


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_is_inflated_no_further_than_read(name):
    bomb = squeeze(name, bytes(64 << 20))
    with open_decompressor(io.BytesIO(bomb)) as stream:
        assert stream.read(10) == bytes(10)
        assert len(stream.read(3 << 20)) == 3 << 20


def test_closing_closes_what_it_reads():
    below = io.BytesIO(squeeze("gzip", b"x"))
    open_decompressor(below).close()
    assert below.closed


def test_identities_name_what_the_bytes_depend_on():
    import isal

    for level in (None, 1, 2):
        assert Codec("gzip", level).identity == f"gzip-isal-{isal.__version__}-l3-b1048576"
    assert Codec("gzip", 3).identity == f"gzip-isal-{isal.__version__}-l3-b1048576"
    assert Codec("zstd").identity == f"zstd-{zstd.zstd_version}-l3-b4194304"
    assert Codec("none").identity == "none"


@pytest.mark.parametrize(("name", "level"), [("gzip", 4), ("gzip", -1), ("zstd", 0), ("none", 1)])
def test_levels_that_do_not_exist(name, level):
    with pytest.raises(UsageError, match=f"no level {level}"):
        Codec(name, level)


@pytest.mark.parametrize("level", range(4))
def test_blocks_join_to_one_gzip_member(level):
    codec = Codec("gzip", level)
    frame = codec.frame()
    squeezed = frame.head
    view = memoryview(TEXT)
    for at in range(0, len(TEXT), codec.block):
        block = view[at : at + codec.block]
        frame.update(block)
        squeezed += codec.compressor()(block)
    squeezed += frame.tail()
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(squeezed) == TEXT
    assert inflater.eof
    assert not inflater.unused_data


@pytest.mark.parametrize(
    ("package", "name", "code"), [("isal", "gzip", "no-isal"), ("backports", "zstd", "no-zstd")]
)
def test_a_missing_package_is_an_error_with_its_fix(monkeypatch, package, name, code):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MachineError) as caught:
        Codec(name).compressor()
    assert caught.value.code == code
    assert "pip install" in caught.value.hint


def test_levels_of_other_programs_mean_the_nearest():
    assert Codec.nearest("gzip", 9) == Codec("gzip", 3)
    assert Codec.nearest("zstd", 22) == Codec("zstd", 19)
    assert Codec.nearest("zstd", 2) == Codec("zstd", 2)
    assert Codec.nearest("none", None) == Codec("none")
