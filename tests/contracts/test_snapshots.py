"""The story of a snapshot: prepare, change, commit; and what is left when it is not told to the end."""

import os
import stat
import threading
from pathlib import Path

import pytest
from support import sandboxes

from buildgraph.errors import BuildgraphError
from buildgraph.sandbox import mounts
from buildgraph.sandbox.mounts import Overlay, attached, detach
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.sandbox.stubs import Stub


@pytest.fixture
def store(tmp_path: Path) -> Snapshots:
    sandboxes.private_mounts()
    return sandboxes.snapshots(tmp_path)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def test_create_is_invisible_until_complete(store: Snapshots) -> None:
    with store.create("one") as root:
        sandboxes.write(root / "a", "1")
        assert store.path("one") is None
    assert names(store.path("one")) == ["a"]
    assert names(store.tmp) == []


def test_create_that_fails_leaves_nothing(store: Snapshots) -> None:
    with pytest.raises(FileNotFoundError), store.create("one") as root:
        (root / "a").write_text(os.readlink(root / "none"))
    assert store.path("one") is None
    assert names(store.tmp) == []


def test_the_second_of_two_creators_keeps_the_first_ones(store: Snapshots) -> None:
    with store.create("one") as loser:
        sandboxes.layer(store, "one", {"first": ""})
        sandboxes.write(loser / "second", "")
    assert names(store.path("one")) == ["first"]
    assert names(store.tmp) == []


def test_upper_holds_what_changed_and_becomes_the_snapshot(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"kept": "1", "gone": "2", "dir/x": "3"})
    with store.prepare([base]) as active:
        assert names(active.root) == ["dir", "gone", "kept"]
        (active.root / "gone").unlink()
        sandboxes.write(active.root / "dir/y", "4")
        active.quiesce()
        assert names(active.root) == []
        assert is_whiteout(active.upper / "gone")
        assert names(active.below) == ["dir", "gone", "kept"]
        path = active.commit("step")
        assert active.commit("step") == path == store.path("step")
    with store.view([base, path]) as view:
        assert names(view) == ["dir", "kept"]
        assert names(view / "dir") == ["x", "y"]
    assert names(store.tmp) == []


def test_leaving_without_commit_discards(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"a": ""})
    with store.prepare([base]) as active:
        sandboxes.write(active.root / "b", "")
    with pytest.raises(ZeroDivisionError), store.prepare([base]):
        raise ZeroDivisionError
    assert names(store.tmp) == []
    assert names(base) == ["a"]


def test_making_a_directory_marks_nothing(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"a": ""})
    with store.prepare([base]) as active:
        (active.root / "app").mkdir()
        active.quiesce()
        assert os.listxattr(active.upper / "app") == []


def test_stubs_are_in_view_and_in_no_layer(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"etc/passwd": "", "srv/data/x": ""})
    (base / "run").mkdir()
    (base / "var").mkdir()
    (base / "var/run").symlink_to("/run")
    (base / "srv/data").chmod(0o700)
    os.chown(base / "srv/data", 7, 8)
    stubs = [Stub("/etc/hosts", "file"), Stub("/var/run/x/y"), Stub("/srv/data/cache")]
    with store.prepare([base], stubs) as active:
        assert (active.root / "etc/hosts").is_file()
        assert (active.root / "run/x/y").is_dir()
        assert (active.root / "var/run").is_symlink()
        status = (active.root / "srv/data").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o700, 7, 8)
        assert names(active.root / "srv/data") == ["cache", "x"]
        assert (active.below / "run/x/y").is_dir()
        active.quiesce()
        assert names(active.upper) == []
    assert names(store.tmp) == []


def test_on_nothing(store: Snapshots) -> None:
    with store.prepare([]) as active:
        assert active.below is None
        sandboxes.write(active.root / "a", "")
        active.commit("a")
    with store.prepare([], [Stub("/proc")]) as active:
        assert names(active.below) == ["proc"]
    with store.view([]) as view:
        assert names(view) == []
    assert names(store.path("a")) == ["a"]
    assert names(store.tmp) == []


def test_the_root_keeps_its_attributes(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"a": ""})
    base.chmod(0o711)
    os.chown(base, 5, 6)
    top = sandboxes.layer(store, "top", {"b": ""})
    with store.prepare([base, top]) as active:
        for path in (active.root, active.upper, active.below):
            status = path.stat()
            assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o711, 5, 6)


def test_modes_do_not_depend_on_the_umask(store: Snapshots) -> None:
    before = os.umask(0o077)
    try:
        base = sandboxes.layer(store, "base", {"a": ""})
        with store.prepare([base], [Stub("/x/y"), Stub("/f", "file")]) as active:
            modes = [stat.S_IMODE((active.root / p).stat().st_mode) for p in ("", "x", "x/y", "f")]
    finally:
        os.umask(before)
    assert modes == [0o755, 0o755, 0o755, 0o644]


def test_a_whiteout_alone_in_a_stack_is_not_seen(store: Snapshots) -> None:
    with store.create("w") as root:
        os.mknod(root / "gone", stat.S_IFCHR, os.makedev(0, 0))
        sandboxes.write(root / "a", "")
    with store.view([store.path("w")]) as view:
        assert names(view) == ["a"]
        with pytest.raises(OSError, match="Read-only"):
            (view / "b").mkdir()


def test_the_same_layer_twice_counts_at_its_top(store: Snapshots) -> None:
    a = sandboxes.layer(store, "a", {"f": "a", "only-a": ""})
    b = sandboxes.layer(store, "b", {"f": "b"})
    with store.view([a, b, a]) as view:
        assert (view / "f").read_text() == "a"
        assert names(view) == ["f", "only-a"]


@pytest.mark.parametrize("count", [130, 500])
def test_deep_stacks(store: Snapshots, count: int) -> None:
    claimed: list[str] = []
    store = Snapshots(store.dir, store.tmp, lambda name: claimed.append(name.partition("-")[0]))
    layers = []
    for n in range(count):
        name = f"sha256-{n:064}"
        layers.append(sandboxes.layer(store, name, {f"f{n}": str(n), "same": str(n)}))
    os.mknod(layers[2] / "f0", stat.S_IFCHR, os.makedev(0, 0))
    with store.prepare(layers, [Stub("/proc")]) as active:
        assert len(names(active.root)) == count - 1 + 2  # without f0; same, proc
        assert (active.root / "same").read_text() == str(count - 1)
        assert (active.root / "f1").read_text() == "1"
        sandboxes.write(active.root / "new", "")
        active.quiesce()
        assert names(active.upper) == ["new"]
    assert claimed == ["merged"] * (count > mounts.most_lowers())
    merged = [name for name in names(store.dir) if name.startswith("merged-")]
    assert len(merged) == (count > mounts.most_lowers())


def test_the_option_string_of_older_kernels(
    store: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "most_lowers", lambda: 200)
    layers = [sandboxes.layer(store, f"{n:0200}", {f"f{n}": ""}) for n in range(190)]
    work, at = store.tmp / "work", store.tmp / "at"
    upper = store.tmp / "up,p:er"
    for path in (work, at, upper):
        path.mkdir()
    with attached(Overlay(tuple(layers), upper, work), at):
        assert len(names(at)) == 190
        sandboxes.write(at / "new", "")
    assert names(upper) == ["new"]


def test_names_that_the_kernel_would_split(store: Snapshots, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 60) / "a:b,c\\d"
    folder.mkdir(parents=True)
    odd = sandboxes.snapshots(folder)
    base = sandboxes.layer(odd, "base", {"a": ""})
    with odd.prepare([base]) as active:
        sandboxes.write(active.root / "b", "")
        active.commit("b")
    assert names(odd.path("b")) == ["b"]


def test_what_the_kernel_refuses_is_an_error_with_its_reason(store: Snapshots) -> None:
    with pytest.raises(BuildgraphError) as caught:
        Overlay((store.dir / "missing",), store.tmp, store.tmp).attach(store.tmp)
    assert caught.value.code == "no-overlay"
    assert "No such file" in caught.value.message


def test_a_power_cut_drops_what_was_not_synced(store: Snapshots) -> None:
    sandboxes.layer(store, "safe", {"a": ""})
    store.settle()
    sandboxes.layer(store, "torn", {"a": ""})
    mark = store.dir.with_name("snapshots.unsynced") / "torn"
    assert names(mark.parent) == ["torn"]
    sandboxes.snapshots(store.dir.parent)
    assert store.path("torn")  # the same boot: nothing was lost
    mark.write_text("another-boot")
    sandboxes.snapshots(store.dir.parent)
    assert store.path("torn") is None
    assert store.path("safe")
    assert names(mark.parent) == names(store.tmp) == []


def test_old_marks_are_settled_when_the_folder_is_opened(store: Snapshots) -> None:
    sandboxes.layer(store, "one", {"a": ""})
    mark = store.dir.with_name("snapshots.unsynced") / "one"
    os.utime(mark, (0, 0))
    sandboxes.snapshots(store.dir.parent)
    assert store.path("one")
    assert not mark.exists()


def test_many_threads_share_one_folder(store: Snapshots) -> None:
    base = sandboxes.layer(store, "base", {"a": ""})
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            with store.prepare([base], [Stub("/proc")]) as active:
                sandboxes.write(active.root / "b", "")
                active.commit("b")
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names(store.path("b")) == ["b"]
    assert names(store.tmp) == []


def test_detach_of_nothing_is_an_error(store: Snapshots) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        detach(store.tmp)


def test_a_lazy_one_uses_emptied_workplaces_again(store: Snapshots) -> None:
    lazy = Snapshots(store.dir, store.tmp, lazy=True)
    with lazy.prepare([]) as active:
        sandboxes.write(active.root / "a", "")
        active.commit("one")
    with pytest.raises(ZeroDivisionError), lazy.prepare([]):
        raise ZeroDivisionError
    (left,) = names(store.tmp)
    assert "upper" not in names(store.tmp / left)
    lazy.sweep()
    with lazy.prepare([]) as active:
        assert active.root.parent.name == left
        assert names(active.root) == names(active.upper) == []
        active.commit("two")
    lazy.sweep()
    lazy.close()
    assert names(store.tmp) == []
    assert names(store.path("one")) == ["a"]


def test_a_workplace_that_cannot_be_cleared_is_not_used_again(store: Snapshots) -> None:
    lazy = Snapshots(store.dir, store.tmp, lazy=True)
    sandboxes.layer(store, "one", {"a": ""})
    with lazy.prepare([]) as active:
        sandboxes.write(active.root / "a", "")
        active.commit("one")
    lazy.sweep()
    assert names(store.tmp) == []
