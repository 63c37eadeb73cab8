import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from support.grow import LONG_AFTER, UNKNOWN, as_of, calm, grow

from buildgraph.errors import BuildgraphError
from buildgraph.fs import fingerprint, hashing
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.hashing import hash_files, hash_here
from buildgraph.fs.rows import row_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return grow(tmp_path / "root", {"a": "a", "d/b": "bb", "empty": ""})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "stat" / "one"


def below(root: Path) -> list[bytes]:
    return sorted(os.fsencode(path) for path in root.rglob("*") if path.is_file())


def digests(paths: list[bytes]) -> list[str]:
    return [blake3(Path(os.fsdecode(path)).read_bytes()).hexdigest() for path in paths]


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "hash_files", lambda *_: pytest.fail("read again"))


def test_digests(root: Path, file: Path) -> None:
    paths = below(root)
    assert StatCache.load(file, root).digest_many(paths) == digests(paths)


def test_a_known_row_is_not_read_again(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = below(root)
    cache = calm(StatCache.load(file, root))
    expected = cache.digest_many(paths)
    cache.save()
    forbid_reading(monkeypatch)
    again = StatCache.load(file, root)
    assert again.digest_many(paths) == expected
    os.link(root / "a", root / "hard")  # changes the ctime, so look before that
    assert os.listdir(file.parent) == ["one"]


def test_racy_rows_are_not_kept(root: Path, file: Path) -> None:
    cache = StatCache.load(file, root)
    cache.since = UNKNOWN
    cache.digest_many(below(root))
    cache.save()
    assert StatCache.load(file, root)._known == {}


@pytest.mark.parametrize("age", [0, 9_999_999, 10_000_000, 10_000_001])
def test_a_row_is_racy_for_ten_milliseconds(root: Path, file: Path, age: int) -> None:
    cache = StatCache.load(file, root)
    row = row_of(os.lstat(root / "a"))
    cache.since = as_of(row[5] + age)
    cache.digest_many([os.fsencode(root / "a")])
    cache.save()
    assert (row in StatCache.load(file, root)._known) == (age > 10_000_000)


@pytest.mark.parametrize("mtime", [0, 1 << 60])
def test_the_mtime_does_not_decide(root: Path, file: Path, mtime: int) -> None:
    """It can be set to anything: a file that was just written may look old, and an old one new."""
    os.utime(root / "a", ns=(mtime, mtime))
    row = row_of(os.lstat(root / "a"))
    assert row[4] == mtime
    for age, kept in ((0, False), (1 << 40, True)):
        cache = StatCache.load(file, root)
        cache.since = as_of(row[5] + age)
        cache.digest_many([os.fsencode(root / "a")])
        cache.save()
        assert (row in StatCache.load(file, root)._known) == kept


def test_a_time_that_is_brought_back_hides_nothing(root: Path, file: Path) -> None:
    """Same size, same mtime, same inode: the ctime tells."""
    cache = calm(StatCache.load(file, root))
    path = os.fsencode(root / "a")
    (before,) = cache.digest_many([path])
    cache.save()
    stat = os.stat(path)
    while os.stat(path).st_ctime_ns == stat.st_ctime_ns:  # until the clock ticks
        (root / "a").write_bytes(b"x" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert row_of(os.stat(path))[:5] == row_of(stat)[:5]
    (after,) = StatCache.load(file, root).digest_many([path])
    assert after == blake3(b"x" * stat.st_size).hexdigest() != before


def test_only_what_changed_is_read(root: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = below(root)
    cache = calm(StatCache.load(file, root))
    cache.digest_many(paths)
    cache.save()
    (root / "a").write_text("changed")
    read = []
    monkeypatch.setattr(fingerprint, "hash_files", lambda p, r: read.extend(p) or hash_files(p, r))
    again = StatCache.load(file, root)
    assert again.digest_many(paths) == digests(paths)
    assert read == [os.fsencode(root / "a")]


def test_one_inode_has_one_row_in_the_file(root: Path, file: Path) -> None:
    for text in ("one", "two", "three"):
        (root / "a").write_text(text)
        cache = calm(StatCache.load(file, root))
        cache.digest_many([os.fsencode(root / "a")])
        cache.save()
    assert len(StatCache.load(file, root)._known) == 1


def test_rows_that_nobody_asked_for_are_dropped_in_the_end(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = calm(StatCache.load(file, root))
    cache.digest_many(below(root))
    cache.save()
    (root / "a").write_text("new")
    again = calm(StatCache.load(file, root))
    again.digest_many([os.fsencode(root / "a")])
    again.save()
    assert len(StatCache.load(file, root)._known) == 3
    monkeypatch.setattr(fingerprint, "_SPARE", 0)
    (root / "a").write_text("newer")
    again = calm(StatCache.load(file, root))
    again.digest_many([os.fsencode(root / "a")])
    again.save()
    assert len(StatCache.load(file, root)._known) == 1


def test_a_damaged_file_is_an_empty_cache(root: Path, file: Path) -> None:
    paths = below(root)
    cache = calm(StatCache.load(file, root))
    cache.digest_many(paths)
    cache.save()
    good = file.read_bytes()
    for at in (0, 7, 20, 30, 60, len(good) - 1):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]):
            file.write_bytes(bad)
            assert StatCache.load(file, root)._known == {}
    file.unlink()
    file.mkdir()
    assert StatCache.load(file, root).digest_many(paths) == digests(paths)


def test_a_home_that_cannot_be_written_costs_only_time(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    cache = calm(StatCache.load(tmp_path / "home" / "stat", root))
    cache.digest_many(below(root))
    cache.save()


def test_nothing_new_writes_nothing(root: Path, file: Path) -> None:
    StatCache.load(file, root).save()
    assert not file.exists()


def test_strange_numbers_are_not_kept(root: Path, file: Path) -> None:
    cache = calm(StatCache.load(file, root))
    cache.digest_many(below(root))
    cache._known[(1, 1 << 63, 1, 0o100644, 1, 1)] = "ff" * 32
    cache._known[(1, 7, 1, 0o100644, 1 << 70, 1)] = "ff" * 32
    cache.save()
    assert len(StatCache.load(file, root)._known) == 3


@pytest.mark.parametrize(
    "size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 * (1 << 18), 1_000_000]
)
def test_sizes_around_the_buffer(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    assert hash_here([os.fsencode(path)], [row_of(os.lstat(path))]) == digests([os.fsencode(path)])


def many(root: Path) -> tuple[list[bytes], list[tuple[int, ...]]]:
    grow(root, {f"many/{i}": str(i) * i for i in range(40)} | {"many/bad": "x"})
    paths = below(root)
    rows = [row_of(os.lstat(path)) for path in paths]
    (root / "many/bad").write_text("changed")
    return paths, rows


@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_find_what_one_finds(
    root: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """With a single thread the process forks, else it asks a forkserver."""
    paths, rows = many(root)
    expected = hash_here(paths, rows)
    assert expected.count("") == 1
    monkeypatch.setattr(hashing, "_WORTH_A_FORK", 0)
    monkeypatch.setattr(hashing, "_WORTH_A_SERVER", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "listdir", lambda _: ["1"] * threads)
    assert hash_files(paths, rows) == expected


def test_a_child_that_dies_leaves_the_rest_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, rows = many(root)
    parent = os.getpid()

    def dies(paths: list[bytes], rows: list[object]) -> list[str]:
        if os.getpid() != parent:
            os._exit(9)
        return hash_here(paths, rows)

    monkeypatch.setattr(hashing, "_WORTH_A_FORK", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "listdir", lambda _: ["1"])
    monkeypatch.setattr(hashing, "hash_here", dies)
    found = hash_files(paths, rows)
    assert len(found) == len(paths)
    assert "" not in found[:5]
    assert found[-1] == ""


def test_a_file_that_changed_once_is_read_again(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.fsencode(root / "a")
    cache = StatCache.load(file, root)
    rows = cache.rows([path])
    (root / "a").write_text("changed meanwhile")
    assert cache.digest([path], rows) == digests([path])
    assert rows == cache.rows([path])


def test_a_file_that_keeps_changing_is_an_error(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(paths: list[bytes], rows: list[object]) -> list[str]:
        with (root / "a").open("a") as out:
            out.write("more")
        return hash_here(paths, rows)

    monkeypatch.setattr(fingerprint, "hash_here", changing)
    cache = StatCache.load(file, root)
    path = os.fsencode(root / "a")
    rows = cache.rows([path])
    (root / "a").write_text("x")
    with pytest.raises(BuildgraphError) as caught:
        cache.digest([path], rows)
    assert (caught.value.code, caught.value.exit_code) == ("source-changed", 1)
    assert caught.value.message.startswith("a changes")


def test_a_file_that_vanishes_is_an_error(root: Path, file: Path) -> None:
    cache = StatCache.load(file, root)
    path = os.fsencode(root / "d/b")
    rows = cache.rows([path])
    (root / "d/b").unlink()
    with pytest.raises(BuildgraphError) as caught:
        cache.digest([path], rows)
    assert caught.value.code == "source-changed"
    assert "d/b vanished" in caught.value.message


@pytest.fixture
def terminal() -> Iterator[str]:
    """A device that nobody else has."""
    ends = os.openpty()
    yield os.ttyname(ends[1])
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link"])
def test_what_is_no_file_is_never_opened(root: Path, file: Path, terminal: str, kind: str) -> None:
    path = root / "special"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = Path(terminal)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("a")
    raw = os.fsencode(path)
    assert hash_here([raw], [row_of(os.lstat(path))]) == [""]
    with pytest.raises(BuildgraphError) as caught:
        StatCache.load(file, root).digest_many([raw])
    assert (caught.value.code, caught.value.exit_code) == ("source-special", 2)


def test_an_unreadable_file_is_named(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def denied(path: bytes, *more: int, **named: int) -> int:
        if path == os.fsencode(root / "d/b"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **named)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(BuildgraphError) as caught:
        StatCache.load(file, root).digest_many(below(root))
    assert (caught.value.code, caught.value.exit_code) == ("source-unreadable", 2)
    assert "d/b" in caught.value.message
    assert caught.value.hint


def test_hard_links_are_read_once(root: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.link(root / "a", root / "z")
    read = []
    monkeypatch.setattr(fingerprint, "hash_files", lambda p, r: read.extend(p) or hash_files(p, r))
    paths = below(root)
    assert StatCache.load(file, root).digest_many(paths) == digests(paths)
    assert len(read) == 3


def test_calm_is_later_than_anything(root: Path) -> None:
    assert row_of(os.lstat(root / "a"))[5] < LONG_AFTER[0]
