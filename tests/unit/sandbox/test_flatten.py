import os
import stat
from pathlib import Path

import pytest
from support import capability

from buildgraph.sandbox.flatten import flatten


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    capability.require_root()
    return tmp_path


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def flat(folder: Path, *layers: str) -> Path:
    into = folder / "into"
    into.mkdir()
    flatten([folder / name for name in layers], into)
    return into


def names(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_upper_files_win_and_deletions_delete(folder: Path) -> None:
    put(folder / "a/same", "a")
    put(folder / "a/gone/x")
    put(folder / "a/dir/kept")
    put(folder / "b/same", "b")
    whiteout(folder / "b/gone")
    whiteout(folder / "b/never-there")
    put(folder / "b/dir/more")
    into = flat(folder, "a", "b")
    assert names(into) == ["dir", "dir/kept", "dir/more", "same"]
    assert (into / "same").read_text() == "b"
    assert (folder / "a/same").read_text() == "a"


def test_types_replace_each_other(folder: Path) -> None:
    put(folder / "a/file")
    put(folder / "a/dir/x")
    put(folder / "b/file/y")
    (folder / "b/dir").symlink_to("file")
    into = flat(folder, "a", "b")
    assert names(into) == ["dir", "file", "file/y"]
    assert (into / "dir").is_symlink()


def test_an_opaque_directory_hides_what_is_below(folder: Path) -> None:
    put(folder / "a/dir/old")
    put(folder / "b/dir/new")
    os.setxattr(folder / "b/dir", "trusted.overlay.opaque", b"y")
    into = flat(folder, "a", "b")
    assert names(into) == ["dir", "dir/new"]
    assert os.listxattr(into / "dir") == []


def test_attributes_of_the_upper_directory_hold(folder: Path) -> None:
    put(folder / "a/dir/x")
    put(folder / "b/dir/y")
    os.setxattr(folder / "a/dir", "user.below", b"1")
    os.setxattr(folder / "b/dir", "user.above", b"2")
    os.chown(folder / "b/dir", 3, 4)
    (folder / "b/dir").chmod(0o2711)
    os.utime(folder / "b/dir", (5, 6))
    into = flat(folder, "a", "b")
    status = (into / "dir").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2711, 3, 4)
    assert status.st_mtime == 6
    assert os.listxattr(into / "dir") == ["user.above"]


def test_names_of_one_file_stay_together_and_bytes_are_shared(folder: Path) -> None:
    first = put(folder / "a/one", "x")
    (folder / "a/two").hardlink_to(first)
    put(folder / "b/one", "y")
    into = flat(folder, "a", "b")
    assert (into / "two").read_text() == "x"
    assert (into / "two").stat().st_ino == first.stat().st_ino
    assert (into / "one").stat().st_ino != first.stat().st_ino
