"""Blobs to and from a real registry over wires that break, and the list of referrers that it does not keep."""

import io
import random

import pytest
from support.badregistry import BadRegistry
from support.distribution import Clock, at, registries
from support.registry import Registry, running
from support.relay import Cut, relay

from buildgraph.digest import Digest
from buildgraph.errors import RemoteError
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from buildgraph.oci.manifest import Manifest
from buildgraph.registry.client import Repository

MB = 1 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def blob(tmp_path):
    """A file of 24 MB and its descriptor; every test has its own, so that nothing is there before."""
    content = random.randbytes(24 * MB)
    path = tmp_path / "blob"
    path.write_bytes(content)
    return path, Descriptor(LAYER, Digest.sha256(content), len(content))


def stored(registry: Registry, descriptor: Descriptor) -> bool:
    return registry.blobs().get(descriptor.digest.hex) == descriptor.size


def read(repository: Repository, descriptor: Descriptor) -> Digest:
    with repository.open_blob(descriptor) as stream:
        return Digest.sha256(stream.read())


@pytest.mark.parametrize("cuts", [1, 3])
def test_an_upload_over_a_wire_that_breaks(registry, blob, cuts):
    path, descriptor = blob
    with (
        relay(registry.port, *[Cut("up", 9 * MB)] * cuts) as wire,
        registries() as client,
    ):
        repository = client.repository(at(wire.host, "broken/upload"))
        assert repository.upload(descriptor, lambda: path.open("rb")) == "uploaded"
        assert wire.cuts == []
    assert stored(registry, descriptor)


def test_an_upload_over_a_wire_that_always_breaks(registry, blob):
    path, descriptor = blob
    clock = Clock()
    with (
        relay(registry.port, *[Cut("up", MB)] * 50) as wire,
        registries(clock=clock) as client,
    ):
        repository = client.repository(at(wire.host, "hopeless"))
        with pytest.raises(RemoteError) as caught:
            repository.upload(descriptor, lambda: path.open("rb"))
        assert len(wire.cuts) > 40
    assert caught.value.code == "registry-cut"
    assert not stored(registry, descriptor)


def test_a_download_over_a_wire_that_breaks_costs_what_was_in_flight(registry, blob):
    path, descriptor = blob
    with registries() as client:
        client.repository(at(registry.host, "from")).upload(descriptor, lambda: path.open("rb"))
    cuts = [Cut("down", 5 * MB)] * 4
    with relay(registry.port, *cuts) as wire, registries() as client:
        repository = client.repository(at(wire.host, "from"))
        assert read(repository, descriptor) == descriptor.digest
        assert wire.cuts == []
        assert wire.passed["down"] < descriptor.size + 6 * MB
    gets = [a for a in registry.accesses() if a.method == "GET"]
    parts = [a.status for a in gets if f"from/blobs/{descriptor.digest}" in a.path]
    assert sorted(parts) == [200, 206, 206, 206, 206]


def test_what_refers_to_a_manifest(registry):
    """This registry knows no list of referrers: they are kept under a tag, as the specification wants it."""
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    described = Descriptor(CONFIG, Digest.sha256(config), len(config))
    image = Manifest(described, ()).to_bytes()
    subject = Descriptor(MANIFEST, Digest.sha256(image), len(image))
    kinds = ("application/vnd.test.signature", "application/vnd.test.sbom")
    signatures = [
        Manifest(
            described, (), artifact_type=kind, subject=subject, annotations={"k": kind}
        ).to_bytes()
        for kind in kinds
    ]
    with registries() as client:
        repository = client.repository(at(registry.host, "referred/to"))
        repository.upload(described, lambda: io.BytesIO(config))
        repository.put_manifest(image, MANIFEST, "1")
        assert repository.referrers(subject.digest) == ()
        for content in (*signatures, signatures[0]):
            repository.put_manifest(content, MANIFEST, Digest.sha256(content))
        found = repository.referrers(subject.digest)
        assert [(d.digest, d.artifact_type) for d in found] == [
            (Digest.sha256(content), kind) for content, kind in zip(signatures, kinds, strict=True)
        ]
        assert found[0].annotations == {"k": kinds[0]}
        assert repository.referrers(subject.digest, kinds[1]) == found[1:]


PROGRAM = """
import sys
from support.badregistry import BadRegistry
from support.distribution import at, registries
from buildgraph.digest import Digest
from buildgraph.oci.descriptor import LAYER, Descriptor

verb, host, digest, size, path = sys.argv[1:]
descriptor = Descriptor(LAYER, Digest.parse(digest), int(size))
with registries() as client:
    repository = client.repository(at(host, "big"))
    if verb == "upload":
        repository.upload(descriptor, lambda: open(path, "rb"))
    else:
        with repository.open_blob(descriptor) as stream:
            while stream.read(1 << 20):
                pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_what_is_most_likely_missing_is_mounted_without_asking(registry, blob):
    path, descriptor = blob
    with registries() as client:
        client.repository(at(registry.host, "a/first")).upload(descriptor, lambda: path.open("rb"))
    registry.forget()
    with registries() as client:
        there = client.repository(at(registry.host, "a/second"))
        how = there.upload(descriptor, lambda: path.open("rb"), ["a/first"], unlikely=True)
        assert how == "mounted"
        (asked,) = [a for a in registry.accesses() if a.path != "/v2/"]
        assert (asked.method, asked.status) == ("POST", 201)


@pytest.mark.parametrize("there", [True, False])
def test_a_registry_that_mounts_nothing_is_asked_to_once(there):
    """It begins uploads instead, which are of use, or ended."""
    contents = [random.randbytes(100) for _ in range(3)]
    blobs = [Descriptor(LAYER, Digest.sha256(content), 100) for content in contents]
    with BadRegistry() as registry, registries() as client:
        for content in contents if there else ():
            registry.repository("a/app").add(content)
        repository = client.repository(at(registry.host, "a/app"))
        for blob, content in zip(blobs, contents, strict=True):
            how = repository.upload(
                blob, lambda content=content: io.BytesIO(content), ["a/other"], unlikely=True
            )
            assert how == ("present" if there else "uploaded")
        begun = [one for one in registry.seen if one.method == "POST"]
        ended = [one for one in registry.seen if one.method == "DELETE"]
        assert len(begun) == (1 if there else 3)
        assert len(ended) == (1 if there else 0)
