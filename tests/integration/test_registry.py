"""The registry client and Debian's docker-registry: open, with passwords over TLS, and with a token server."""

import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.badmanifests import INDEX
from support.certificates import Authority
from support.distribution import at, credentials, descriptors, pull, push, read, registries, sample
from support.images import blobs_of
from support.registry import Registry, running
from support.tokenserver import Tokens, TokenServer

from buildgraph.digest import Digest
from buildgraph.errors import RemoteError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.client import Registries, RegistryError, Repository

USERS = {"me": "pass:word"}
IMAGE = sample()
BLOB = "application/octet-stream"


@dataclass
class Served:
    registry: Registry
    folder: Path
    authority: Authority | None = None
    clients: ExitStack = field(default_factory=ExitStack)

    def client(self, user: str = "me:pass:word") -> Registries:
        who = credentials(self.folder, **{self.registry.host: user}) if user else None
        ca = [self.authority.ca] if self.authority else []
        return self.clients.enter_context(registries(credentials=who, ca=ca))

    def repository(self, path: str = "shop/api", user: str = "me:pass:word") -> Repository:
        return self.client(user).repository(at(self.registry.host, path))

    def moved(self, *methods: str) -> list[str]:
        return [a.path for a in self.registry.accesses() if a.method in methods and a.uploads]


@pytest.fixture(scope="module", params=["open", "passwords", "tokens"])
def started(request, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        authority = None if request.param == "open" else Authority.make(folder)
        tls = authority.certify("server") if authority else None
        users, auth = (USERS if request.param == "passwords" else None), None
        if request.param == "tokens":
            assert authority
            assert tls
            tokens = Tokens(USERS, public=False, signed_by=authority.certify("signer"))
            realm = stack.enter_context(TokenServer(tokens, tls.server_context()))
            auth = realm.registry_section(authority)
        registry = stack.enter_context(running(folder / "r", users=users, tls=tls, auth=auth))
        yield Served(registry, folder, authority)


@pytest.fixture
def served(started) -> Iterator[Served]:
    """Without what earlier tests asked; each test uses repositories and images of its own."""
    started.registry.forget()
    with started.clients:
        yield started


def blob(content: bytes) -> Descriptor:
    return Descriptor(BLOB, Digest.sha256(content), len(content))


def test_what_is_pushed_is_read_back(served):
    repository = served.repository("there/and-back")
    push(repository, IMAGE, "1.0")
    for reference in ("1.0", IMAGE.descriptor.digest):
        found = repository.resolve(reference)
        assert (found.digest, found.size) == (IMAGE.descriptor.digest, IMAGE.descriptor.size)
        assert repository.manifest(reference).content == IMAGE.manifest_bytes
        assert pull(repository, reference)[1] == [
            blobs_of(IMAGE)[d.digest] for d in IMAGE.manifest.layers
        ]


def test_a_second_push_sends_nothing(served):
    source = sample(21_000)
    assert set(push(served.repository("again"), source)) == {"uploaded"}
    served.registry.forget()
    assert set(push(served.repository("again"), source)) == {"present"}
    assert served.moved("POST", "PATCH", "PUT") == []


def test_another_repository_mounts(served):
    source = sample(22_000)
    push(served.repository("mount/from"), source)
    served.registry.forget()
    target = served.repository("mount/to")
    for descriptor in descriptors(source):
        assert target.upload(descriptor, _unread, ["mount/nowhere", "mount/from"]) == "mounted"
    assert served.moved("PATCH", "PUT") == []
    for descriptor in descriptors(source):
        assert read(target, descriptor) == blobs_of(source)[descriptor.digest]


def _unread() -> io.BytesIO:
    raise AssertionError("nothing is to be sent")


def test_what_is_not_there(served):
    repository = served.repository("nothing/here")
    assert repository.resolve("latest") is None
    assert repository.manifest(IMAGE.descriptor.digest) is None
    assert not repository.has_blob(IMAGE.descriptor.digest)
    assert list(repository.tags()) == []
    with pytest.raises(RegistryError, match="does not give") as raised:
        read(repository, blob(b"nowhere"))
    assert raised.value.status == 404


def test_a_manifest_without_its_blobs_is_refused_in_the_registrys_words(served):
    source = sample(23_000)
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
        served.repository("hollow").put_manifest(
            source.manifest_bytes, source.descriptor.media_type, "latest"
        )


def test_an_empty_blob_and_one_that_is_empty_in_the_middle(served):
    repository = served.repository("edges")
    for content in (b"", b"x", b"\0" * 3_000_000 + b"x"):
        assert repository.upload(blob(content), lambda c=content: io.BytesIO(c)) == "uploaded"
        assert read(repository, blob(content)) == content


def test_tags_and_deletion(served):
    repository = served.repository("tagged")
    push(repository, IMAGE, "b")
    push(repository, IMAGE, "a")
    assert sorted(repository.tags()) == ["a", "b"]
    repository.delete(IMAGE.descriptor.digest)
    assert repository.resolve("a") is None
    repository.delete(IMAGE.descriptor.digest)  # it is gone already


def test_referrers_through_their_tag(served):
    """docker-registry 2.8 has no such list."""
    repository = served.repository("signed")
    push(repository, IMAGE)
    digest = IMAGE.descriptor.digest
    assert repository.referrers(digest) == ()
    entry = (
        f'{{"mediaType": "{IMAGE.descriptor.media_type}", "digest": "{digest}", "size": {IMAGE.descriptor.size}, '
        '"artifactType": "application/vnd.example.sbom"}'
    )
    content = f'{{"schemaVersion": 2, "mediaType": "{INDEX}", "manifests": [{entry}]}}'.encode()
    repository.put_manifest(content, INDEX, digest.replace(":", "-"))
    assert [d.digest for d in repository.referrers(digest, "application/vnd.example.sbom")] == [
        digest
    ]


def test_many_threads_share_a_client(served):
    client = served.client()
    source = sample(24_000)
    push(client.repository(at(served.registry.host, "threads/0")), source)

    def work(number: int) -> bool:
        repository = client.repository(at(served.registry.host, f"threads/{number}"))
        push(repository, source)
        return pull(repository)[0] == source.descriptor.digest

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(1, 17)))


@pytest.mark.parametrize("user", ["", "me:wrong-word", "nobody:pass:word"])
def test_strangers_are_refused(served, user):
    if served.authority is None:
        push(served.repository("for/all", user), IMAGE)
        return
    with pytest.raises(RemoteError) as raised:
        push(served.repository("for/all", user), IMAGE)
    assert raised.value.code == "registry-denied"
    assert raised.value.exit_code == 4
    assert "word" not in raised.value.render()
    assert "login" in raised.value.hint


# --- a registry that goes down and comes back


@pytest.fixture
def registry(tmp_path) -> Iterator[Registry]:
    with running(tmp_path / "r") as registry:
        yield registry


class Watched(io.BytesIO):
    """Does something once, when so much has been read."""

    def __init__(self, content: bytes, after: int, act) -> None:
        super().__init__(content)
        self.after, self.act, self.count = after, act, 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.count += len(content)
        if self.act and self.count >= self.after:
            act, self.act = self.act, None
            act()
        return content


def test_a_registry_that_restarts_in_the_middle_of_a_push(registry):
    """The blob that was cut goes again: docker-registry 2.8 takes up no upload that ended within a request."""
    content = bytes(range(256)) * (24 << 12)
    opened = iter([Watched(content, 16 << 20, registry.restart), io.BytesIO(content)])
    with registries() as client:
        repository = client.repository(at(registry.host, "big"))
        push(repository, IMAGE)
        registry.forget()
        assert repository.upload(blob(content), lambda: next(opened)) == "uploaded"
        assert read(repository, blob(content)) == content
        assert set(push(repository, IMAGE)) == {"present"}
    assert [a.method for a in registry.accesses() if a.uploads] == ["POST", "GET", "POST", "PUT"]


def test_a_registry_that_restarts_in_the_middle_of_a_download(registry):
    content = bytes(range(256)) * (24 << 12)
    with registries() as client:
        repository = client.repository(at(registry.host, "big"))
        repository.upload(blob(content), lambda: io.BytesIO(content))
        with repository.open_blob(blob(content)) as stream:
            begin = stream.read(8 << 20)
            registry.restart()
            assert begin + stream.read() == content
    asked = [a.status for a in registry.accesses() if a.method == "GET" and "sha256" in a.path]
    assert asked[-1] == 206


def test_a_registry_that_is_gone(registry):
    with registries() as client:
        repository = client.repository(at(registry.host, "big"))
        registry.stop()
        with pytest.raises(RegistryError, match="cannot be reached") as raised:
            push(repository, IMAGE)
    assert raised.value.code == "registry-unreachable"


_MEMORY = """
import re, sys
from pathlib import Path
from buildgraph.digest import Digest
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.client import Registries
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
host, file, digest = sys.argv[1:]
path = Path(file)
blob = Descriptor("application/octet-stream", Digest.parse(digest), path.stat().st_size)
with Registries(Settings(), Credentials((), {})) as client:
    repository = client.repository(Reference.parse(f"{host}/big"))
    assert repository.upload(blob, lambda: path.open("rb")) == "uploaded"
    with repository.open_blob(blob) as stream:
        while stream.read(1 << 20):
            pass
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_a_blob(registry, tmp_path):
    path = tmp_path / "blob"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, registry.host, path, f"sha256:{digest[:64]}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80 << 10
