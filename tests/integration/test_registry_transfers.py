"""Blobs to and from a real registry: over wires that break, through its restarts, from many threads, in little memory."""

import hashlib
import io
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.certificates import Authority
from support.distribution import Clock, at, credentials, registries
from support.registry import Registry, running
from support.relay import Cut, relay
from support.tokenserver import Tokens, TokenServer

from buildgraph.digest import Digest
from buildgraph.errors import RemoteError
from buildgraph.oci.descriptor import CONFIG, INDEX, LAYER, MANIFEST, Descriptor
from buildgraph.oci.manifest import Index, Manifest
from buildgraph.registry.client import Repository

MB = 1 << 20
ME = "me:pass:word"


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


def test_there_and_back(registry, blob):
    path, descriptor = blob
    with registries() as client:
        repository = client.repository(at(registry.host))
        assert repository.upload(descriptor, lambda: path.open("rb")) == "uploaded"
        assert stored(registry, descriptor)
        assert read(repository, descriptor) == descriptor.digest
        registry.forget()
        assert repository.upload(descriptor, lambda: path.open("rb")) == "present"
        assert registry.accesses() == []


def test_present_for_another_client_after_one_question(registry, blob):
    path, descriptor = blob
    for expected in ("uploaded", "present"):
        registry.forget()
        with registries() as client:
            repository = client.repository(at(registry.host, "asked/once"))
            assert repository.upload(descriptor, lambda: path.open("rb")) == expected
    assert [(a.method, a.path) for a in registry.accesses()] == [
        ("GET", "/v2/"),
        ("HEAD", f"/v2/asked/once/blobs/{descriptor.digest}"),
    ]


def test_mounted_from_the_repository_that_has_it(registry, blob):
    path, descriptor = blob
    with registries() as client:
        client.repository(at(registry.host, "has/it")).upload(descriptor, lambda: path.open("rb"))
        other = client.repository(at(registry.host, "lacks/it"))
        registry.forget()
        assert other.upload(descriptor, lambda: path.open("rb"), ("no/body", "has/it")) == "mounted"
    assert not [a for a in registry.accesses() if a.method in ("PUT", "PATCH")]


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


def test_a_registry_that_restarts_in_the_middle(tmp_path, blob):
    path, descriptor = blob
    with (
        running(tmp_path / "restarted") as registry,
        relay(registry.port, Cut("up", 9 * MB, registry.restart)) as wire,
        registries() as client,
    ):
        repository = client.repository(at(wire.host))
        assert repository.upload(descriptor, lambda: path.open("rb")) == "uploaded"
        assert wire.cuts == []
        assert stored(registry, descriptor)
        wire.cuts.append(Cut("down", 9 * MB, registry.restart))
        assert read(repository, descriptor) == descriptor.digest
        assert wire.cuts == []


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


def test_many_threads(registry, tmp_path):
    contents = [random.randbytes(300_000) for _ in range(24)]
    described = [Descriptor(LAYER, Digest.sha256(c), len(c)) for c in contents]

    def there_and_back(number: int) -> bool:
        repository = client.repository(at(registry.host, f"thread/{number % 3}"))
        content, descriptor = contents[number], described[number]
        done = repository.upload(descriptor, lambda: io.BytesIO(content))
        return done == "uploaded" and read(repository, descriptor) == descriptor.digest

    with registries() as client, ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, range(len(contents))))


def test_htpasswd_over_tls(tmp_path, blob):
    path, descriptor = blob
    authority = Authority.make(tmp_path)
    certificate = authority.certify("registry")
    with running(tmp_path / "tls", users={"me": "pass:word"}, tls=certificate) as registry:
        known = credentials(tmp_path, **{registry.host: ME})
        with registries(credentials=known, ca=[authority.ca]) as client:
            repository = client.repository(at(registry.host))
            assert repository.upload(descriptor, lambda: path.open("rb")) == "uploaded"
            assert read(repository, descriptor) == descriptor.digest
        with registries(ca=[authority.ca]) as client, pytest.raises(RemoteError) as caught:
            client.repository(at(registry.host)).resolve("latest")
    assert caught.value.code == "registry-denied"
    assert f"login {registry.host}" in caught.value.hint


def test_tokens_over_tls(tmp_path, blob):
    """A realm on another port, trusted by its certificate; tokens that the registry verifies itself."""
    path, descriptor = blob
    authority = Authority.make(tmp_path)
    certificate = authority.certify("registry")
    tokens = Tokens({"me": "pass:word"}, public=False, signed_by=authority.certify("signer"))
    with TokenServer(tokens, tls=certificate.server_context()) as realm:
        section = realm.registry_section(authority)
        with running(tmp_path / "tokens", tls=certificate, auth=section) as registry:
            known = credentials(tmp_path, **{registry.host: ME})
            with registries(credentials=known, ca=[authority.ca]) as client:
                first, second = (client.repository(at(registry.host, p)) for p in ("a/b", "c/d"))
                assert first.upload(descriptor, lambda: path.open("rb")) == "uploaded"
                assert second.upload(descriptor, lambda: path.open("rb"), ("a/b",)) == "mounted"
                assert read(second, descriptor) == descriptor.digest
            assert tokens.issued == 3
            with registries(ca=[authority.ca]) as client, pytest.raises(RemoteError) as caught:
                client.repository(at(registry.host, "a/b")).resolve("latest")
    assert caught.value.code == "registry-denied"


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


def test_a_deleted_manifest(registry):
    index = Index(()).to_bytes()
    with registries() as client:
        repository = client.repository(at(registry.host, "deleted"))
        digest = repository.put_manifest(index, INDEX, "1")
        assert repository.resolve("1") == Descriptor(INDEX, digest, len(index))
        repository.delete(digest)
        assert repository.resolve("1") is None
        repository.delete(digest)


PROGRAM = """
import sys
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


def test_memory_does_not_grow_with_the_blob(registry, tmp_path):
    """Neither way, in megabytes at the highest; most of it is the interpreter with the tests' support."""
    path = tmp_path / "big"
    size = 134_000_000
    with path.open("wb+") as file:
        file.truncate(size)
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    for verb in ("upload", "download"):
        argv = [sys.executable, "-c", PROGRAM, verb, registry.host, digest, str(size), str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment())
        assert int(done.stdout) / 1024 < 80


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(sys.path)}
