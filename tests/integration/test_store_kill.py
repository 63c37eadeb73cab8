"""kill -9 at any line of the store's code, while building, collecting or verifying."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import store_worker
from support.stores import check_by_file

from buildgraph.store.gc import collect
from buildgraph.store.inventory import take
from buildgraph.store.local import LocalStore
from buildgraph.store.verify import verify

ROOT = Path(__file__).parents[2]
MOMENTS = 12


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.store_worker", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def die(what: str, home: Path, at: int) -> bool:
    """Whether it was killed; False when it ended before."""
    process = start("killed", home, what, at)
    process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


def lines(what: str, home: Path) -> int:
    process = start("killed", home, what, -1)
    out, _ = process.communicate(timeout=60)
    return int(out.split()[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store with one build in it, to be copied."""
    home = tmp_path_factory.mktemp("filled") / "home"
    store_worker.build(home)
    return home


@pytest.fixture(scope="module")
def counts(filled, tmp_path_factory):
    """How many lines each kind of work runs."""
    found = {"build": lines("build", tmp_path_factory.mktemp("count") / "home")}
    for what in ("gc", "check"):
        home = tmp_path_factory.mktemp("count") / "home"
        shutil.copytree(filled, home)
        found[what] = lines(what, home)
    return found


@pytest.mark.parametrize("what", ["build", "gc", "check"])
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_kill_leaves_a_store_that_verify_passes(what, moment, counts, filled, tmp_path):
    """Moments are spread over the run, each at another line every time."""
    home = tmp_path / "home"
    if what != "build":
        shutil.copytree(filled, home)
    at = int(counts[what] * (moment + random.random()) / MOMENTS) + 1
    assert die(what, home, at) or moment == MOMENTS - 1
    store_worker.build(home)
    with LocalStore.open(home) as store:
        assert verify(store, check_by_file).findings == ()
        assert store.images.resolve("shop/api:dev")
    assert left_over(home) == []
    with LocalStore.open(home) as store:
        store.images.untag(["shop/api:dev"])
        assert collect(store, max_size=0).kept == 0
        assert take(store).stale == ()


def test_a_collection_that_dies_before_it_asks_who_relies_takes_nothing(filled, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    process = start("torn", home)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert os.listdir(home / "trash")
    LocalStore.open(home).close()
    with LocalStore.open(home) as store:
        assert verify(store, check_by_file).findings == ()
        assert store.images.resolve("shop/api:dev")
    assert left_over(home) == []


def left_over(home: Path) -> list[str]:
    folders = ("tmp", "trash")
    found = [str(path) for name in folders for path in (home / name).iterdir()]
    return found + [str(p) for p in (home / "leases").iterdir() if p.suffix != ".lock"]


def test_a_kill_while_others_work_harms_nobody(tmp_path):
    home = tmp_path / "home"
    others = [start("build", home, 6), start("gc", home, 6)]
    for at in (400, 900, 1700, 2600):
        die("build", home, at)
    for process in others:
        process.communicate(timeout=120)
        assert process.returncode == 0
    store_worker.build(home)
    with LocalStore.open(home) as store:
        assert verify(store, check_by_file).findings == ()
    assert left_over(home) == []
