"""Several processes on one store: each step is made once, nobody uses what is not there."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import store_worker
from support.capability import require, require_root
from support.stores import check_by_file

from buildgraph.errors import MachineError
from buildgraph.store.gc import collect
from buildgraph.store.lease import single_flight
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

ROOT = Path(__file__).parents[2]


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.store_worker", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.splitlines()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_builds_at_once_make_each_step_once(home):
    builds = [start("build", home, 5) for _ in range(4)]
    made = Counter(line for build in builds for line in finish(build))
    assert set(made.values()) == {1}
    assert len(made) == 5 * len(store_worker.STEPS)


def test_the_first_open_of_many_makes_one_store(home):
    for process in [start("check", home) for _ in range(6)]:
        assert finish(process) == []


def test_builds_gc_and_verify_at_once(home):
    """gc may make a build repeat a step, never miss one; verify finds nothing to complain about."""
    work = [
        start("build", home, 8),
        start("build", home, 8),
        start("gc", home, 12),
        start("check", home, 6),
    ]
    outputs = [finish(process) for process in work]
    assert outputs[2] == []
    assert outputs[3] == []
    with LocalStore.open(home) as store:
        assert verify(store, check_by_file).findings == ()
        assert store.images.resolve("shop/api:dev")
        store.images.untag(["shop/api:dev"])
    with LocalStore.open(home) as store:
        assert collect(store, max_size=0).kept == 0


def test_a_killed_holder_frees_its_flight_and_its_lease(home):
    """The child holds a flight and a lease and says so; then it is killed."""
    script = (
        "import sys, time; from pathlib import Path; from buildgraph.store.local import LocalStore\n"
        "store = LocalStore.open(Path(sys.argv[1])); store.blobs.put(b'only mine')\n"
        "with store.single_flight('key'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "held\n"
    with LocalStore.open(home) as store:
        assert collect(store, max_size=0).kept > 0
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    with single_flight(home / "leases", "key") as mine:
        assert mine
    with LocalStore.open(home) as store:
        assert collect(store, max_size=0).kept == 0


@pytest.fixture
def mounted(tmp_path):
    """Mounts a file system of so many MiB and inodes; unmounted at the end."""
    require("mount", "umount")
    require_root()
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(size: int, inodes: int) -> Path:
        options = f"size={size}m,nr_inodes={inodes}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        return folder

    yield mount
    subprocess.run(["umount", folder], check=True)


def fill(store, size, count):
    """Blobs of random bytes with a document each, until the disk is full; those that were put."""
    kept = []

    def put_all():
        for number in range(count):
            content = number.to_bytes(4, "big") * (size // 4)
            kept.append((store.blobs.put(content), content))
            store.records.put_document(str(number), content[: size // 8])

    with pytest.raises(MachineError) as caught:
        put_all()
    assert caught.value.code == "no-space"
    assert str(store.home) in caught.value.message
    return kept


@pytest.mark.parametrize(("inodes", "size"), [(10_000, 64 << 10), (120, 64)])
def test_a_full_disk_is_said_harms_nothing_and_can_be_freed(mounted, inodes, size):
    """Without space, and without inodes."""
    home = mounted(16, inodes) / "home"
    with LocalStore.open(home) as store:
        kept = fill(store, size, 1000)
        assert len(kept) > 20
        assert [store.blobs.read(digest) for digest, _ in kept] == [content for _, content in kept]
        assert not list(store.tmp.iterdir())
    with LocalStore.open(home) as store:
        assert verify(store).findings == ()
        done = collect(store, max_size=0)
        assert len(done.evicted) >= len(kept)
        assert done.kept == 0
    store_worker.build(home)
    with LocalStore.open(home) as store:
        assert verify(store, check_by_file).findings == ()


def test_a_home_that_became_read_only_is_said(mounted):
    home = mounted(16, 10_000) / "home"
    with LocalStore.open(home) as store:
        digest = store.blobs.put(b"before")
    subprocess.run(["mount", "-o", "remount,ro", home.parent], check=True)
    for attempt in (
        lambda store: store.blobs.put(b"after"),
        lambda store: store.blobs.has(digest),
        lambda store: store.records.document("key"),
        lambda store: store.raise_generation(),
        collect,
    ):
        with pytest.raises(MachineError) as caught, LocalStore.open(home) as store:
            attempt(store)
        assert caught.value.code == "store-not-writable"
