"""A release against registries in memory: what is sent, in which order, and what is undone."""

import io
import threading

import pytest

from buildgraph.digest import Digest
from buildgraph.errors import RemoteError
from buildgraph.oci.descriptor import LAYER, MANIFEST, Descriptor
from buildgraph.registry.client import RegistryError
from buildgraph.registry.release import Blob, Release, Shipment, StoppedError
from buildgraph.registry.stopping import Stop


class Registry:
    """One registry's blobs, manifests and tags by repository; ``log`` tells all that was asked of it."""

    def __init__(self):
        self.blobs: dict[str, set[Digest]] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.log: list[tuple[str, str, str]] = []
        self.refuses: set[tuple[str, str]] = set()
        self.lock = threading.Lock()

    def repository(self, path):
        return Repository(self, path)


class Repository:
    def __init__(self, registry, path):
        self.registry, self.path, self.name = registry, path, f"r.example/{path}"
        self.blobs = registry.blobs.setdefault(path, set())

    def told(self, what, about):
        with self.registry.lock:
            self.registry.log.append((what, self.path, about))

    def resolve(self, reference, *, mirrors=True):
        content = self.registry.manifests.get((self.path, reference))
        return described(content) if content else None

    def upload(self, descriptor, open_blob, mount_from=(), *, unlikely=False):
        if descriptor.digest in self.blobs:
            return "present"
        for place in mount_from:
            if descriptor.digest in self.registry.blobs.get(place, ()):
                self.blobs.add(descriptor.digest)
                self.told("mount", place)
                return "mounted"
        with open_blob() as stream:
            assert Digest.sha256(stream.read()) == descriptor.digest
        self.blobs.add(descriptor.digest)
        self.told("upload", descriptor.digest)
        return "uploaded"

    def put_manifest(self, content, media_type, reference):
        if (self.path, reference) in self.registry.refuses:
            raise RemoteError("registry-refused", f"no {reference}")
        self.told("put", reference)
        self.registry.manifests[self.path, reference] = content
        self.registry.manifests[self.path, Digest.sha256(content)] = content

    def manifest(self, reference):
        content = self.registry.manifests.get((self.path, reference))
        return Fetched(described(content), content) if content else None

    def delete(self, reference):
        self.told("delete", reference)
        del self.registry.manifests[self.path, reference]


class Fetched:
    def __init__(self, descriptor, content):
        self.descriptor, self.content = descriptor, content


def described(content):
    return Descriptor(MANIFEST, Digest.sha256(content), len(content))


def shipment(registry, path, layers, *tags):
    content = f"manifest of {layers}".encode()
    blobs = [
        Blob(Descriptor(LAYER, Digest.sha256(b), len(b)), lambda b=b: io.BytesIO(b))
        for b in (text.encode() for text in layers)
    ]
    root = described(content)
    repository = registry.repository(path)
    return Shipment(path, repository, root, ((root, content),), tuple(blobs), tags)


def deliver(*shipments, begin=lambda _: None):
    return Release(shipments, Stop()).deliver(begin)


@pytest.fixture
def registry():
    return Registry()


def test_what_two_images_share_goes_up_once_and_is_mounted(registry):
    one = shipment(registry, "a", ["shared", "one"], "1")
    two = shipment(registry, "b", ["shared", "two"], "1")
    done = deliver(one, two)
    assert [what for what, *_ in registry.log].count("upload") == 3
    assert [entry for entry in registry.log if entry[0] == "mount"] == [("mount", "b", "a")]
    assert [d.mounted for d in done] == [0, 6]
    assert [d.uploaded for d in done] == [9 + len("manifest of ['shared', 'one']"), 3 + 29]


def test_all_blobs_come_before_manifests_and_tags_last(registry):
    deliver(shipment(registry, "a", ["x", "y"], "1", "2"), shipment(registry, "b", ["z"], "1"))
    kinds = [
        "tag" if what == "put" and len(about) == 1 else what for what, _, about in registry.log
    ]
    assert kinds == ["upload"] * 3 + ["put"] * 2 + ["tag"] * 3


def test_tags_of_several_images_move_at_once_and_those_of_one_in_order(registry):
    both = threading.Barrier(2, timeout=30)
    loads = [shipment(registry, "a", ["x"], "1", "2"), shipment(registry, "b", ["z"], "1")]
    for load in loads:

        def put(content, kind, reference, put=load.repository.put_manifest):
            if reference == "1":
                both.wait()
            put(content, kind, reference)

        load.repository.put_manifest = put
    deliver(*loads)
    assert [about for what, path, about in registry.log if path == "a"][-2:] == ["1", "2"]


def test_a_second_delivery_says_nothing(registry):
    deliver(shipment(registry, "a", ["x"], "1"))
    registry.log.clear()
    begun = []
    (done,) = deliver(shipment(registry, "a", ["x"], "1"), begin=begun.append)
    assert done.current
    assert registry.log == begun == []


def test_a_tag_that_cannot_move_puts_the_others_back(registry):
    deliver(shipment(registry, "a", ["old"], "1"), shipment(registry, "b", ["old"], "1"))
    before = dict(registry.manifests)
    registry.refuses.add(("b", "1"))
    with pytest.raises(RemoteError) as raised:
        deliver(shipment(registry, "a", ["new"], "1", "2"), shipment(registry, "b", ["new"], "1"))
    assert raised.value.detail == ("these tags could not be put back:", "r.example/b:1: no 1")
    assert registry.manifests["a", "1"] == before["a", "1"]
    assert ("a", "2") not in registry.manifests
    assert registry.manifests["b", "1"] == before["b", "1"]


def test_what_the_registry_lost_is_sent_again(registry):
    one = shipment(registry, "a", ["x"], "1")
    put = one.repository.put_manifest
    one.repository.blobs.update(blob.descriptor.digest for blob in one.blobs)  # it only says so
    refused = []

    def forgetful(content, media_type, reference):
        if not refused:
            refused.append(reference)
            lost = RegistryError("registry-refused", "it is not here")
            lost.names = ("MANIFEST_BLOB_UNKNOWN",)
            one.repository.blobs.clear()
            raise lost
        put(content, media_type, reference)

    one.repository.put_manifest = forgetful
    (done,) = deliver(one)
    assert [what for what, *_ in registry.log] == ["upload", "put", "put"]
    assert done.uploaded > 1


def test_a_release_that_is_stopped_moves_no_tag(registry):
    stopped = Stop()
    release = Release([shipment(registry, "a", ["x"], "1")], stopped)
    with pytest.raises(StoppedError):
        release.deliver(lambda _: stopped.set())
    assert ("a", "1") not in registry.manifests
    assert release.shipped[0].moved == []
