import pickle
import sqlite3

import pytest
from support.stores import make, overwrite

from buildgraph.digest import ActionKey
from buildgraph.errors import MachineError
from buildgraph.store.disk import DamagedRecordError, RecordDisk, pack, unpack
from buildgraph.store.index import RecordIndex
from buildgraph.store.local import LocalStore

VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    "text \udcff ü",
    b"",
    b"\0\xff",
    [],
    [1, ["two"]],
    {"a": {"b": None}},
]


@pytest.fixture
def told():
    return []


@pytest.fixture
def index(tmp_path, told):
    (tmp_path / "leases").mkdir()
    index = RecordIndex(tmp_path, told.append)
    yield index
    index.close()


def rows(index):
    return sqlite3.connect(index._folder / "cache.db", isolation_level=None)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_and_bytes_come_back(index, value):
    index.set("key", value)
    assert index.get("key") == value
    assert type(index.get("key")) is type(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": b"bytes inside"}, float("nan"), 1j])
def test_what_is_neither_json_nor_bytes_is_refused(index, value):
    with pytest.raises((TypeError, ValueError)):
        index.set("key", value)


def test_nothing_is_ever_pickled_or_unpickled(index, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a pickle")

    for name in ("dumps", "loads", "dump", "load"):
        monkeypatch.setattr(pickle, name, refuse)
    index.set("key", {"a": 1})
    with pytest.raises(TypeError):
        index._cache().set("raw", {"a": 1})
    with pytest.raises(TypeError):
        index._cache().set(("a", "tuple"), b"")
    assert index.get("key") == {"a": 1}


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


def test_a_pickle_that_somebody_put_into_the_file_is_a_miss(index, told):
    index.set("key", "value")
    with rows(index) as connection:
        connection.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb()),))
    connection.close()
    assert index.get("key") is None
    assert [event.code for event in told] == ["record-damaged"]


def test_no_row_points_at_a_file(tmp_path):
    disk = RecordDisk(str(tmp_path))
    for fields in [
        (2, "../../etc/passwd", None),
        (3, "x", None),
        (4, None, b""),
        (1, None, "text"),
    ]:
        with pytest.raises(DamagedRecordError):
            disk.fetch(*fields, read=False)


@pytest.mark.parametrize("at", range(0, 25, 3))
def test_every_changed_byte_is_found(at):
    packed = bytearray(pack("key", {"tree": "blake3:00"}))
    packed[at] ^= 1
    with pytest.raises(DamagedRecordError):
        unpack("key", bytes(packed))


def test_a_record_under_another_key_is_damaged(index):
    index.set("one", "value")
    with rows(index) as connection:
        connection.execute("UPDATE Cache SET key = 'two'")
    connection.close()
    assert index.get("two") is None
    assert index.get("one") is None


@pytest.mark.parametrize(
    "content", [b"", b"no database", bytes(4096), b"SQLite format 3\0" + bytes(5000)]
)
def test_a_damaged_index_is_set_aside_and_begun_anew(tmp_path, index, told, content):
    index.set("key", "value")
    index.close()
    for name in ("cache.db-wal", "cache.db-shm"):
        (tmp_path / "records" / name).unlink(missing_ok=True)
    overwrite(tmp_path / "records" / "cache.db", content)
    assert index.get("key") is None
    index.set("key", "again")
    assert index.get("key") == "again"
    if content:  # an empty file is an empty database
        assert [event.code for event in told] == ["records-damaged"]
        (aside,) = tmp_path.glob("records.damaged-*")
        assert (aside / "cache.db").read_bytes()[:11] == content[:11]


def test_damage_in_the_middle_of_an_open_index_is_survived(tmp_path, index, told):
    for number in range(300):
        index.set(f"key {number}", "value " * 100)
    index.close()
    path = tmp_path / "records" / "cache.db"
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    overwrite(path, bytes(content))
    for number in range(300):
        assert index.get(f"key {number}") in (None, "value " * 100)
        index.set(f"key {number}", "new")
    assert [index.get(f"key {number}") for number in range(300)] == ["new"] * 300
    assert "records-damaged" in {event.code for event in told}


def test_an_index_that_another_process_set_aside_is_opened_again(tmp_path, index):
    index.set("key", "value")
    (tmp_path / "records").rename(tmp_path / "records.damaged-1")
    index.set("key", "new")
    assert index.get("key") == "new"
    assert (tmp_path / "records" / "cache.db").exists()


def test_damage_inside_a_transaction_loses_records_only(tmp_path, index):
    index.set("before", "value")
    with index.transaction():
        index.set("lost", "value")
        index._set_aside(index._cache())
        index.set("kept", "value")
    assert index.get("kept") == "value"
    assert index.get("lost") is None


def test_a_transaction_is_all_or_nothing(index):
    class Stop(Exception):
        pass

    def fail():
        with index.transaction():
            index.set("one", 1)
            with index.transaction():
                index.set("two", 2)
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert index.get("one") is None
    assert index.get("two") is None


def test_a_full_disk_is_said(index):
    index.set("key", "value")
    index._cache()._sql("PRAGMA max_page_count = 20")
    with pytest.raises(MachineError, match="no space left") as caught:
        index.set("big", "x" * 1_000_000)
    assert caught.value.code == "no-space"


def test_the_check_finds_damaged_rows_and_leaves_them(index):
    index.set("good", 1)
    index.set("bad", 2)
    with rows(index) as connection:
        connection.execute("UPDATE Cache SET value = ? WHERE key = 'bad'", (b"00000000j2",))
    connection.close()
    assert index.damaged() == ("bad",)
    assert set(index.keys()) == {"good", "bad"}


def test_records_survive_closing(tmp_path):
    with LocalStore.open(tmp_path / "home") as store:
        made = make(store, "one")
    with LocalStore.open(tmp_path / "home") as store:
        assert store.records.by_action(ActionKey("a-one")) == made.result
