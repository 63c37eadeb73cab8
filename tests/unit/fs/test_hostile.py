"""Every archive of tests/support/hostile.py: applied inside the root as it should be, or refused and nothing left."""

import io
import os
import signal
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from support.capability import require_root
from support.hostile import Case, case, names
from support.judge import outside_of, same_on_disk

from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.rooted import Rooted
from buildgraph.fs.tree import Entry, Tree
from buildgraph.fs.unpack import Limits, index, unpack


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "canary").write_text("alive")
    (folder / "canary").chmod(0o640)
    (folder / "below" / "canary").write_text("too")
    (tmp_path / "root-evil").mkdir()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    require_root()
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder
    with Rooted(folder) as at:
        at.clear()


@pytest.fixture
def watchdog() -> Iterator[None]:
    """Nothing may block or take long: the signal ends the test."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", names())
def test_archive(name: str, root: Path, outside: Path, watchdog: None) -> None:
    hostile = case(name, str(outside))
    before = outside_of(root)
    if hostile.expected is None:
        refused(hostile, root)
    else:
        applied(hostile, root)
    assert outside_of(root) == before


def refused(hostile: Case, root: Path) -> None:
    empty = stat.S_IMODE(root.stat().st_mode)
    limits = Limits(stream=1 << 24)
    errors = []
    for read in (lambda s: unpack(s, root, limits=limits), lambda s: index(s, limits=limits)):
        with pytest.raises(ContentError) as caught, opened(hostile.archive) as stream:
            read(stream)
        errors.append(caught.value)
    for error in errors:
        assert error.code == hostile.code
        assert hostile.entry in error.message
        assert "\n" not in error.message
        assert len(error.message) < 500
    assert errors[0].message == errors[1].message
    assert os.listdir(root) == []
    assert stat.S_IMODE(root.stat().st_mode) == empty


def applied(hostile: Case, root: Path) -> None:
    assert hostile.expected is not None
    with opened(hostile.archive) as stream:
        done = unpack(stream, root, record_times=True)
    with opened(hostile.archive) as stream:
        assert index(stream, record_times=True) == done
    by_path = {entry.path: entry for entry in done.tree}
    found = {p: short(e) for p, e in by_path.items() if p not in done.implied}
    parents = {p for p in found if p not in hostile.expected and by_path[p].kind == tree.OPAQUE}
    assert not parents
    assert found == {p: known(e) for p, e in hostile.expected.items()}
    for path, mode in hostile.modes.items():
        assert by_path[path].mode == mode
    same_on_disk(done, root)


def short(entry: Entry) -> tuple[object, ...]:
    match entry.kind:
        case tree.FILE:
            return (entry.kind, entry.content, *((entry.xattrs,) if entry.xattrs else ()))
        case tree.SYMLINK | tree.HARDLINK:
            return (entry.kind, entry.link)
        case tree.CHAR | tree.BLOCK:
            return (entry.kind, entry.device)
        case _:
            return (entry.kind,)


def known(expected: tuple[object, ...]) -> tuple[object, ...]:
    if expected[0] == tree.FILE:
        return (tree.FILE, blake3(expected[1]).hexdigest(), *expected[2:])
    return expected


@pytest.mark.parametrize("name", [n for n in names() if n not in ("many-entries", "deep-dirs")])
def test_memory_is_bounded(name: str, watchdog: None) -> None:
    hostile = case(name, "/outside")
    tracemalloc.start()
    try:
        with opened(hostile.archive) as stream:
            index(stream, limits=Limits(stream=1 << 25))
    except ContentError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 12 << 20


def opened(archive: bytes) -> io.BufferedIOBase:
    return open_decompressor(io.BytesIO(archive))


def test_every_tree_is_in_order() -> None:
    for name in names():
        hostile = case(name, "/outside")
        if hostile.expected is not None and name != "many-entries":
            with opened(hostile.archive) as stream:
                check(index(stream).tree)


def check(listed: Tree) -> None:
    assert tree.decode(tree.encode(listed)) == listed
    assert list(listed) == sorted(listed)
    seen: set[bytes] = {b""}
    for entry in listed:
        assert not entry.path or entry.path.rpartition(b"/")[0] in seen
        seen.add(entry.path)
