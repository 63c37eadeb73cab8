import os
import stat

import pytest

from buildgraph.fs import tree
from buildgraph.fs.check import differs
from buildgraph.fs.remove import remove_tree
from buildgraph.fs.tree import Entry

DEEP = 3000


def deepen(folder, depth):
    """Deeper than Python recurses, and than a path that the kernel takes."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(fd)
        fd = below
    os.close(fd)


def test_however_deep(tmp_path):
    top = tmp_path / "top"
    (top / "wide").mkdir(parents=True)
    deepen(top, DEEP)
    deepen(top / "wide", 20)
    remove_tree(top)
    assert os.listdir(tmp_path) == []


def test_what_may_not_be_entered_and_what_leads_out(tmp_path):
    top, outside = tmp_path / "top", tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    (top / "shut" / "below").mkdir(parents=True)
    (top / "shut" / "up").symlink_to(outside)
    (top / "up").symlink_to(outside)
    os.mkfifo(top / "shut" / "fifo")
    (top / "shut" / "below").chmod(0)
    (top / "shut").chmod(0)
    remove_tree(top)
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]


def test_what_is_no_folder_stays(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(".")
    for name in ("file", "link", "nothing"):
        with pytest.raises(OSError, match=name):
            remove_tree(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_deep_snapshot_can_be_verified(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    deepen(top, 1200)
    path, listed = b"", []
    for _ in range(1200):
        path += b"/d" if path else b"d"
        found = os.lstat(os.fsencode(top) + b"/" + path)
        mode = stat.S_IMODE(found.st_mode)
        listed.append(Entry(path, tree.DIRECTORY, mode, found.st_uid, found.st_gid))
    assert "/file does not belong there" in differs(top, tree.encode(listed))
    remove_tree(top)
