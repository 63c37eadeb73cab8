"""Whatever members an archive has, and whatever happened to its bytes: see :func:`judge`."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.capability import require_root
from support.judge import outside_of, same_on_disk
from support.tarwrite import END, file, folder, hardlink, header, pax, symlink

from buildgraph.errors import ContentError
from buildgraph.fs.unpack import Unpacked, index, unpack

QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.sampled_from([b"a", b"b", b"c", b"..", b".", b"", b".wh.a", b".wh.b", b".wh..wh..opq"])
PATHS = st.builds(
    lambda start, names: start + b"/".join(names),
    st.sampled_from([b"", b"", b"", b"/", b"./"]),
    st.lists(NAMES, min_size=1, max_size=4),
)
TARGETS = PATHS | st.sampled_from([b"../outside", b"../outside/a", b"../../../../tmp", b"/"])
MODES = st.sampled_from([0, 0o644, 0o755, 0o777, 0o4755, 0o1777])
XATTRS = st.sampled_from([b"user.a", b"trusted.overlay.opaque", b"trusted.x"])

MEMBERS = st.one_of(
    st.builds(
        lambda name, content, mode: file(name, content, mode=mode),
        PATHS,
        st.binary(max_size=700),
        MODES,
    ),
    st.builds(folder, PATHS, MODES),
    st.builds(folder, PATHS, MODES),
    st.builds(symlink, PATHS, TARGETS),
    st.builds(symlink, PATHS, TARGETS),
    st.builds(hardlink, PATHS, TARGETS),
    st.builds(lambda name: header(name, b"6"), PATHS),
    st.builds(
        lambda key, name: pax([(b"SCHILY.xattr." + key, b"y")]) + folder(name), XATTRS, PATHS
    ),
)
ARCHIVES = st.lists(MEMBERS, max_size=12).map(b"".join)


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


@QUICK
@given(archive=ARCHIVES)
def test_any_members(archive: bytes) -> None:
    judge(archive + END)


@QUICK
@given(
    archive=ARCHIVES,
    damage=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 1 << 20),
)
def test_damaged_bytes(archive: bytes, damage: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(archive + END)
    for at, value in damage:
        damaged[at % len(damaged)] = value
    judge(bytes(damaged[: cut % (2 * len(damaged))]))


def judge(archive: bytes) -> None:
    """Nothing beside the root changes; the archive is applied as listed, or refused and nothing stays of it."""
    with TemporaryDirectory() as name:
        base = Path(name)
        outside, root = base / "outside", base / "root"
        outside.mkdir()
        root.mkdir()
        (outside / "a").write_text("alive")
        before = outside_of(root)
        listed, error = attempt(lambda: index(io.BytesIO(archive), record_times=True))
        done, refusal = attempt(lambda: unpack(io.BytesIO(archive), root, record_times=True))
        if refusal is not None:
            assert os.listdir(root) == []
            if error is None:  # only a file system refuses these
                assert refusal.code in ("archive-xattr", "archive-entry")
            else:
                assert refusal.message == error.message
        else:
            assert done is not None
            assert done == listed
            same_on_disk(done, root)
        assert outside_of(root) == before


def attempt(read: Callable[[], Unpacked]) -> tuple[Unpacked | None, ContentError | None]:
    try:
        return read(), None
    except ContentError as error:
        return None, error
