"""Where requests go when the first place does not do: another mirror, another host, https instead of http."""

import pytest
from support import badblobs  # noqa: F401 - brings modes
from support.badregistry import BadRegistry
from support.certificates import Authority
from support.distribution import (
    PATIENCE,
    at,
    fill,
    pull,
    read,
    registries,
    sample,
)
from support.images import blobs_of

from buildgraph.errors import ContentError, UsageError
from buildgraph.registry.client import Registries
from buildgraph.registry.settings import HostTable, Settings

IMAGE = sample()
LAYER = IMAGE.manifest.layers[0]


@pytest.fixture
def origin():
    with BadRegistry() as registry:
        yield registry


@pytest.fixture
def mirror():
    with BadRegistry() as registry:
        yield registry


def mirrored(origin: BadRegistry, mirror: BadRegistry) -> Registries:
    hosts = {origin.host: HostTable(mirrors=(mirror.host,))}
    return registries(Settings(hosts, timeouts=PATIENCE))


def test_a_mirror_that_breaks_off_again_and_again(origin, mirror):
    """The rest comes from the registry."""
    fill(origin, IMAGE)
    fill(mirror, IMAGE)
    mirror.misbehave("blob-truncated")
    with mirrored(origin, mirror) as client:
        content = read(client.repository(at(origin.host)), LAYER)
    assert content == blobs_of(IMAGE)[LAYER.digest]
    (last,) = origin.asked("GET", "/blobs/")
    assert last.headers["Range"].startswith("bytes=")


def test_a_mirror_with_other_bytes_is_not_asked_twice(origin, mirror):
    fill(origin, IMAGE)
    fill(mirror, IMAGE)
    mirror.misbehave("blob-wrong-bytes")
    with mirrored(origin, mirror) as client:
        repository = client.repository(at(origin.host))
        with pytest.raises(ContentError, match=mirror.host):
            read(repository, LAYER)
        assert read(repository, LAYER) == blobs_of(IMAGE)[LAYER.digest]


def test_a_proxy_of_another_kind_is_refused():
    settings = Settings(
        proxies=Settings.load({"https_proxy": "socks4://u:secret@proxy.test"}).proxies
    )
    with registries(settings) as client, pytest.raises(UsageError) as caught:
        client.repository(at("registry.test")).resolve("latest")
    assert caught.value.code == "unsupported-proxy"
    assert "secret" not in caught.value.render()


def test_tls_on_this_machine_is_found_out(tmp_path):
    authority = Authority.make(tmp_path)
    with BadRegistry(authority.certify("server").server_context()) as registry:
        fill(registry, IMAGE)
        config = {registry.host: HostTable(plain_http=True)}
        with registries(Settings(hosts=config, ca=(authority.ca,))) as client:
            assert pull(client.repository(at(registry.host)))[0] == IMAGE.descriptor.digest


def test_a_registry_that_answers_blobs_from_elsewhere(origin, mirror):
    """A blob behind a redirect is verified like any other, and its connection is kept."""

    def elsewhere(exchange, asked):
        if asked.kind != "blob":
            return False
        exchange.answer(307, headers={"Location": f"{mirror.url}/v2/shop/api/blobs/{asked.rest}"})
        return True

    fill(origin, IMAGE)
    fill(mirror, IMAGE)
    origin.modes.append(elsewhere)
    with registries() as client:
        assert pull(client.repository(at(origin.host)))[0] == IMAGE.descriptor.digest
    assert len(mirror.clients) == 1
