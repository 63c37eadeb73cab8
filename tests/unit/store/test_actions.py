import pytest
from support.stores import make

from buildgraph.digest import ActionKey, StepKey
from buildgraph.store.actions import decode_result, encode_result
from buildgraph.store.local import LocalStore


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with LocalStore.open(tmp_path / "home", clock=clock) as store:
        yield store


def test_history_keeps_the_last_decisions_newest_first(store):
    for number in range(8):
        store.records.remember("ws/api", {"number": number, "reason": ["changed", "path"]})
    assert [entry["number"] for entry in store.records.history("ws/api")] == [7, 6, 5, 4, 3]
    assert store.records.last("ws/api")["number"] == 7
    assert store.records.last("ws/other") is None


def test_durations_are_those_of_the_last_real_run(store):
    store.records.remember("ws/api", {}, seconds=2.5)
    store.records.remember("ws/api", {})
    store.records.remember("ws/never", {})
    assert store.records.durations(["ws/api", "ws/never", "ws/unknown"]) == {"ws/api": 2.5}


def test_reuse_is_counted_once_an_hour(store, clock):
    made = make(store, "one")

    def count():
        store.records.by_step([StepKey("s-one")])
        store.records.by_action(made.result.action)
        store.records.flush()
        return store.index().get("use:a-one")

    assert count() == {"count": 1, "last": 1_000_000}
    clock.now += 60
    assert count() == {"count": 1, "last": 1_000_000}
    clock.now += 3600
    assert count() == {"count": 2, "last": 1_003_660}
    clock.now = 5.0  # years off: counts again, does not stick
    assert count() == {"count": 3, "last": 5}


def test_a_batch_becomes_visible_as_a_whole(store, tmp_path):
    with LocalStore.open(tmp_path / "home") as other:
        assert other.records.document("one") is None
        with store.records.batch():
            store.records.put_document("one", b"1")
            assert other.records.document("one") is None
            store.records.put_document("two", b"2")
        assert other.records.document("one") == b"1"
        assert other.records.document("two") == b"2"


def test_what_a_look_up_finds_is_in_the_lease(store, tmp_path):
    made = make(store, "one")
    with LocalStore.open(tmp_path / "home") as other:
        other.records.by_step([StepKey("s-one")])
        assert made.result.tree in other.lease.path.read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"tree": "blake3:../../x"},
        {"tree": None},
        {"identities": [1]},
        {"size": "12"},
        {"kind": 7},
        {"diff_id": "nonsense"},
    ],
)
def test_what_is_no_result_is_a_miss(store, change):
    made = make(store, "one")
    fields = encode_result(made.result)
    assert decode_result(fields) == made.result
    store.index().set("action:a-one", {**fields, **change})
    assert store.records.by_action(ActionKey("a-one")) is None


def test_dropping_by_key(store):
    made = make(store, "one")
    store.records.drop(["action:a-one", "never:there"])
    assert store.records.by_action(made.result.action) is None
