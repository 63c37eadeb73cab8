from pathlib import Path

import pytest

from buildgraph.errors import UsageError
from buildgraph.sandbox.users import User, home_of, look_up

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001:,,,:/home/app:/bin/sh\n7:x:70:70::/odd:\n"
GROUP = "root:x:0:\napp:x:1001:\nwheel:x:10:app,other\nvideo:x:44:app\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, (), "/root")),
        ("root", User(0, 0, (), "/root")),
        ("app", User(1000, 1001, (10, 44), "/home/app")),
        ("1000", User(1000, 1001, (10, 44), "/home/app")),
        ("app:video", User(1000, 44, (), "/home/app")),
        ("app:99", User(1000, 99, (), "/home/app")),
        ("4242", User(4242, 0, (), "/")),
        ("4242:4343", User(4242, 4343, (), "/")),
        ("7", User(70, 70, (), "/odd")),
        ("0:0", User(0, 0, (), "/root")),
    ],
)
def test_look_up(root: Path, text: str, user: User) -> None:
    assert look_up(root, text) == user


@pytest.mark.parametrize("text", ["", "root", "0", "root:root"])
def test_root_needs_no_files(tmp_path: Path, text: str) -> None:
    assert look_up(tmp_path, text) == User(0, 0, (), "/root")


def test_unknown_names_say_what_there_is(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        look_up(root, "nobody")
    assert caught.value.code == "unknown-user"
    assert "app" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        look_up(root, "app:nogroup")
    assert caught.value.code == "unknown-group"
    assert "wheel" in caught.value.hint


@pytest.mark.parametrize("text", ["-1", "4294967296", "1e3", "٣"])
def test_what_is_no_number_is_a_name(root: Path, text: str) -> None:
    with pytest.raises(UsageError):
        look_up(root, text)


def test_files_of_an_image_may_say_anything(root: Path) -> None:
    long = "9" * 10_000
    (root / "etc/passwd").write_text(
        f"a:x:\u00b2:0::/:\nb:x:{long}:0::/:\nc:x:7:{long}::/:\nn:x:4294967294:0::/:\n"
    )
    (root / "etc/group").write_text(f"g:x:{long}:\nh:x:\u00b2:\n")
    assert look_up(root, "n").uid == 4294967294
    for text in ("a", "b", "c", long, f"0:{long}", "0:g", "0:h"):
        with pytest.raises(UsageError):
            look_up(root, text)


def test_links_stay_inside_the_root(root: Path) -> None:
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").symlink_to("/usr/share/passwd")
    (root / "usr/share").mkdir(parents=True)
    (root / "usr/share/passwd").write_text("inside:x:5:6::/in:\n")
    assert look_up(root, "inside").uid == 5


def test_home(root: Path) -> None:
    assert [home_of(root, uid) for uid in (0, 1000, 5)] == ["/root", "/home/app", "/"]
