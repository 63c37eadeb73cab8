"""Layers packed in worker processes are the layers that are packed here."""

import threading

import pytest
from support.layers import file, folder

from buildgraph.errors import ContentError
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
        assert packers._pool is not None
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
