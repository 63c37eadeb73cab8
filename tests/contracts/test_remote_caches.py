import os
from pathlib import Path

import pytest
from contracts.remote_cache import RemoteCacheContract, blob_of, put
from support.distribution import Clock
from support.registry import running

from buildgraph.errors import ContentError
from buildgraph.names import Reference
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.remote.folder import Folder
from buildgraph.remote.repository import RegistryCache


class TestFolder(RemoteCacheContract):
    @pytest.fixture
    def cache(self, tmp_path):
        return Folder(str(tmp_path / "not" / "there" / "yet"))

    def another(self, cache):
        return Folder(cache.place.removeprefix("file://"))

    def damage(self, cache, digest):
        path = Path(cache.place.removeprefix("file://"), "blobs", digest.algorithm, digest.hex)
        path.write_bytes(bytes(path.stat().st_size))

    def break_down(self, cache):
        """Root may write everywhere, so a file takes its place."""
        folder = Path(cache.place.removeprefix("file://"))
        os.rename(folder, folder.with_name("away"))
        folder.symlink_to(folder.name)  # to itself: nothing below it can be asked

    def test_a_damaged_blob_can_be_put_again(self, cache):
        put(cache, b"tree")
        self.damage(cache, blob_of(b"tree").digest)
        with pytest.raises(ContentError), cache.open_blob(blob_of(b"tree")) as stream:
            stream.read()
        assert put(cache, b"tree") == 4


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


class TestRegistry(RemoteCacheContract):
    @pytest.fixture
    def cache(self, registry, tmp_path, request):
        self.registry = registry
        self.undo = request.addfinalizer
        self.path = f"t{abs(hash(tmp_path))}/cache"
        return self.another(None)

    def another(self, cache):
        registries = Registries(Settings.load({}), Credentials.load({}), clock=Clock())
        self.undo(lambda: registries.__exit__(None, None, None))
        place = f"{self.registry.host}/{self.path}"
        repository = registries.repository(Reference.parse(place))
        return RegistryCache(place, lambda: repository, lambda _digest: ())

    def damage(self, cache, digest):
        stored = self.registry.folder / "storage/docker/registry/v2/blobs/sha256"
        path = stored / digest.hex[:2] / digest.hex / "data"
        path.write_bytes(bytes(path.stat().st_size))

    def break_down(self, cache):
        self.registry.stop()
        self.undo(self.registry.start)
