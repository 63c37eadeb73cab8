import pytest
from contracts.blob_store import BlobStoreContract

from buildgraph.store.local import LocalStore
from buildgraph.store.memory import MemoryBlobs


class TestLocalBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        with LocalStore.open(tmp_path / "home") as store:
            yield store.blobs

    def damage(self, store, digest, content):
        path = store.path(digest)
        path.chmod(0o600)
        path.write_bytes(content)


class TestMemoryBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self):
        return MemoryBlobs()

    def damage(self, store, digest, content):
        store._contents[digest] = content
