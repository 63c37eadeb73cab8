"""How the client behaves towards odd but honest registries: how long it waits, what it shows, how it goes on."""

import gzip
import io
import json
from collections.abc import Iterator

import pytest
from support import badauth, badblobs, badmanifests, badpush  # noqa: F401 - each brings modes
from support.badregistry import BadRegistry, refuse
from support.distribution import (
    Clock,
    at,
    fill,
    pull,
    push,
    read,
    registries,
    sample,
)

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.client import RegistryError

IMAGE = sample()
BIG = IMAGE.manifest.layers[0]


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    with BadRegistry() as other, BadRegistry(other=other) as registry:
        fill(registry, IMAGE)
        yield registry


# --- patience


@pytest.mark.parametrize(
    ("mode", "waits"), [("blob-429", [1.0]), ("blob-503-date", [0.0]), ("push-429-once", [1.0])]
)
def test_waits_as_long_as_it_is_told(bad, mode, waits):
    bad.misbehave(mode)
    clock = Clock()
    with registries(clock=clock) as client:
        repository = client.repository(at(bad.host))
        if mode.startswith("push"):
            push(repository, sample(30_000))
        else:
            pull(repository)
    assert clock.slept == waits


def test_waits_longer_and_longer_where_it_is_told_nothing(bad):
    bad.misbehave("blob-500-twice")
    clock = Clock()
    with registries(clock=clock) as client:
        pull(client.repository(at(bad.host)))
    first, second = clock.slept
    assert 0 < first < second + 0.2 < 1


def test_a_registry_that_wants_too_long_a_wait_is_not_waited_for(bad):
    def take(exchange, asked):
        refuse(exchange, 429, "TOOMANYREQUESTS", "come back tomorrow", Retry_After="86400")
        return True

    bad.modes.insert(0, take)
    clock = Clock()
    with registries(clock=clock) as client, pytest.raises(RegistryError, match="tomorrow"):
        client.repository(at(bad.host)).resolve("latest")
    assert clock.slept == []


def test_a_cut_download_asks_for_the_rest_only(bad):
    bad.misbehave("blob-truncated-once")
    with registries() as client:
        read(client.repository(at(bad.host)), BIG)
    ranges = [s.headers.get("Range") for s in bad.asked("GET", BIG.digest)]
    assert ranges == [None, f"bytes={BIG.size // 2}-"]


def test_a_cut_upload_sends_the_rest_only(bad):
    bad.misbehave("push-half-taken")
    content = bytes(range(256)) * (10 << 12)
    blob = Descriptor("application/octet-stream", Digest.sha256(content), len(content))
    with registries() as client:
        repository = client.repository(at(bad.host))
        assert repository.upload(blob, lambda: io.BytesIO(content)) == "uploaded"
        assert read(repository, blob) == content
    sent = [int(s.headers["Content-Length"]) for s in bad.seen if s.method in ("PUT", "PATCH")]
    assert sent == [len(content), len(content) // 2, 0]


def test_a_registry_that_mounts_nothing_is_not_asked_for_ever(bad):
    bad.misbehave("push-denied-mount")
    content = b"never seen before"
    blob = Descriptor("application/octet-stream", Digest.sha256(content), len(content))
    with registries() as client:
        repository = client.repository(at(bad.host))
        sources = [f"shop/other{at}" for at in range(40)]
        assert repository.upload(blob, lambda: io.BytesIO(content), sources) == "uploaded"
    assert len(bad.asked("POST", "mount=")) == 3
    assert len(bad.asked("POST")) == 3  # the last refusal began the upload


# --- what is shown


def test_the_registrys_own_message(bad):
    def take(exchange, asked):
        if asked.kind != "manifest":
            return False
        message = "this repository was\x1b[31m closed\nask ops"
        refuse(exchange, 403, "DENIED", message)
        return True

    bad.modes.insert(0, take)
    with registries() as client, pytest.raises(RegistryError) as raised:
        client.repository(at(bad.host)).manifest("latest")
    assert "DENIED: this repository was [31m closed ask ops" in raised.value.message
    assert raised.value.exit_code == 4
    assert raised.value.status == 403


def test_a_refused_manifest_says_why(bad):
    bad.misbehave("push-manifest-400")
    with registries() as client, pytest.raises(RegistryError, match="the moon is in the wrong"):
        push(client.repository(at(bad.host)), IMAGE)


def test_a_wrong_digest_header_on_a_manifest_asked_for_by_digest(bad):
    bad.misbehave("manifest-wrong-digest-header")
    with registries() as client, pytest.raises(ContentError) as raised:
        client.repository(at(bad.host)).manifest(IMAGE.descriptor.digest)
    assert raised.value.code == "manifest-damaged"


def test_nothing_there(bad):
    with registries() as client:
        repository = client.repository(at(bad.host, "nobody/knows"))
        assert repository.resolve("latest") is None
        assert repository.manifest("latest") is None
        assert list(repository.tags()) == []
        assert not repository.has_blob(BIG.digest)
        with pytest.raises(BuildgraphError, match="blob unknown to registry"):
            read(repository, BIG)


# --- lists


def test_many_tags_come_in_pages(bad):
    stored = bad.repository("shop/api")
    names = [f"v{at:04}" for at in range(950)]
    stored.tags = dict.fromkeys(names, IMAGE.descriptor.digest)
    with registries() as client:
        assert list(client.repository(at(bad.host)).tags()) == names
    assert len(bad.asked("GET", "/tags/list")) == 10


def test_pages_without_an_end(bad):
    def take(exchange, asked):
        link = f'<{exchange.at}?n=1000&last=a>; rel="next"'
        exchange.answer(200, b'{"name": "x", "tags": ["a"]}', {"Link": link})
        return True

    bad.modes.insert(0, take)
    with registries() as client, pytest.raises(RegistryError, match="without an end"):
        list(client.repository(at(bad.host)).tags())


def test_a_next_page_on_another_host_is_refused(bad, tmp_path):
    def take(exchange, asked):
        link = f'<{bad.other.url}{exchange.path}>; rel="next"'
        exchange.answer(200, b'{"name": "x", "tags": ["a"]}', {"Link": link})
        return True

    bad.modes.insert(0, take)
    with registries() as client, pytest.raises(RegistryError, match="another host"):
        list(client.repository(at(bad.host)).tags())
    assert bad.other.seen == []


def test_referrers_where_the_registry_has_no_such_list(bad):
    """The specification's tag in its stead."""
    repository_of = bad.repository("shop/api")
    entry = {
        "mediaType": badmanifests.MANIFEST,
        "digest": Digest.sha256(b"signature"),
        "size": 9,
        "artifactType": "application/vnd.example.signature",
    }
    content = json.dumps(
        {"schemaVersion": 2, "mediaType": badmanifests.INDEX, "manifests": [entry]}
    ).encode()
    tag = IMAGE.descriptor.digest.replace(":", "-")
    repository_of.tag(tag, content, badmanifests.INDEX)
    with registries() as client:
        repository = client.repository(at(bad.host))
        found = repository.referrers(IMAGE.descriptor.digest)
        assert [d.digest for d in found] == [entry["digest"]]
        assert repository.referrers(IMAGE.descriptor.digest, "application/other") == ()
        assert repository.referrers(Digest.sha256(b"other")) == ()


# --- connections


def test_a_registry_of_http_1_0(tmp_path):
    class Old(BadRegistry):
        protocol = "HTTP/1.0"

    with Old() as old, registries() as client:
        push(client.repository(at(old.host)), IMAGE)
        assert pull(client.repository(at(old.host)))[0] == IMAGE.descriptor.digest


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
def test_a_connection_that_is_closed_as_it_is_used_again_costs_no_try(bad, method):
    """The race of every kept connection; seen by the client only after it has asked."""
    asked: dict[tuple[str, int], int] = {}

    def take(exchange, _asked):
        before = asked.setdefault(exchange.client_address, 0)
        asked[exchange.client_address] = before + 1
        if not before or exchange.command != method:
            return False
        exchange.cut()
        return True

    bad.modes.insert(0, take)
    clock = Clock()
    with registries(clock=clock) as client:
        push(client.repository(at(bad.host, "shop/race")), IMAGE)
        assert pull(client.repository(at(bad.host, "shop/race")))[0] == IMAGE.descriptor.digest
    assert len(bad.clients) > 1
    assert clock.slept == []


def test_a_manifest_that_is_compressed_on_the_way_is_refused(bad):
    def take(exchange, asked):
        if asked.kind != "manifest":
            return False
        content = gzip.compress(IMAGE.manifest_bytes)
        kind = {"Content-Type": IMAGE.descriptor.media_type, "Content-Encoding": "gzip"}
        exchange.answer(200, content, kind)
        return True

    bad.modes.insert(0, take)
    with registries() as client, pytest.raises(ContentError):
        client.repository(at(bad.host)).manifest("1")
    assert all(s.headers["Accept-Encoding"] == "identity" for s in bad.seen)


@pytest.mark.parametrize(
    "link",
    [
        "<>; rel=next",
        "<file:///etc/passwd>; rel=next",
        "<//other.example/v2/>; rel=next",
        "<http://[::1/x>; rel=next",
        "<?n=1>; rel=next, " * 2000,
        "nonsense",
    ],
)
def test_hostile_links_end_a_list_or_are_refused(bad, link):
    def take(exchange, asked):
        exchange.answer(200, b'{"name": "x", "tags": ["a"]}', {"Link": link})
        return True

    bad.modes.insert(0, take)
    with registries() as client:
        try:
            found = list(client.repository(at(bad.host)).tags())
        except RegistryError as error:
            assert error.code in {"registry-location", "registry-pages"}  # noqa: PT017
        else:
            assert found == ["a"]
    assert len(bad.seen) < 5


@pytest.mark.parametrize(
    "document",
    [
        b'{"tags": [' + b"[" * 100_000,
        b'{"tags": ["a"], "n": ' + b"9" * 100_000 + b"}",
        b'{"tags": [1, {}, null]}',
        b'{"tags": "' + b"x" * (5 << 20) + b'"}',
        b"[" + b"0," * 1_000_000 + b"0]",
    ],
)
def test_a_list_of_tags_that_is_a_bomb_is_refused(bad, document):
    def take(exchange, asked):
        exchange.answer(200, document)
        return True

    bad.modes.insert(0, take)
    with registries() as client, pytest.raises(ContentError):
        list(client.repository(at(bad.host)).tags())


def test_connections_are_kept(bad):
    with registries() as client:
        repository = client.repository(at(bad.host))
        push(repository, sample(30_000))
        pull(repository)
    assert len(bad.clients) == 1
