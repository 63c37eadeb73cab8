import pytest
from contracts.action_cache import ActionCacheContract

from buildgraph.store.local import LocalStore
from buildgraph.store.memory import MemoryBlobs, MemoryRecords


class TestLocalRecords(ActionCacheContract):
    @pytest.fixture
    def home(self, tmp_path):
        with LocalStore.open(tmp_path / "home") as store:
            yield store

    @pytest.fixture
    def blobs(self, home):
        return home.blobs

    @pytest.fixture
    def cache(self, home):
        return home.records


class TestMemoryRecords(ActionCacheContract):
    @pytest.fixture
    def blobs(self):
        return MemoryBlobs()

    @pytest.fixture
    def cache(self, blobs):
        return MemoryRecords(blobs)
