"""Pins of images in the lock: their bytes, what they answer, what is no pin."""

from pathlib import Path

import pytest

from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.spec.lock import Lock
from buildgraph.spec.pins import ImagePin, PackagesPin

A, B, C = (Digest(f"sha256:{letter * 64}") for letter in "abc")
FILE = Path("Buildfile.lock")
DEBIAN = "docker.io/library/debian:12"
TEXT = f"""\
# Written by buildgraph; keep it under version control.
lock = 1

[images."{DEBIAN}"."linux/amd64"]
index = "{C}"
manifest = "{A}"
config = "{B}"
config-size = 1469

[images."r.example/x:1"."linux/arm64"]
manifest = "{A}"
config = "{B}"
config-size = 0

[packages.os.amd64]
suite = "s"
requested = []
packages = [
]
"""
LOCK = (
    Lock()
    .pin("os", "amd64", PackagesPin("s", (), ()))
    .pin_image("r.example/x:1", "linux/arm64", ImagePin(A, B, 0))
    .pin_image(DEBIAN, "linux/amd64", ImagePin(A, B, 1469, C))
)


def test_the_bytes_are_as_documented_whatever_came_first() -> None:
    assert LOCK.to_bytes().decode() == TEXT
    assert Lock.load(TEXT.encode(), FILE) == LOCK


def test_another_platform_is_resolved_in_the_index_that_is_pinned() -> None:
    assert LOCK.named(DEBIAN) == C
    assert LOCK.named("r.example/x:1") == A
    assert LOCK.named("other") == ""
    two = LOCK.pin_image(DEBIAN, "linux/arm64", ImagePin(B, A, 1, A))
    assert two.named(DEBIAN) == "", "which of the two?"


def test_pins_go_by_reference() -> None:
    assert list(LOCK.without_images([DEBIAN]).images) == [("r.example/x:1", "linux/arm64")]
    kept = LOCK.keep_images([DEBIAN])
    assert list(kept.images) == [(DEBIAN, "linux/amd64")]
    assert kept.pins == LOCK.pins


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("config-size = 0\n", ""),
        ("config-size = 0", "config-size = -1"),
        ("config-size = 0", "config-size = true"),
        ("config-size = 0", 'config-size = "0"'),
        ("config-size = 0", "config-size = 0\nsize = 1"),
        (f'config = "{B}"\nconfig-size = 0', "config-size = 0"),
        (f'manifest = "{A}"\nconfig = "{B}"\nconfig-size = 0', 'manifest = "sha256:x"'),
        ('[images."r.example/x:1"."linux/arm64"]', '[images."r.example/x:1"]'),
        (f'index = "{C}"', "index = 1"),
        (f'index = "{C}"', 'index = "sha256:../../x"'),
    ],
)
def test_what_is_no_pin_is_refused_with_its_line(before: str, after: str) -> None:
    assert before in TEXT
    with pytest.raises(UsageError) as caught:
        Lock.load(TEXT.replace(before, after).encode(), FILE)
    assert caught.value.code == "bad-lock"
    assert caught.value.where is not None
    assert caught.value.where.line in (4, 10, 11)
