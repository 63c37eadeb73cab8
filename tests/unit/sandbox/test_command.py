from pathlib import Path

import pytest

from buildgraph.errors import UsageError
from buildgraph.sandbox.command import BindPoint, Command, Exit, TmpfsPoint, environment, stubs
from buildgraph.sandbox.stubs import Stub


def test_stubs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mounts = (
        BindPoint(tmp_path, "/a"),
        BindPoint(tmp_path / "file", "/b"),
        TmpfsPoint("/c"),
    )
    own = (Stub("/a"), Stub("/b", "file"), Stub("/c"))
    assert stubs(mounts) == (*stubs(), *own)


@pytest.mark.parametrize(
    "target", ["/", "//", "/.", "/proc/", "/proc/x", "/x/../proc", "/sys", "x", ""]
)
def test_bad_targets(target: str) -> None:
    with pytest.raises(UsageError, match="nothing can be mounted") as caught:
        stubs((TmpfsPoint(target),))
    assert caught.value.code == "bad-mount-target"


def test_the_environment_has_three_defaults(tmp_path: Path) -> None:
    command = Command(tmp_path, ("true",), {"A": "1", "PWD": "/lie"}, workdir="/w", uid=7)
    found = environment(command)
    assert found == {"A": "1", "HOME": "/", "PATH": found["PATH"], "PWD": "/w"}


def test_exit() -> None:
    assert Exit(0).ok
    assert not Exit(0, cancelled=True).ok
    assert [Exit(code).signal for code in (0, 1, 128, 137, 143, 255)] == [
        None,
        None,
        None,
        9,
        15,
        None,
    ]
