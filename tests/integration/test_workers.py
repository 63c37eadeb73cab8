"""Layers packed in worker processes are the layers that are packed here."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE

import pytest
from multiprocess import forkserver
from support.layers import file, folder

from buildgraph.errors import ContentError, MachineError
from buildgraph.execute import workers
from buildgraph.execute.workers import Packers
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, pack


@pytest.fixture
def layer(tmp_path):
    (tmp_path / "source").mkdir()
    items = [folder("d")]
    for number in range(150):
        path = tmp_path / f"source/{number:03d}"
        path.write_text(f"{number}\n" * 50)
        entry = file(f"d/{number:03d}").entry._replace(size=0, content="")
        items.append(Item(entry, bytes(path)))
    return items


def test_a_second_layer_goes_to_a_worker_and_is_the_same(layer, tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(*args, **options):
        begun.set()
        go_on.wait()
        return pack(*args, **options)

    monkeypatch.setattr(workers, "pack", slow)
    with Packers(2) as packers:
        results = []
        first = threading.Thread(target=lambda: results.append(packers(layer)))
        first.start()
        begun.wait()
        monkeypatch.setattr(workers, "pack", pack)
        (tmp_path / "snapshot").mkdir()
        beside = packers(
            layer, codec=Codec("gzip"), blob=tmp_path / "blob", snapshot=tmp_path / "snapshot"
        )
        assert len(packers._idle) == 1
        go_on.set()
        first.join()
    assert beside.tree == results[0].tree
    assert beside.diff_id == results[0].diff_id
    assert (tmp_path / "blob").stat().st_size == beside.blob.size
    assert (tmp_path / "snapshot/d/007").read_text() == "7\n" * 50


def test_an_error_comes_back_whole(layer, tmp_path):
    (tmp_path / "source/005").unlink()
    with Packers(2) as packers:
        packers._busy = 1  # as if another layer were being packed
        with pytest.raises(ContentError) as caught:
            packers(layer)
    assert caught.value.code == "source-changed"
    assert "005" in caught.value.message


@pytest.mark.parametrize("stopped", [True, False], ids=["at work", "idle"])
def test_a_killed_worker_is_an_error_and_no_wait_for_ever(layer, stopped):
    with Packers(2) as packers:
        packers._busy = 1
        whole = packers(layer)
        (worker,) = packers._idle
        os.kill(worker._process.pid, signal.SIGSTOP if stopped else signal.SIGKILL)
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(packers, layer)
            if stopped:
                os.kill(worker._process.pid, signal.SIGKILL)
            with pytest.raises(MachineError) as caught:
                asked.result()
        assert caught.value.code == "packer-killed"
        assert packers._idle == []
        assert packers(layer).diff_id == whole.diff_id


def test_a_killed_forkserver_is_started_again(layer):
    with Packers(2) as packers:
        packers._busy = 1
        whole = packers(layer)
        packers._idle.pop().end()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        while True:  # as long as the end of the old one is not seen
            try:
                assert packers(layer).diff_id == whole.diff_id
            except MachineError:
                continue
            break


IDLE = """
import signal, sys
from buildgraph.execute.workers import Packers
from buildgraph.fs import tree
from buildgraph.fs.pack import Item

items = [Item(tree.Entry(b"%03d" % number, tree.DIRECTORY, 0o755)) for number in range(150)]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
with Packers(2) as packers:
    packers._busy = 1
    packers(items)
    print("up", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_to_the_whole_group_leaves_nobody_waiting(number):
    """As ``timeout`` and a terminal send it."""
    with subprocess.Popen(
        [sys.executable, "-c", IDLE], text=True, stdout=PIPE, stderr=PIPE, process_group=0
    ) as process:
        try:
            assert process.stdout.readline() == "up\n"
            os.killpg(process.pid, number)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, said) == (128 + number, "")
