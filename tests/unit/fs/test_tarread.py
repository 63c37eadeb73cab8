import hashlib
import io
import tarfile

import pytest
from support.tarwrite import END, file, folder, gnu_long, hardlink, header, padded, pax

from buildgraph.errors import ContentError
from buildgraph.fs.readahead import ReadAhead
from buildgraph.fs.tarheader import Member
from buildgraph.fs.tarread import Archive


def read(archive: bytes, buffer: int = 1024, limit: int = 1 << 30) -> list[tuple[Member, bytes]]:
    found = []
    with ReadAhead(io.BytesIO(archive), limit, buffer) as source:
        reader = Archive(source)
        for member in reader:
            content = b""
            while view := reader.chunk():
                content += bytes(view)
            found.append((member, content))
    return found


def only(archive: bytes) -> Member:
    ((member, _),) = read(archive)
    return member


def code(archive: bytes) -> str:
    with pytest.raises(ContentError) as caught:
        read(archive)
    return caught.value.code


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("buffer", [512, 1024, 1 << 20])
def test_contents_across_buffers(size: int, buffer: int) -> None:
    content = bytes(range(256)) * 20
    archive = file(b"a", content[:size]) + file(b"b", b"end") + END
    assert [(m.name, c) for m, c in read(archive, buffer)] == [
        (b"a", content[:size]),
        (b"b", b"end"),
    ]


def test_content_may_be_left_unread() -> None:
    with ReadAhead(io.BytesIO(file(b"a", b"x" * 3000) + file(b"b") + END), 1 << 20, 512) as source:
        assert [member.name for member in Archive(source)] == [b"a", b"b"]


@pytest.mark.parametrize("flavour", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [1, 90, 99, 100, 101, 150, 156])
def test_what_another_writer_wrote(flavour: int, length: int) -> None:
    name = ("d" * 60 + "/" + "n" * 96)[-length:]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=flavour) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.uid, info.gid, info.mtime = 5, 0o4711, 1000, 100, 1234567890
        archive.addfile(info, io.BytesIO(b"12345"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "t" * 90
        archive.addfile(link)
    (member, content), (symlink, _) = read(buffer.getvalue())
    assert (member.name, content) == (name.encode(), b"12345")
    assert member[1:7] == (b"0", 0o4711, 1000, 100, 5, 1234567890 * 10**9)
    assert (symlink.type, symlink.link) == (b"2", b"t" * 90)


def test_ustar_prefix_only_with_its_magic() -> None:
    assert only(header(b"n", prefix=b"p") + END).name == b"p/n"
    assert only(header(b"n", prefix=b"12345", magic=b"ustar  \0") + END).name == b"n"


def test_full_fields_have_no_zero() -> None:
    assert only(header(b"n" * 100, prefix=b"p" * 155) + END).name == b"p" * 155 + b"/" + b"n" * 100


def test_gnu_long_names() -> None:
    long, target = b"l" * 3000, b"t" * 200
    archive = gnu_long(b"L", long) + gnu_long(b"K", target) + hardlink(b"short", b"x") + END
    assert only(archive)[0::7] == (long, target)


def test_long_names_hold_beside_an_extended_header() -> None:
    archive = gnu_long(b"L", b"long") + pax([(b"uid", b"7")]) + file(b"short") + END
    member = only(archive)
    assert (member.name, member.uid) == (b"long", 7)


def test_pax_records() -> None:
    archive = pax(
        [
            (b"path", "größe\n".encode()),
            (b"uid", b"4000000000"),
            (b"gid", b"5"),
            (b"mtime", b"1.5"),
            (b"size", b"3"),
            (b"SCHILY.xattr.user.b", b"\0=\n"),
            (b"SCHILY.xattr.user.a", b""),
            (b"comment", b"ignored"),
        ]
    )
    member, content = read(archive + header(b"n", size=0) + padded(b"abc") + END)[0]
    assert member.name == "größe\n".encode()
    assert (member.uid, member.gid, member.mtime) == (4_000_000_000, 5, 1_500_000_000)
    assert member.xattrs == ((b"user.a", b""), (b"user.b", b"\0=\n"))
    assert content == b"abc"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"-1", -(10**9)),
        (b"-0.5", -(10**9) // 2),
        (b"1.", 10**9),
        (b"1.0000000019", 10**9 + 1),
        (b"1700000000.123456789", 1700000000123456789),
        (b"-" + b"9" * 30, -(2**31) * 10**9),
        (b"9" * 30, 15_032_385_535 * 10**9),
    ],
)
def test_times_are_exact(text: bytes, nanoseconds: int) -> None:
    assert only(pax([(b"mtime", text)]) + file(b"x") + END).mtime == nanoseconds


@pytest.mark.parametrize("text", [b"nan", b"inf", b"1e9", b"0x1", b" 1", b"1 ", b"--1", b"1_0"])
@pytest.mark.parametrize("key", [b"mtime", b"uid", b"size"])
def test_numbers_that_are_none(key: bytes, text: bytes) -> None:
    assert code(pax([(key, text)]) + file(b"x") + END) == "archive-header"


@pytest.mark.parametrize("field", [b"0o17", b"1_000", b"-1", b"12x", b"9"])
def test_octal_that_is_none(field: bytes) -> None:
    block = bytearray(header(b"x"))
    block[108:116] = field.ljust(8, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert code(bytes(block) + END) == "archive-header"


def test_an_empty_record_takes_back() -> None:
    archive = pax([(b"uid", b"7")], b"g") + pax([(b"uid", b""), (b"path", b"")])
    assert only(archive + file(b"x", uid=3) + END)[0:4:3] == (b"x", 3)


def test_global_records_hold_until_the_end() -> None:
    archive = pax([(b"uid", b"7")], b"g") + file(b"a") + pax([(b"uid", b"8")]) + file(b"b")
    assert [m.uid for m, _ in read(archive + file(b"c") + END)] == [7, 8, 7]


@pytest.mark.parametrize(
    "body",
    [
        b"5 a=\n",
        b"4 a=\n",
        b"6 a=\n",
        b"a=b\n",
        b"0 a=\n",
        b"-5 a=\n",
        b"5 ab\n",
        b"9999999999 a=\n",
    ],
)
def test_malformed_records(body: bytes) -> None:
    archive = header(b"pax", b"x", size=len(body)) + padded(body) + file(b"x") + END
    if body == b"5 a=\n":
        assert only(archive).name == b"x"
    else:
        assert code(archive) == "archive-header"


def test_many_global_records() -> None:
    archive = b"".join(pax([(b"key%d" % i, b"v")], b"g") for i in range(100))
    assert code(archive + file(b"x") + END) == "archive-header"


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_extended_headers_are_bounded(kind: bytes) -> None:
    assert code(header(b"meta", kind, size=1 << 40) + END) == "archive-header"
    assert code(header(b"meta", kind, size=4000) + END) == "archive-truncated"


def test_an_extended_header_for_nothing() -> None:
    assert code(pax([(b"uid", b"1")]) + END) == "archive-truncated"
    assert code(pax([(b"uid", b"1")])) == "archive-truncated"


def test_old_archives() -> None:
    assert only(header(b"d/", b"\0", magic=bytes(8)) + END).type == b"5"
    assert only(header(b"f", b"\0", magic=bytes(8)) + END).type == b"0"
    assert only(header(b"f/", b"0", magic=bytes(8)) + END).type == b"0"


def test_a_signed_checksum() -> None:
    block = bytearray(header(b"\xff\xfe"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) - 2 * 256)
    assert only(bytes(block) + END).name == b"\xff\xfe"


def test_types_without_content_have_no_size() -> None:
    archive = header(b"d", b"5", size=10_000) + header(b"l", b"2", size=99, link=b"x") + file(b"f")
    assert [m.size for m, _ in read(archive + END)] == [0, 0, 7]


def test_a_lone_zero_block() -> None:
    assert code(file(b"a") + bytes(512) + file(b"b") + END) == "archive-header"
    assert len(read(file(b"a") + bytes(512))) == 1


@pytest.mark.parametrize("cut", range(0, 3072, 100))
def test_every_cut(cut: int) -> None:
    archive = (file(b"a", b"x" * 600) + folder(b"d") + END)[:cut]
    if cut == 0 or cut > 2048 + 512:
        assert len(read(archive)) == (2 if cut else 0)
    elif 512 + 600 <= cut <= 512 + 1024:  # whole but for its padding
        assert [content for _, content in read(archive)] == [b"x" * 600]
    else:
        assert code(archive) == "archive-truncated"


def test_a_zero_byte_in_a_name() -> None:
    assert code(pax([(b"path", b"a\0b")]) + file(b"x") + END) == "archive-name"
    assert code(pax([(b"linkpath", b"a\0b")]) + hardlink(b"x", b"y") + END) == "archive-name"


class Drip(io.RawIOBase):
    """One byte at a time, and no readinto of its own."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self.content.read(min(len(buffer), 7))
        buffer[: len(piece)] = piece
        return len(piece)


class OnlyRead:
    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


@pytest.mark.parametrize("stream", [io.BytesIO, Drip, OnlyRead])
def test_any_stream(stream) -> None:
    content = bytes(range(256)) * 40
    with ReadAhead(stream(content), 1 << 20, 1024) as source:
        taken = b"".join(bytes(source.take(512)) for _ in range(7))
        assert content.startswith(taken)
        assert source.finish() == "sha256:" + hashlib.sha256(content).hexdigest()
        assert source.size == len(content)


def test_a_stream_that_is_too_long() -> None:
    with ReadAhead(io.BytesIO(bytes(5000)), 4999, 1024) as source:
        with pytest.raises(ContentError) as caught:
            source.finish()
        assert caught.value.code == "archive-too-big"
        assert not source.take(512)


class Broken(io.RawIOBase):
    def __init__(self, good: int) -> None:
        self.good = good

    def readinto(self, buffer) -> int:
        if not self.good:
            raise EOFError("connection lost")
        self.good -= 1
        return len(buffer)


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_stream_that_breaks(good: int) -> None:
    with pytest.raises(ContentError) as caught, ReadAhead(Broken(good), 1 << 20, 512) as source:
        source.finish()
    assert caught.value.code == "archive-unreadable"


def test_a_claim_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(ContentError) as caught:
        read(header(b"x", size=1 << 40) + END, limit=1 << 20)
    assert caught.value.code == "archive-too-big"
    assert "/x " in caught.value.message
