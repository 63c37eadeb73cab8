"""What every RemoteCache does. A subclass in test_remote_caches.py gives `cache`, `another` and `damage`."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import ContentError, RemoteError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.remote.base import RemoteCache
from buildgraph.remote.record import TREE, Record, parse, step_name
from buildgraph.store.base import ActionResult

NAME = step_name("a" * 64)


def blob_of(content: bytes) -> Descriptor:
    return Descriptor(TREE, Digest.sha256(content), len(content))


def record_of(tree: bytes, seconds: float = 1.0) -> Record:
    result = ActionResult("copy", ActionKey("b" * 64), (), Digest.blake3(tree), seconds=seconds)
    return Record(result, blob_of(tree))


def put(cache: RemoteCache, content: bytes) -> int:
    return cache.put_blob(blob_of(content), lambda: io.BytesIO(content))


class RemoteCacheContract:
    @pytest.fixture
    def cache(self, tmp_path):
        raise NotImplementedError

    def another(self, cache: RemoteCache) -> RemoteCache:
        """The same cache, on a machine that knows nothing of it."""
        raise NotImplementedError

    def damage(self, cache: RemoteCache, digest: Digest) -> None:
        """Other bytes of the same length."""
        raise NotImplementedError

    def break_down(self, cache: RemoteCache) -> None:
        """From now on nothing can be asked."""
        raise NotImplementedError

    def test_what_nobody_put_is_absent(self, cache):
        assert cache.is_empty()
        assert cache.get(NAME) is None
        assert not cache.has(NAME)
        assert list(cache.names()) == []

    def test_a_record_comes_back_as_it_was_put(self, cache):
        put(cache, b"tree")
        record = record_of(b"tree")
        cache.put(NAME, record.to_bytes())
        there = self.another(cache)
        assert there.has(NAME)
        assert not there.is_empty()
        content = there.get(NAME)
        assert content == record.to_bytes()
        assert parse(content, NAME) == record
        assert list(there.names()) == [NAME]

    def test_a_record_without_blobs(self, cache):
        record = Record(record_of(b"").result)
        cache.put(NAME, record.to_bytes())
        assert parse(self.another(cache).get(NAME), NAME) == record

    def test_the_first_record_of_a_name_stays_unless_it_is_overruled(self, cache):
        put(cache, b"tree")
        first, second = record_of(b"tree", 1.0).to_bytes(), record_of(b"tree", 2.0).to_bytes()
        cache.put(NAME, first)
        self.another(cache).put(NAME, second)
        assert cache.get(NAME) == first
        self.another(cache).put(NAME, second, replace=True)
        assert self.another(cache).get(NAME) == second

    @pytest.mark.parametrize("content", [b"", b"tree", bytes(range(256)) * 9000])
    def test_a_blob_is_sent_once(self, cache, content):
        assert put(cache, content) == len(content)
        there = self.another(cache)
        assert put(there, content) == 0
        with there.open_blob(blob_of(content)) as stream:
            assert stream.read() == content

    def test_a_blob_may_be_sent_afresh(self, cache):
        put(cache, b"tree")
        cache.put_blob(blob_of(b"tree"), lambda: io.BytesIO(b"tree"), afresh=True)
        with self.another(cache).open_blob(blob_of(b"tree")) as stream:
            assert stream.read() == b"tree"

    def test_a_missing_blob_is_told(self, cache):
        put(cache, b"tree")
        with pytest.raises((ContentError, RemoteError)):
            cache.open_blob(blob_of(b"never put")).read()

    def test_a_damaged_blob_is_told_at_its_end(self, cache):
        put(cache, b"soon damaged")
        self.damage(cache, Digest.sha256(b"soon damaged"))
        blob = blob_of(b"soon damaged")
        with pytest.raises(ContentError), self.another(cache).open_blob(blob) as stream:
            stream.read()

    def test_many_put_at_once(self, cache):
        contents = [b"%d" % (at % 4) for at in range(16)]

        def both(content: bytes) -> None:
            put(cache, content)
            cache.put(step_name("c" * 63 + content.decode()), record_of(content).to_bytes())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(both, contents))
        for content in set(contents):
            name = step_name("c" * 63 + content.decode())
            assert parse(cache.get(name), name) == record_of(content)

    def test_what_cannot_be_asked_says_so(self, cache):
        put(cache, b"tree")
        self.break_down(cache)
        for ask in (
            lambda: cache.get(NAME),
            lambda: put(cache, b"other"),
            lambda: cache.put(NAME, record_of(b"tree").to_bytes()),
        ):
            with pytest.raises(RemoteError):
                ask()
