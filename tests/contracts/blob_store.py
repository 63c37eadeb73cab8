"""What every BlobStore does. A subclass in test_blob_stores.py gives `store` and `damage`."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.store.base import BlobStore


class BlobStoreContract:
    @pytest.fixture
    def store(self, tmp_path):
        raise NotImplementedError

    def damage(self, store: BlobStore, digest: Digest, content: bytes) -> None:
        raise NotImplementedError

    @pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
    @pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 9000])
    def test_put_then_read_gives_the_same_bytes(self, store, algorithm, content):
        digest = store.put(content, algorithm)
        assert Digest.parse(digest) == digest
        assert digest.algorithm == algorithm
        assert store.has(digest)
        assert store.size(digest) == len(content)
        assert store.read(digest) == content
        with store.open(digest) as stream:
            assert stream.read() == content

    def test_names_are_the_standard_digests(self, store):
        assert store.put(b"hello") == Digest.sha256(b"hello")
        assert store.put(b"hello", "blake3") == Digest.blake3(b"hello")

    def test_what_is_missing_is_none(self, store):
        missing = Digest.sha256(b"never stored")
        assert not store.has(missing)
        assert store.size(missing) is None
        assert store.read(missing) is None
        assert store.open(missing) is None

    def test_put_is_idempotent(self, store):
        assert store.put(b"twice") == store.put(b"twice")
        assert store.read(Digest.sha256(b"twice")) == b"twice"

    def test_delete_is_idempotent(self, store):
        digest = store.put(b"gone soon")
        store.delete(digest)
        store.delete(digest)
        assert store.read(digest) is None

    @pytest.mark.parametrize("content", [b"hellO", b"hell", b"hello and more", b""])
    def test_damage_is_found_by_read(self, store, content):
        digest = store.put(b"hello")
        self.damage(store, digest, content)
        with pytest.raises(ContentError, match="not what their name says") as caught:
            store.read(digest)
        assert caught.value.code == "blob-damaged"
        assert digest in caught.value.message

    def test_damage_is_found_at_the_end_of_a_stream(self, store):
        digest = store.put(bytes(3 << 20))
        self.damage(store, digest, bytes((3 << 20) - 1) + b"x")

        def drain() -> None:
            with store.open(digest) as stream:
                while stream.read(1 << 16):
                    pass

        with pytest.raises(ContentError) as caught:
            drain()
        assert caught.value.code == "blob-damaged"

    def test_damaged_bytes_are_dropped_and_can_be_put_again(self, store):
        digest = store.put(b"hello")
        self.damage(store, digest, b"jello")
        with pytest.raises(ContentError):
            store.read(digest)
        assert not store.has(digest)
        store.put(b"hello")
        assert store.read(digest) == b"hello"

    def test_put_heals_damage_that_nobody_has_met(self, store):
        digest = store.put(b"hello")
        self.damage(store, digest, b"jello")
        store.put(b"hello")
        assert store.read(digest) == b"hello"

    def test_many_threads_put_the_same_and_different_blobs(self, store):
        contents = [str(number % 10).encode() * 1000 for number in range(60)]
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(store.put, contents))
        assert [store.read(digest) for digest in digests] == contents

    def test_a_stream_outlives_the_deletion_of_its_blob(self, store):
        digest = store.put(b"still read")
        with store.open(digest) as stream:
            store.delete(digest)
            assert io.BytesIO(stream.read()).getvalue() == b"still read"
