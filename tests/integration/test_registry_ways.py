"""Ways to a registry: mirrors that are asked before it, proxies that stand between."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from support import badauth, badblobs, badmanifests  # noqa: F401 - each brings modes
from support.badregistry import BadRegistry
from support.certificates import Authority
from support.distribution import (
    Clock,
    at,
    credentials,
    fill,
    nobody,
    pull,
    push,
    registries,
    sample,
)
from support.images import blobs_of
from support.proxy import Proxy, Socks
from support.registry import running

from buildgraph.errors import ContentError
from buildgraph.registry.client import Registries, RegistryError, Repository
from buildgraph.registry.configfile import HostTable
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.proxy import Proxies
from buildgraph.registry.settings import Settings

IMAGE = sample()
BIG = sample(3 << 20)
BIG_LAYERS = [blobs_of(BIG)[d.digest] for d in BIG.manifest.layers]
LAYERS = [blobs_of(IMAGE)[d.digest] for d in IMAGE.manifest.layers]


class Pair:
    """A registry that has the image, and a mirror that may."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.registry = stack.enter_context(BadRegistry())
        self.mirror = stack.enter_context(BadRegistry())
        fill(self.registry, IMAGE)

    def repository(self, path: str = "", who: Credentials | None = None) -> Repository:
        table = HostTable(mirrors=(self.mirror.host + path,))
        client = Registries(Settings({self.registry.host: table}), who or nobody(), clock=Clock())
        return self._stack.enter_context(client).repository(at(self.registry.host))

    def got(self) -> None:
        assert pull(self.repository()) == (IMAGE.descriptor.digest, LAYERS)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack)


@pytest.mark.parametrize("path", ["", "/cache/hub"])
def test_a_mirror_that_has_all_leaves_the_registry_alone(pair, path):
    fill(pair.mirror, IMAGE, f"{path.strip('/')}/shop/api".strip("/"))
    repository = pair.repository(path)
    pair.registry.seen.clear()
    assert pull(repository) == (IMAGE.descriptor.digest, LAYERS)
    assert pair.registry.asked("GET") == []
    assert repository.name == f"{pair.registry.host}/shop/api"


def test_what_a_mirror_lacks_comes_from_the_registry(pair):
    pair.got()
    assert pair.mirror.asked("GET")


def test_a_mirror_that_lacks_one_blob(pair):
    fill(pair.mirror, IMAGE)
    del pair.mirror.repository("shop/api").blobs[IMAGE.manifest.layers[0].digest]
    pair.got()
    assert len(pair.registry.asked("GET", "/blobs/")) == 1


@pytest.mark.parametrize(
    "mode",
    [
        "blob-truncated",
        "blob-404",
        "blob-short",
        "blob-long",
        "blob-429-forever",
        "blob-redirect-loop",
        "manifest-html",
        "manifest-huge",
        "manifest-by-digest-other",
        "auth-loop",
        "auth-bad-header",
        "drop-connection",
        "upgrade-426",
    ],
)
def test_a_mirror_that_misbehaves_is_passed_over(pair, mode):
    fill(pair.mirror, IMAGE)
    pair.mirror.misbehave(mode)
    pair.got()


def test_a_mirror_that_gives_other_bytes_forges_nothing(pair):
    """What was handed on already cannot be taken back: the read fails."""
    fill(pair.mirror, IMAGE)
    pair.mirror.misbehave("blob-wrong-bytes")
    with pytest.raises(ContentError) as raised:
        pull(pair.repository())
    assert raised.value.code == "blob-damaged"


def test_a_mirror_that_is_gone(pair):
    with BadRegistry() as gone:
        pass
    table = HostTable(mirrors=(gone.host,))
    with Registries(Settings({pair.registry.host: table}), nobody(), clock=Clock()) as client:
        assert pull(client.repository(at(pair.registry.host)))[1] == LAYERS


def test_nothing_is_pushed_to_a_mirror(pair):
    pair.registry.repositories.clear()
    push(pair.repository(), IMAGE)
    assert not any(s.method in ("POST", "PUT", "PATCH") for s in pair.mirror.seen)
    assert pair.registry.repository("shop/api").tags


def test_a_mirror_never_gets_the_registrys_password(pair, tmp_path):
    pair.registry.misbehave("auth-basic")
    pair.mirror.misbehave("auth-basic")
    who = credentials(tmp_path, **{pair.registry.host: "me:pass:word"})
    assert pull(pair.repository(who=who))[1] == LAYERS
    assert not any("Authorization" in s.headers for s in pair.mirror.seen)


def test_docker_registry_as_a_mirror(tmp_path):
    """One that fetches what it lacks."""
    with (
        running(tmp_path / "origin") as origin,
        running(tmp_path / "mirror", mirror_of=origin.url) as mirror,
    ):
        with registries() as client:
            push(client.repository(at(origin.host)), IMAGE)
        settings = Settings({origin.host: HostTable(mirrors=(mirror.host,))})
        origin.forget()
        with registries(settings) as client:
            assert pull(client.repository(at(origin.host)))[1] == LAYERS
        ours = [a.path for a in origin.accesses() if a.agent.startswith("buildgraph/")]
        assert not any("/blobs/" in path or "/manifests/" in path for path in ours)
        assert [a.path for a in mirror.accesses() if "/blobs/" in a.path]


# --- proxies


def through(proxy: Proxy | Socks, user: str = "", scheme: str = "http") -> Proxies:
    url = f"{scheme}://{user}{proxy.host}"
    return Proxies.of({"http_proxy": url, "https_proxy": url})


def named(registry: BadRegistry, **table: bool) -> Mapping[str, HostTable]:
    return {f"registry.test:{registry.port}": HostTable(**table)}


def test_plain_http_through_a_proxy():
    with BadRegistry() as registry, Proxy() as proxy:
        settings = Settings(named(registry, plain_http=True), proxies=through(proxy))
        registry_name = f"registry.test:{registry.port}"
        with registries(settings) as client:
            push(client.repository(at(registry_name)), IMAGE)
            assert pull(client.repository(at(registry_name)))[1] == LAYERS
        assert len(proxy.seen) == len(registry.seen)


def test_tls_through_a_proxy_that_wants_a_password(tmp_path):
    """The proxy sees a tunnel; its password goes to it and to nobody else."""
    authority = Authority.make(tmp_path)
    context = authority.certify("server").server_context()
    password = b64encode(b"proxy:pa/ss").decode()
    with BadRegistry(context) as registry, Proxy(password) as proxy:
        settings = Settings(proxies=through(proxy, "proxy:pa%2Fss@"), ca=(authority.ca,))
        with registries(settings) as client:
            push(client.repository(at(f"registry.test:{registry.port}")), IMAGE)
        assert {s.method for s in proxy.seen} == {"CONNECT"}
        assert not any("Proxy-Authorization" in s.headers for s in registry.seen)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses(tmp_path, scheme):
    with BadRegistry() as registry, Proxy("wanted") as proxy:
        settings = Settings(
            named(registry, plain_http=scheme == "http"), proxies=through(proxy, "me:hidden@")
        )
        with registries(settings) as client, pytest.raises(RegistryError) as raised:
            client.repository(at(f"registry.test:{registry.port}")).resolve("latest")
        assert registry.seen == []
    assert raised.value.code == (
        "registry-unreachable" if scheme == "https" else "registry-refused"
    )
    assert "407" in raised.value.message
    assert "hidden" not in raised.value.render()
    assert b64encode(b"me:hidden").decode() not in raised.value.render()


def test_a_proxy_that_is_not_there():
    proxies = Proxies.of({"https_proxy": "http://me:hidden@127.0.0.1:1"})
    with registries(Settings(proxies=proxies)) as client, pytest.raises(RegistryError) as raised:
        client.repository(at("registry.test:5000")).resolve("latest")
    assert raised.value.message == (
        "registry.test:5000 cannot be reached: its proxy 127.0.0.1:1: Connection refused"
    )


def test_this_machine_is_reached_directly():
    with BadRegistry() as registry, Proxy() as proxy:
        fill(registry, IMAGE)
        with registries(Settings(proxies=through(proxy))) as client:
            pull(client.repository(at(registry.host)))
        assert proxy.seen == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_reached_by_https(tmp_path, scheme):
    """For https there is TLS inside of TLS; who the proxy is is checked as for a registry."""
    authority = Authority.make(tmp_path)
    context = authority.certify("server").server_context()
    password = b64encode(b"proxy:word").decode()
    with (
        BadRegistry(context if scheme == "https" else None) as registry,
        Proxy(password, context) as proxy,
    ):
        hosts = {
            **named(registry, plain_http=scheme == "http"),
            f"127.0.0.1:{proxy.port}": HostTable(ca=(authority.ca,)),
        }
        ca = (authority.ca,) if scheme == "https" else ()
        proxies = through(proxy, "proxy:word@", "https")
        with registries(Settings(hosts, proxies=proxies, ca=ca)) as client:
            repository = client.repository(at(f"registry.test:{registry.port}"))
            push(repository, BIG)
            assert pull(repository)[1] == BIG_LAYERS
        assert {s.method == "CONNECT" for s in proxy.seen} == {scheme == "https"}
        strangers = Settings(named(registry), proxies=through(proxy, "", "https"))
        with registries(strangers) as client, pytest.raises(RegistryError) as raised:
            client.repository(at(f"registry.test:{registry.port}")).resolve("latest")
        assert "its certificate is refused" in raised.value.message


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["socks5", "socks5h"])
def test_a_socks_proxy(tmp_path, scheme, kind):
    authority = Authority.make(tmp_path)
    context = authority.certify("server").server_context() if scheme == "https" else None
    with BadRegistry(context) as registry, Socks("wo/rd") as proxy:
        settings = Settings(
            named(registry, plain_http=scheme == "http"),
            proxies=through(proxy, "me:wo%2Frd@", kind),
            ca=(authority.ca,),
        )
        with registries(settings) as client:
            repository = client.repository(at(f"registry.test:{registry.port}"))
            push(repository, BIG)
            assert pull(repository)[1] == BIG_LAYERS
        assert set(proxy.asked) == {"registry.test"}
        assert not any("Proxy-Authorization" in s.headers for s in registry.seen)


def test_a_socks_proxy_that_refuses():
    with BadRegistry() as registry, Socks("wanted") as proxy:
        settings = Settings(
            named(registry, plain_http=True), proxies=through(proxy, "me:hidden@", "socks5")
        )
        with registries(settings) as client, pytest.raises(RegistryError) as raised:
            client.repository(at(f"registry.test:{registry.port}")).resolve("latest")
        assert registry.seen == []
    assert raised.value.code == "registry-unreachable"
    assert "does not take the user and password" in raised.value.message
    assert "hidden" not in raised.value.render()
