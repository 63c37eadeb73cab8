import io
import tarfile

import pytest

from buildgraph.fs import tree
from buildgraph.fs.tarball import END, EPOCH, head, record
from buildgraph.fs.tree import Entry


def read(*heads: bytes) -> list[tarfile.TarInfo]:
    content = b"".join(heads) + END
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as archive:
        return archive.getmembers()


def test_a_plain_file_is_one_header_of_known_bytes():
    header = head(Entry(b"etc/hosts", tree.FILE, 0o644, 12, 34), 5)
    assert len(header) == 512
    assert header[:100] == b"etc/hosts".ljust(100, b"\0")
    assert header[100:124].split(b"\0") == [b"0000644", b"0000014", b"0000042", b""]
    assert header[124:136] == b"00000000005\0"
    assert header[136:148] == b"02263523000\0"
    assert header[156:157] == b"0"
    assert header[157:257] == bytes(100)
    assert header[257:265] == b"ustar\x0000"
    assert header[265:329] == bytes(64)
    assert header[329:345] == b"0000000\0" * 2
    assert header[345:] == bytes(167)
    blanked = header[:148] + b" " * 8 + header[156:]
    assert header[148:156] == b"%06o\0 " % sum(blanked)


def test_checksum_of_a_header_full_of_high_bytes():
    entry = Entry(b"\xff" * 100, tree.SYMLINK, 0o777, link=b"\xff" * 100)
    header = head(entry)
    blanked = header[:148] + b" " * 8 + header[156:]
    assert int(header[148:154], 8) == sum(blanked)


@pytest.mark.parametrize(
    ("entry", "kind", "name"),
    [
        (Entry(b"a", tree.DIRECTORY, 0o755), tarfile.DIRTYPE, "a"),
        (Entry(b"a", tree.FIXED_DIRECTORY, 0o755), tarfile.DIRTYPE, "a"),
        (Entry(b"", tree.DIRECTORY, 0o755), tarfile.DIRTYPE, "."),
        (Entry(b"a/b", tree.SYMLINK, 0o777, link=b"../x"), tarfile.SYMTYPE, "a/b"),
        (Entry(b"a/b", tree.HARDLINK, 0o644, link=b"a/a"), tarfile.LNKTYPE, "a/b"),
        (Entry(b"n", tree.CHAR, 0o666, device=(1, 3)), tarfile.CHRTYPE, "n"),
        (Entry(b"n", tree.BLOCK, 0o660, device=(8, 1)), tarfile.BLKTYPE, "n"),
        (Entry(b"n", tree.FIFO, 0o600), tarfile.FIFOTYPE, "n"),
        (Entry(b"a/n", tree.WHITEOUT), tarfile.REGTYPE, "a/.wh.n"),
        (Entry(b"n", tree.WHITEOUT), tarfile.REGTYPE, ".wh.n"),
    ],
)
def test_kinds(entry, kind, name):
    (member,) = read(head(entry))
    assert (member.type, member.name, member.size) == (kind, name, 0)
    assert member.linkname == entry.link.decode()
    assert member.mtime == EPOCH
    if entry.kind in "cb":
        assert (member.devmajor, member.devminor) == entry.device


def test_an_opaque_directory_brings_its_marker():
    names = [member.name for member in read(head(Entry(b"a/d", tree.OPAQUE, 0o700)))]
    assert names == ["a/d", "a/d/.wh..wh..opq"]
    assert [m.name for m in read(head(Entry(b"", tree.OPAQUE, 0o700)))] == [".", ".wh..wh..opq"]


@pytest.mark.parametrize("length", [1, 99, 100, 101, 155, 156, 157, 255, 256, 257, 300, 5000])
@pytest.mark.parametrize("kind", [tree.FILE, tree.DIRECTORY, tree.WHITEOUT])
@pytest.mark.parametrize("step", [7, 101, 254])
def test_names_of_any_length(length, kind, step):
    path = b"/".join(b"n" * min(step, length - at) for at in range(0, length, step))[:length]
    path = path.rstrip(b"/") or b"n"
    (member,) = read(head(Entry(path, kind, 0o755)))
    expected = path.decode()
    if kind == tree.WHITEOUT:
        parent, slash, base = expected.rpartition("/")
        expected = f"{parent}{slash}.wh.{base}"
    assert member.name == expected


def test_a_name_that_fits_ustar_needs_no_extended_header():
    path = b"d" * 155 + b"/" + b"n" * 100
    assert len(head(Entry(path, tree.FILE))) == 512
    assert len(head(Entry(path + b"n", tree.FILE))) == 512 * 3


def test_extended_values():
    entry = Entry(
        b"f",
        tree.FILE,
        0o4755,
        2**21,
        2**31,
        xattrs=((b"user.b", b"\0\xff\n="), (b"security.capability", b"x" * 300)),
        mtime=1_700_000_000_123_000_000,
    )
    content = head(entry, 2**33)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.next()
    assert (member.uid, member.gid, member.size) == (2**21, 2**31, 2**33)
    assert member.pax_headers["mtime"] == "1700000000.123"
    assert list(member.pax_headers) == [
        "size",
        "mtime",
        "SCHILY.xattr.security.capability",
        "SCHILY.xattr.user.b",
        "uid",
        "gid",
    ]
    value = member.pax_headers["SCHILY.xattr.user.b"].encode("utf-8", "surrogateescape")
    assert value == b"\0\xff\n="


@pytest.mark.parametrize(
    ("nanoseconds", "stated"),
    [
        (-1, "-0.000000001"),
        (-1_500_000_000, "-1.5"),
        (-1_000_000_000, "-1"),
        (8**11 * 10**9, str(8**11)),
        (1, "0.000000001"),
    ],
)
def test_times_that_ustar_cannot_say(nanoseconds, stated):
    (member,) = read(head(Entry(b"f", tree.FILE, mtime=nanoseconds)))
    assert member.pax_headers == {"mtime": stated}


def test_whole_seconds_need_no_extended_header():
    header = head(Entry(b"f", tree.FILE, mtime=7_000_000_000))
    assert header[136:148] == b"00000000007\0"


def test_long_link_targets():
    for kind in (tree.SYMLINK, tree.HARDLINK):
        (member,) = read(head(Entry(b"l", kind, 0o777, link=b"t" * 101)))
        assert member.linkname == "t" * 101
    assert len(head(Entry(b"l", tree.SYMLINK, 0o777, link=b"t" * 100))) == 512


@pytest.mark.parametrize(
    "length", [*range(1, 12), *range(84, 104), *range(984, 1004), 9_989, 9_990]
)
def test_a_record_counts_its_own_length(length):
    content = record(b"key", b"v" * length)
    assert int(content.split(b" ")[0]) == len(content)
