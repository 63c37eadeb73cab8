"""A layer that a child reads is the layer that is read here."""

import errno
import os

import pytest

from buildgraph.fs import beside, tree
from buildgraph.fs.beside import pack_beside
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.rows import row_of
from buildgraph.fs.tree import Entry

SIZES = (0, 1, 511, 512, 513, 700_000, 1 << 20, 5_000_000, 3)
CODECS = [Codec("none"), Codec("gzip"), Codec("zstd")]


@pytest.fixture
def items(tmp_path):
    (tmp_path / "source").mkdir()
    found = [Item(Entry(b"d", tree.DIRECTORY, 0o755))]
    for number in range(40):
        path = bytes(tmp_path / f"source/{number:02d}")
        size = SIZES[number % len(SIZES)]
        with open(path, "wb") as out:
            out.write(os.urandom(size))
        entry = Entry(b"d/%02d" % number, tree.FILE, 0o644, size=size)
        found.append(Item(entry, path, row=row_of(os.lstat(path))))
    found.append(Item(Entry(b"link", tree.SYMLINK, 0o777, link=b"d/00")))
    return found


def listing(items):
    return tuple(item.entry for item in items)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("count", [0, 1, 3, 6, 42])
def test_the_same_bytes(items, tmp_path, codec, count):
    items = items[:count]
    here = pack(items, codec=codec, blob=tmp_path / "here")
    there = pack_beside(listing(items), lambda a, b: items[a:b], codec, tmp_path / "there")
    assert there == here
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def touch(path):
    os.utime(path, ns=(1, 1))


def grow(path):
    with open(path, "ab") as out:
        out.write(b"more")


@pytest.mark.parametrize("change", [touch, grow, os.unlink])
@pytest.mark.parametrize("number", [4, 7, 8])
def test_a_file_that_is_not_what_was_found(items, tmp_path, change, number):
    change(items[number].source)
    assert pack_beside(listing(items), lambda a, b: items[a:b], Codec(), tmp_path / "blob") is None
    assert not (tmp_path / "blob").exists()


def test_a_child_that_dies(items, tmp_path, monkeypatch):
    say = beside._Far.say

    def die(far):
        say(far)
        os._exit(3)

    monkeypatch.setattr(beside._Far, "say", die)
    assert (
        pack_beside(listing(items), lambda a, b: items[a:b], Codec("none"), tmp_path / "blob")
        is None
    )
    assert not (tmp_path / "blob").exists()


def test_a_full_disk_ends_the_child(items, tmp_path, monkeypatch):
    def write(fd, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    child = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: child.append(fork()) or child[-1])
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        pack_beside(listing(items), lambda a, b: items[a:b], Codec("none"), tmp_path / "blob")
    assert not (tmp_path / "blob").exists()
    assert len(child) == 2
    for one in child:
        with pytest.raises(ChildProcessError):
            os.waitpid(one, os.WNOHANG)
