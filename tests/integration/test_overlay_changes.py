"""Real overlays: whatever happens in one, the settled upper directory over the same stack shows the same files."""

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.capability import lack, require, require_root
from support.layers import listing

from buildgraph.fs.changes import scan
from buildgraph.fs.lay import Below
from buildgraph.fs.lay import listing as tree_listing
from buildgraph.fs.pack import pack
from buildgraph.fs.settle import settle

OFF = "xino=off,metacopy=off,redirect_dir=off,index=off"


@contextlib.contextmanager
def overlay(at: Path, *lowers: Path, upper: Path | None = None) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lowers))},{OFF}"
    if upper is not None:
        work = upper.parent / "work"
        work.mkdir(exist_ok=True)
        options += f",upperdir={upper},workdir={work}"
    argv = ["mount", "-t", "overlay", "overlay", "-o", options, str(at)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        lack("cannot mount an overlay here")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    """Not below a directory that is an overlay itself."""
    require("mount", "umount")
    require_root()
    for name in ("lower", "empty", "upper", "settled", "packed"):
        (tmp_path / name).mkdir(mode=0o755)
    yield tmp_path
    shutil.rmtree(tmp_path / "work", ignore_errors=True)


def seen(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What a command sees; times are no part of a layer, and links across layers break in any overlay."""
    return {path: found[:3] + found[5:] for path, found in listing(root).items()}


def lower(root: Path) -> None:
    for path in ("a/b/one", "a/b/two", "a/c/three", "d/four", "e/five", "six"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "link").symlink_to("a/b")
    os.mkfifo(root / "pipe")


def paths(root: Path) -> list[Path]:
    found = [Path(at, name) for at, _, names in os.walk(root) for name in names]
    return sorted(found + [Path(at) for at, _, _ in os.walk(root)])


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def change(root: Path, chance: random.Random) -> None:
    """One thing that a command may do; what is impossible is left."""
    old = chance.choice(paths(root)[1:] or [root / "new"])
    new = chance.choice(paths(root)[:1] + [p for p in paths(root) if p.is_dir()]) / chance.choice(
        ["one", "two", "b", "d", "new"]
    )
    if new.is_relative_to(old):
        return
    with contextlib.suppress(OSError, shutil.Error, IndexError):
        match chance.randrange(12):
            case 0 | 1 | 2:
                remove(old)
            case 3:
                new.mkdir()
            case 4:
                new.write_text(chance.choice(["a/b/one", "other"]))
            case 5:
                shutil.move(old, new)
            case 6:
                os.link(old, new, follow_symlinks=False)
            case 7:
                old.chmod(chance.choice([0o644, 0o700, 0o755]))
            case 8:
                new.symlink_to("a/b")
            case 9:
                shutil.copytree(old, new, symlinks=True)
            case 10:
                os.chown(old, chance.choice([0, 5]), 0, follow_symlinks=False)
            case 11:  # what makes the kernel mark only the uppermost folder of several opaque
                shutil.copytree(root / "a", root / "copy", symlinks=True)
                remove(chance.choice(paths(root / "copy")[1:]))
                remove(root / "a")
                (root / "copy").rename(root / "a")


@pytest.mark.parametrize("seed", range(25))
def test_any_changes_look_the_same_once_settled(place, seed):
    chance = random.Random(seed)
    lower(place / "lower")
    trees = Below([tree_listing(pack(scan(place / "lower", None)).tree)])
    with overlay(place / "merged", place / "lower", upper=place / "upper") as root:
        for _ in range(chance.randrange(1, 25)):
            change(root, chance)
        before = seen(root)
    with overlay(place / "below", place / "empty", place / "lower") as below:
        items = scan(place / "upper", below)
        assert scan(place / "upper", trees) == items
        settle(place / "upper", items)
        assert scan(place / "upper", below) == items
    packed = pack(items, snapshot=place / "packed")
    assert listing(place / "packed") == listing(place / "upper")
    with overlay(place / "merged", place / "upper", place / "lower") as root:
        assert seen(root) == before
    with overlay(place / "below", place / "empty", place / "lower") as below:
        again = pack(scan(place / "packed", below))
    assert again.tree == packed.tree


def test_a_deleted_and_recreated_folder_spares_what_a_sibling_brings(place):
    lower(place / "lower")
    (place / "sibling/a/b").mkdir(parents=True)
    (place / "sibling/a/b/theirs").write_text("theirs")
    with overlay(place / "merged", place / "lower", upper=place / "upper") as root:
        shutil.rmtree(root / "a")
        (root / "a/b").mkdir(parents=True)
        (root / "a/b/mine").write_text("mine")
    with overlay(place / "below", place / "empty", place / "lower") as below:
        items = scan(place / "upper", below)
    found = [(item.entry.path.decode(), item.entry.kind) for item in items]
    assert found == [
        ("a", "d"),
        ("a/b", "d"),
        ("a/b/mine", "f"),
        ("a/b/one", "w"),
        ("a/b/two", "w"),
        ("a/c", "w"),
    ]
    settle(place / "upper", items)
    stack = (place / "upper", place / "sibling", place / "lower")
    with overlay(place / "merged", *stack) as root:
        assert sorted(os.listdir(root / "a/b")) == ["mine", "theirs"]


def test_a_command_that_only_looks_yields_nothing(place):
    lower(place / "lower")
    with overlay(place / "merged", place / "lower", upper=place / "upper") as root:
        (root / "six").touch()
        (root / "a/b/one").chmod(0o600)
        (root / "a/b/one").chmod(0o644)
        (root / "tmp").mkdir()
        (root / "tmp").rmdir()
    with overlay(place / "below", place / "empty", place / "lower") as below:
        assert scan(place / "upper", below) == ()
