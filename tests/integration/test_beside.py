"""A layer that a child reads is the layer that is read here."""

import errno
import os

import pytest
from support.grow import LONG_AFTER, UNKNOWN

from buildgraph.fs import beside, tree
from buildgraph.fs.beside import pack_beside
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.rows import moment, pack_rows, row_of
from buildgraph.fs.tree import Entry

SIZES = (0, 1, 511, 512, 513, 700_000, (1 << 20) - 512, 1 << 20, 5_000_000, 3)
CODECS = [Codec("none"), Codec("gzip"), Codec("zstd")]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(beside, "_SEGMENT", 5)


@pytest.fixture
def items(tmp_path):
    """Of their files, entries tell names alone."""
    long = b"d/" + b"n" * 200
    found = [Item(Entry(b"d", tree.DIRECTORY, 0o755)), Item(Entry(long, tree.DIRECTORY, 0o755))]
    for number in range(40):
        host = tmp_path / f"source{number % 3}/{number:02d}"
        host.parent.mkdir(exist_ok=True)
        host.write_bytes(os.urandom(SIZES[number % len(SIZES)]))
        host.chmod(0o755 if number % 4 == 0 else 0o600)
        folder = long if number % 7 == 0 else b"d"
        found.append(Item(Entry(folder + b"/%02d" % number, tree.FILE, 0o644), bytes(host)))
    found.append(Item(Entry(b"link", tree.SYMLINK, 0o777, link=b"d/00")))
    return sorted(found)


def listing(items):
    return tuple(item.entry for item in items)


def modes(item):
    """As git has them."""
    if item.entry.kind != tree.FILE:
        return item
    runs = os.stat(item.source).st_mode & 0o100
    return item._replace(entry=item.entry._replace(mode=0o755 if runs else 0o644))


def packed(items, blob, codec, since=LONG_AFTER):
    return pack_beside(listing(items), lambda a, b: items[a:b], codec, blob, since=since)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("count", [0, 1, 3, 6, 43])
@pytest.mark.parametrize("since", [UNKNOWN, LONG_AFTER], ids=["racy", "settled"])
def test_the_same_bytes(items, tmp_path, codec, count, since):
    items = items[:count]
    here = pack(list(map(modes, items)), codec=codec, blob=tmp_path / "here")
    read = packed(items, tmp_path / "there", codec, since)
    assert read.packed == here
    files = [item.source for item in items if item.entry.kind == tree.FILE]
    assert read.rows == pack_rows([row_of(os.lstat(file)) for file in files])
    assert tree.joined(read.lines) == tree.encode(here.tree)
    contents = [entry.content for entry in here.tree if entry.kind == tree.FILE]
    assert read.hashes.hex() == "".join(contents)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def grow(fd):
    with open(f"/proc/self/fd/{fd}", "ab") as out:
        out.write(b"more")


def empty(fd):
    os.truncate(f"/proc/self/fd/{fd}", 0)


@pytest.fixture
def reading(monkeypatch):
    """Calls something after each read of a file of some size; the children inherit it."""

    def set_up(size, change):
        usual = os.readv

        def readv(fd, buffers):
            got = usual(fd, buffers)
            if os.fstat(fd).st_size == size:
                change(fd)
            return got

        monkeypatch.setattr(os, "readv", readv)

    return set_up


@pytest.mark.parametrize("size", [3, 700_000, 5_000_000])
def test_a_file_that_changes_all_the_time(items, tmp_path, reading, size):
    reading(size, lambda fd: os.utime(fd, ns=(1, 1)))
    assert packed(items, tmp_path / "blob", Codec(), moment(bytes(tmp_path))) is None
    assert not (tmp_path / "blob").exists()


@pytest.mark.parametrize("change", [grow, empty])
@pytest.mark.parametrize("size", [3, 700_000, 5_000_000])
def test_a_file_that_changes_once(items, tmp_path, reading, change, size):
    """What is packed was there at one time, never half of it."""
    reading(size, change)
    read = packed(items, tmp_path / "blob", Codec(), moment(bytes(tmp_path)))
    assert read.packed == pack(list(map(modes, items)), codec=Codec(), blob=tmp_path / "after")


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_a_file_that_is_another_thing_now(items, tmp_path, put):
    os.unlink(items[7].source)
    put(items[7].source)
    assert packed(items, tmp_path / "blob", Codec()) is None


def test_a_file_that_is_gone(items, tmp_path):
    os.unlink(items[7].source)
    assert packed(items, tmp_path / "blob", Codec()) is None
    assert not (tmp_path / "blob").exists()


def test_a_child_that_dies(items, tmp_path, monkeypatch):
    end = beside._Far.end

    def die(far, left, found):
        end(far, left, found)
        os._exit(3)

    monkeypatch.setattr(beside._Far, "end", die)
    assert packed(items, tmp_path / "blob", Codec("none")) is None
    assert not (tmp_path / "blob").exists()


def test_a_full_disk_ends_the_child(items, tmp_path, monkeypatch):
    def write(fd, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    child = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: child.append(fork()) or child[-1])
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        packed(items, tmp_path / "blob", Codec("none"))
    assert not (tmp_path / "blob").exists()
    assert len(child) == 2
    for one in child:
        with pytest.raises(ChildProcessError):
            os.waitpid(one, os.WNOHANG)
