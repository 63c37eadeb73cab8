import errno
import os
from pathlib import Path

import pytest

from buildgraph.errors import ContentError
from buildgraph.fs import rooted
from buildgraph.fs.rooted import Rooted, shown


@pytest.fixture(params=["openat2", "walk"])
def root(request, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(rooted, "_refused", request.param == "walk")
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "usr/bin").mkdir(parents=True)
    (inside / "etc/passwd").write_text("inside")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("outside")
    (inside / "bin").symlink_to("usr/bin")
    (inside / "usr/bin/sh").write_text("shell")
    return inside


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("abs", "/etc/passwd"),
        ("up", "../../../../etc/passwd"),
        ("usr/deep", "../../../etc/passwd"),
        ("usr/bin/sibling", "../../etc/passwd"),
        ("usr/dots", "./.././//etc/./passwd"),
    ],
)
def test_links_stay_inside(root: Path, link: str, target: str) -> None:
    (root / link).symlink_to(target)
    with Rooted(root) as at:
        assert at.resolve(link.encode()) == b"etc/passwd"
        assert at.read(link.encode()) == b"inside"
        assert at.read(b"/" + link.encode()) == b"inside"


def test_dotdot_stops_at_the_root(root: Path) -> None:
    with Rooted(root) as at:
        assert at.read(b"../../etc/passwd") == b"inside"
        assert at.resolve(b"../..") == b""


def test_a_directory_link_is_followed(root: Path) -> None:
    with Rooted(root) as at:
        assert at.read(b"bin/sh") == b"shell"
        assert at.resolve(b"bin/new/file") == b"usr/bin/new/file"
        assert at.resolve(b"bin", follow=False) == b"bin"


def test_exact_refuses_links(root: Path) -> None:
    (root / "last").symlink_to("etc/passwd")
    with Rooted(root) as at:
        os.close(at.open_exact(b"etc/passwd"))
        for path in (b"bin/sh", b"last"):
            with pytest.raises(OSError) as caught:
                at.open_exact(path)
            assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
        with pytest.raises(OSError):
            at.open_exact(b"etc/../../etc/passwd")


def test_loops_end(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with Rooted(root) as at:
        with pytest.raises(OSError) as caught:
            at.read(b"a")
        assert caught.value.errno == errno.ELOOP
        with pytest.raises(OSError):
            at.resolve(b"a/x")


def test_nothing_there(root: Path) -> None:
    with Rooted(root) as at:
        assert at.read(b"etc/shadow") is None
        assert at.read(b"etc/passwd/below") is None
        assert at.stat(b"nowhere") is None


def test_only_files_are_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with Rooted(root) as at:
        for path in (b"pipe", b"etc", b""):
            with pytest.raises(ContentError) as caught:
                at.read(path)
            assert caught.value.code == "not-a-file"


def test_reading_is_bounded(root: Path) -> None:
    with Rooted(root) as at:
        assert at.read(b"etc/passwd", limit=6) == b"inside"
        with pytest.raises(ContentError) as caught:
            at.read(b"etc/passwd", limit=5)
        assert caught.value.code == "file-too-big"


def test_stat_of_a_link(root: Path) -> None:
    with Rooted(root) as at:
        link, target = at.stat(b"bin", follow=False), at.stat(b"bin")
    assert link is not None
    assert target is not None
    assert link.st_ino == os.lstat(root / "bin").st_ino
    assert target.st_ino == os.stat(root / "usr/bin").st_ino


def test_create_inside(root: Path) -> None:
    with Rooted(root) as at:
        os.close(at.open(b"bin/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    assert (root / "usr/bin/new").exists()


def test_names_are_shown_on_one_line() -> None:
    assert shown(b"a\nb\xff") == "/a\\nb\\xff"
    assert len(shown(b"x" * 4000)) < 130
