"""What every ActionCache does. A subclass in test_action_caches.py gives `blobs` and `cache`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.store.base import ActionResult


class ActionCacheContract:
    @pytest.fixture
    def blobs(self, tmp_path):
        raise NotImplementedError

    @pytest.fixture
    def cache(self, blobs):
        raise NotImplementedError

    @pytest.fixture
    def result(self, blobs):
        """A result with every field set, whose tree object is in the store."""
        tree = blobs.put(b"a tree object", "blake3")
        layer = Digest.sha256(b"a layer")
        made = ActionResult(
            "run",
            ActionKey("a1"),
            (layer, "blake3:" + "0" * 64),
            tree,
            layer,
            12,
            3.5,
            1_700_000_000,
        )
        assert all(getattr(made, field.name) for field in fields(made))
        return made

    def test_a_miss_is_none(self, cache):
        assert cache.by_action(ActionKey("a1")) is None
        assert cache.by_step([StepKey("s1"), StepKey("s2")]) == {}
        assert cache.document("s1") is None

    def test_a_result_comes_back_whole(self, cache, result):
        assert cache.put_if_absent(ActionKey("a1"), result) == result
        assert cache.by_action(ActionKey("a1")) == result

    def test_a_result_without_layer_comes_back_whole(self, cache, blobs):
        plain = ActionResult("copy", ActionKey("a1"), (), blobs.put(b"recipe", "blake3"))
        cache.put_if_absent(ActionKey("a1"), plain)
        assert cache.by_action(ActionKey("a1")) == plain

    def test_the_first_result_stays(self, cache, result):
        other = ActionResult("run", ActionKey("a1"), (), result.tree, seconds=9.0)
        cache.put_if_absent(ActionKey("a1"), result)
        assert cache.put_if_absent(ActionKey("a1"), other) == result
        assert cache.by_action(ActionKey("a1")) == result

    def test_replace_overrules(self, cache, result):
        other = ActionResult("run", ActionKey("a1"), (), result.tree, seconds=9.0)
        cache.put_if_absent(ActionKey("a1"), result)
        cache.replace(ActionKey("a1"), other)
        assert cache.by_action(ActionKey("a1")) == other

    def test_steps_find_results_by_their_alias(self, cache, result):
        cache.put_if_absent(ActionKey("a1"), result)
        cache.alias({StepKey("s1"): ActionKey("a1"), StepKey("s2"): ActionKey("nobody")})
        assert cache.by_step([StepKey("s1"), StepKey("s2"), StepKey("s3")]) == {"s1": result}

    def test_an_alias_can_move(self, cache, result):
        other = ActionResult("run", ActionKey("a2"), (), result.tree)
        cache.replace(ActionKey("a1"), result)
        cache.replace(ActionKey("a2"), other)
        cache.alias({StepKey("s1"): ActionKey("a1")})
        cache.alias({StepKey("s1"): ActionKey("a2")})
        assert cache.by_step([StepKey("s1")]) == {"s1": other}

    def test_keys_of_one_sort_are_not_those_of_the_other(self, cache, result):
        cache.put_if_absent(ActionKey("k"), result)
        cache.put_document("k", b"document")
        assert cache.by_step([StepKey("k")]) == {}

    def test_forget_is_idempotent_and_leaves_aliases_that_miss(self, cache, result):
        cache.put_if_absent(ActionKey("a1"), result)
        cache.alias({StepKey("s1"): ActionKey("a1")})
        cache.forget(ActionKey("a1"))
        cache.forget(ActionKey("a1"))
        assert cache.by_action(ActionKey("a1")) is None
        assert cache.by_step([StepKey("s1")]) == {}

    def test_a_result_whose_tree_is_gone_is_a_miss(self, cache, blobs, result):
        cache.put_if_absent(ActionKey("a1"), result)
        cache.alias({StepKey("s1"): ActionKey("a1")})
        blobs.delete(result.tree)
        assert cache.by_action(ActionKey("a1")) is None
        assert cache.by_step([StepKey("s1")]) == {}

    def test_a_result_whose_tree_is_gone_does_not_win(self, cache, blobs, result):
        cache.put_if_absent(ActionKey("a1"), result)
        blobs.delete(result.tree)
        other = ActionResult("run", ActionKey("a1"), (), blobs.put(b"another", "blake3"))
        assert cache.put_if_absent(ActionKey("a1"), other) == other
        assert cache.by_action(ActionKey("a1")) == other

    def test_documents_are_bytes_by_key(self, cache):
        cache.put_document("s1", b"\0\xff any bytes")
        cache.put_document("s1", b"\0\xff any bytes")
        assert cache.document("s1") == b"\0\xff any bytes"

    def test_of_many_threads_one_wins(self, cache, blobs):
        tree = blobs.put(b"tree", "blake3")
        tries = [
            ActionResult("run", ActionKey("a1"), (), tree, seconds=float(n)) for n in range(16)
        ]
        with ThreadPoolExecutor(8) as pool:
            seen = set(pool.map(lambda r: cache.put_if_absent(ActionKey("a1"), r), tries))
        assert seen == {cache.by_action(ActionKey("a1"))}
