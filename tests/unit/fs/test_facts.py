import os
from pathlib import Path

import pytest
from support.grow import LONG_AFTER, UNKNOWN, grow

from buildgraph.fs import facts, recheck, rows
from buildgraph.fs.facts import Facts
from buildgraph.fs.rows import prove, row_of


def look(root: Path, since: dict[int, int] | None = None) -> Facts:
    """Every path below ``root``, as a build that needs all of it would."""
    found = Facts(os.fsencode(root), since)
    for folder, folders, files in os.walk(os.fsencode(root)):
        for path in [folder, *(os.path.join(folder, name) for name in folders + files)]:
            row = row_of(os.lstat(path))
            found.add(os.path.relpath(path, os.fsencode(root)), row, prove(path, row[3]))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"a.txt": "a", "d/b.txt": "b", "d/e/": "", "link": "-> a.txt"}
    return grow(tmp_path / "root", files)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "plan"


def test_what_is_as_it_was_holds(root: Path, plan: Path) -> None:
    facts.save(plan, look(root), b"payload\0\n")
    here = os.getcwd()
    assert facts.check(plan) == b"payload\0\n"
    assert os.getcwd() == here
    assert os.listdir(plan.parent) == ["root", plan.name] or set(os.listdir(plan.parent)) == {
        "root",
        plan.name,
    }


CHANGES = {
    "content": lambda root: (root / "a.txt").write_text("A"),
    "longer": lambda root: (root / "a.txt").write_text("aa"),
    "mode": lambda root: (root / "a.txt").chmod(0o755),
    "gone": lambda root: (root / "d/b.txt").unlink(),
    "new": lambda root: (root / "d/e/new").touch(),
    "renamed": lambda root: (root / "a.txt").rename(root / "c.txt"),
    "link": lambda root: ((root / "link").unlink(), (root / "link").symlink_to("d/b.txt")),
    "kind": lambda root: ((root / "d/b.txt").unlink(), (root / "d/b.txt").mkdir()),
    "fifo": lambda root: ((root / "d/b.txt").unlink(), os.mkfifo(root / "d/b.txt")),
    "all": lambda root: root.rename(root.with_name("elsewhere")),
}


@pytest.mark.parametrize("since", [UNKNOWN, None, LONG_AFTER])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_does_not_hold(
    root: Path, plan: Path, change: str, since: dict[int, int] | None
) -> None:
    facts.save(plan, look(root, since), b"x")
    CHANGES[change](root)
    assert facts.check(plan) is None


def test_a_change_that_keeps_the_row_is_seen_while_it_is_racy(root: Path, plan: Path) -> None:
    """What a file system with a coarse clock does: same size, same times, other content."""
    seen = look(root, UNKNOWN)
    (root / "a.txt").write_text("A")
    seen.seen[b"a.txt"] = (row_of(os.lstat(root / "a.txt")), seen.seen[b"a.txt"][1])
    facts.save(plan, seen, b"x")
    assert facts.check(plan) is None


def test_touched_files_are_proven_and_written_back(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts.save(plan, look(root, LONG_AFTER), b"x")
    os.utime(root / "a.txt", (1, 1))
    (root / "d/new").touch()
    (root / "d/new").unlink()
    (root / "d").chmod(0o700)
    monkeypatch.setattr(recheck, "moment", lambda *_: LONG_AFTER)
    assert facts.check(plan) == b"x"
    monkeypatch.setattr(recheck, "prove", lambda *_: pytest.fail("proven again"))
    assert facts.check(plan) == b"x"


def test_racy_rows_are_proven_until_they_are_not_racy(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven = []
    monkeypatch.setattr(recheck, "prove", lambda *a: proven.append(a) or prove(*a))
    facts.save(plan, look(root, UNKNOWN), b"x")
    monkeypatch.setattr(recheck, "moment", lambda *_: UNKNOWN)
    assert facts.check(plan) == b"x"
    count = len(proven)
    assert count == 6
    monkeypatch.setattr(recheck, "moment", lambda *_: LONG_AFTER)
    assert facts.check(plan) == b"x"
    assert len(proven) == 2 * count
    assert facts.check(plan) == b"x"
    assert len(proven) == 2 * count


def test_a_home_that_cannot_be_written_only_costs_time(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts.save(plan, look(root, UNKNOWN), b"x")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(facts, "_write", full)
    assert facts.check(plan) == b"x"


def test_too_much_to_prove_is_left_to_a_scan(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts.save(plan, look(root, UNKNOWN), b"x")
    monkeypatch.setattr(recheck, "_MOST_PROOFS", 5)
    assert facts.check(plan) is None
    monkeypatch.undo()
    monkeypatch.setattr(recheck, "_MOST_BYTES", 0)
    assert facts.check(plan) is None


@pytest.mark.parametrize("change", [None, "a.txt", "d/b.txt"])
def test_two_processes_find_what_one_finds(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, change: str | None
) -> None:
    monkeypatch.setattr(recheck, "_WORTH_A_FORK", 1)
    monkeypatch.setattr(recheck, "_BLOCK", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(recheck, "moment", lambda *_: LONG_AFTER)
    facts.save(plan, look(root, UNKNOWN), b"x")
    if change:
        (root / change).write_text("changed")
    assert facts.check(plan) == (None if change else b"x")
    if not change:
        monkeypatch.setattr(recheck, "prove", lambda *_: 1 / 0)
        assert facts.check(plan) == b"x"


def test_a_machine_that_cannot_fork_checks_alone(
    root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(recheck, "_WORTH_A_FORK", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "fork", no_more)
    facts.save(plan, look(root), b"x")
    assert facts.check(plan) == b"x"


def test_absent_paths(root: Path, plan: Path) -> None:
    seen = look(root, LONG_AFTER)
    seen.missing(b"missing/below")
    seen.missing(os.fsencode(root.parent / "Buildfile.toml"))
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"
    (root.parent / "Buildfile.toml").touch()
    assert facts.check(plan) is None


def test_variables(root: Path, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "a=b\n")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("ABSENT", raising=False)
    seen = Facts(os.fsencode(root))
    assert [seen.variable(name) for name in ("GIVEN", "EMPTY", "ABSENT")] == ["a=b\n", "", None]
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"
    for name, value in [("GIVEN", "b"), ("EMPTY", None), ("ABSENT", "")]:
        with monkeypatch.context() as patch:
            patch.setenv(name, value) if value is not None else patch.delenv(name)
            assert facts.check(plan) is None


def test_strings(root: Path, plan: Path) -> None:
    seen = Facts(os.fsencode(root))
    seen.strings += [b"1.0", b"build\0api"]
    facts.save(plan, seen, b"x")
    assert facts.check(plan, (b"1.0", b"build\0api")) == b"x"
    assert facts.check(plan, (b"1.0", b"build", b"api")) is None
    assert facts.check(plan) is None


def test_files_that_are_read_are_facts(root: Path, plan: Path) -> None:
    seen = Facts(os.fsencode(root))
    assert seen.read(b"link") == b"a"
    assert set(seen.seen) == {b"link", b"a.txt"}
    with pytest.raises(FileNotFoundError):
        seen.read(b"Buildfile.lock")
    assert seen.absent == {b"Buildfile.lock"}
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"
    (root / "Buildfile.lock").touch()
    assert facts.check(plan) is None


def test_a_file_that_the_build_wrote_is_read_again(root: Path, plan: Path) -> None:
    seen = Facts(os.fsencode(root))
    seen.read(b"a.txt")
    (root / "a.txt").write_text("new")
    seen.read(b"a.txt")
    facts.save(plan, seen, b"x")
    assert facts.check(plan) is None
    seen.forget(b"a.txt")
    seen.read(b"a.txt")
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"


def test_links_on_the_way_are_facts(root: Path, plan: Path) -> None:
    grow(root, {"in": "-> link2", "link2": f"-> {root}/d/../d", "loop": "-> loop"})
    seen = Facts(os.fsencode(root))
    real = seen.follow(b"in/b.txt")
    assert os.path.samefile(os.path.join(root, os.fsdecode(real)), root / "d/b.txt")
    assert {b"in", b"link2"} <= set(seen.seen)
    with pytest.raises(OSError, match="symbolic links"):
        seen.follow(b"loop")
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"
    (root / "link2").unlink()
    (root / "link2").symlink_to("d/e")
    assert facts.check(plan) is None


def test_facts_of_two_looks_are_added(root: Path, plan: Path) -> None:
    one, two = Facts(os.fsencode(root)), Facts(os.fsencode(root))
    one.read(b"a.txt")
    two.read(b"d/b.txt")
    two.missing(b"nothing")
    two.variable("HOME")
    one.include(two)
    facts.save(plan, one, b"x")
    assert facts.check(plan) == b"x"
    (root / "d/b.txt").write_text("new")
    assert facts.check(plan) is None


def test_a_damaged_file_is_no_file(root: Path, plan: Path) -> None:
    assert facts.check(plan) is None
    facts.save(plan, look(root), b"x")
    good = plan.read_bytes()
    for at in {0, 5, 20, 30, 60, len(good) // 2, len(good) - 1}:
        plan.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert facts.check(plan) is None
        plan.write_bytes(good[:at])
        assert facts.check(plan) is None
    plan.write_bytes(good)
    assert facts.check(plan) == b"x"


def test_names_of_any_bytes(root: Path, plan: Path) -> None:
    for name in (b"new\nline", b"\xff\xfe", b"=", b" ", "é".encode()):
        (Path(os.fsdecode(os.path.join(os.fsencode(root), name)))).write_text("x")
    facts.save(plan, look(root), b"x")
    assert facts.check(plan) == b"x"


def test_numbers_beyond_64_bits(root: Path, plan: Path) -> None:
    assert rows.wrap((1 << 63) + 5) == -(1 << 63) + 5
    assert rows.wrap(-7) == -7
    seen = Facts(os.fsencode(root), LONG_AFTER)
    seen.add(
        b"a.txt",
        (1, (1 << 64) - 1, 1, 0o100644, -5, 5),
        prove(os.fsencode(root / "a.txt"), 0o100644),
    )
    facts.save(plan, seen, b"x")
    assert facts.check(plan) == b"x"


def test_a_path_is_written_once_and_below_the_root(root: Path, plan: Path) -> None:
    name = os.fsencode(root / "a.txt")
    found, row = look(root), row_of(os.lstat(name))
    found.add_many([name, b"a.txt"], [row, row], [prove(name, row[3])] * 2)
    paths = found.parts()[1].split(b"\0")
    assert paths.count(b"a.txt") == 1
    assert not [path for path in paths if path.startswith(b"/")]
    facts.save(plan, found, b"x")
    assert facts.check(plan) == b"x"
    (root / "a.txt").write_text("A")
    assert facts.check(plan) is None
    found.add_many([name], [row], ["00" * 32])  # what is told in two ways holds as neither
    facts.save(plan, found, b"x")
    assert facts.check(plan) is None


def test_the_payload_alone_needs_no_facts_that_hold(root: Path, plan: Path) -> None:
    assert facts.payload(plan) is None
    facts.save(plan, look(root), b"payload\0\n")
    (root / "a.txt").write_text("other")
    assert facts.payload(plan) == b"payload\0\n"
    content = plan.read_bytes()
    for damaged in (b"", content[:10], content[:100], content[:-1], b"x" + content):
        plan.write_bytes(damaged)
        assert facts.payload(plan) is None
