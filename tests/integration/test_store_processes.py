"""Several processes on one store: each step is made once, nobody uses what is not there."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import store_worker
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
def tiny(tmp_path):
    """A file system of 1 MiB."""
    from support.capability import require, require_root

    require("mount", "umount")
    require_root()
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=300", "tmpfs", folder], check=True
    )
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_and_harms_nothing(tiny):
    kept = []

    def fill(store):
        for number in range(100):
            content = os.urandom(64 << 10)
            kept.append((store.blobs.put(content), content))
            store.records.put_document(str(number), content[: 8 << 10])

    with LocalStore.open(tiny / "home") as store:
        with pytest.raises(MachineError) as caught:
            fill(store)
        assert caught.value.code == "no-space"
        assert str(tiny) in caught.value.message
        assert [store.blobs.read(digest) for digest, _ in kept] == [content for _, content in kept]
        (tiny / "home" / "blobs" / "sha256" / kept.pop()[0].hex).unlink()
        (tiny / "home" / "blobs" / "sha256" / kept.pop()[0].hex).unlink()
        assert verify(store).findings == ()
        assert not list(store.tmp.iterdir())


def test_without_inodes_the_same_is_said(tiny):
    def fill(store):
        for number in range(400):
            store.blobs.put(str(number).encode())

    with LocalStore.open(tiny / "home") as store:
        with pytest.raises(MachineError) as caught:
            fill(store)
        assert caught.value.code == "no-space"
        for path in list((tiny / "home" / "blobs" / "sha256").iterdir())[:5]:
            path.unlink()
