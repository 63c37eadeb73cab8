import errno
import fcntl
import os
from mmap import mmap

import pytest

from buildgraph.fs import bigfile
from buildgraph.fs.bigfile import BLOCK, BigFile


@pytest.fixture(autouse=True)
def early(monkeypatch):
    monkeypatch.setattr(bigfile, "CACHED", BLOCK)


PIECES = [
    [],
    [b""],
    [b"a"],
    [os.urandom(BLOCK)],
    [os.urandom(BLOCK), os.urandom(BLOCK), os.urandom(BLOCK), b"end"],
    [os.urandom(3 * BLOCK)],
    [os.urandom(700_001) for _ in range(7)],
    [b"head", *(os.urandom(BLOCK) for _ in range(3))],
]


@pytest.mark.parametrize("pieces", PIECES, ids=lambda pieces: f"{len(pieces)}")
@pytest.mark.parametrize("sync", [False, True])
def test_what_is_written_is_there(tmp_path, pieces, sync):
    (tmp_path / "f").write_bytes(b"before" * BLOCK)
    file = BigFile(tmp_path / "f")
    for piece in pieces:
        file.write(piece)
    file.finish(sync=sync)
    assert (tmp_path / "f").read_bytes() == b"".join(pieces)


def test_aligned_memory_is_not_copied(tmp_path, monkeypatch):
    written = []
    write = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, content: written.append(content) or write(fd, content)
    )
    memory = memoryview(mmap(-1, BLOCK))
    file = BigFile(tmp_path / "f")
    file.write(memory)
    file.write(memory)
    file.finish(sync=False)
    assert all(content.obj is memory.obj for content in written)


def test_a_file_system_without_direct_writes(tmp_path, monkeypatch):
    real = fcntl.fcntl

    def refuse(fd, command, flags=0):
        if command == fcntl.F_SETFL:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, command, flags)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    test_what_is_written_is_there(tmp_path, PIECES[5], sync=False)


def test_a_file_that_takes_no_direct_write_after_all(tmp_path, monkeypatch):
    write = os.write

    def picky(fd, content):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(fd, content)

    monkeypatch.setattr(os, "write", picky)
    test_what_is_written_is_there(tmp_path, PIECES[6], sync=False)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(_fd, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    file = BigFile(tmp_path / "f")
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.write(bytes(BLOCK))
    file.close()
    file.close()
