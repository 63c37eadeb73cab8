"""Whom the client trusts: who gets a credential, whose certificate counts, who is spoken to without encryption."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import badauth, badblobs, badmanifests, badpush  # noqa: F401 - each brings modes
from support.badregistry import BadRegistry
from support.certificates import Authority
from support.distribution import (
    at,
    credentials,
    fill,
    pull,
    push,
    read,
    registries,
    sample,
)
from support.images import blobs_of
from support.tokenserver import Tokens, TokenServer

from buildgraph.registry.authfile import Credential
from buildgraph.registry.client import RegistryError
from buildgraph.registry.settings import Settings

ME = f"{badauth.USER}:{badauth.PASSWORD}"
IMAGE = sample()
BIG = IMAGE.manifest.layers[0]


@pytest.fixture
def bad() -> Iterator[BadRegistry]:
    with BadRegistry() as other, BadRegistry(other=other) as registry:
        fill(registry, IMAGE)
        yield registry


def secrets_in(seen) -> bool:
    """Does any of the requests carry the password, in any form, or an Authorization header at all?"""
    return any("pass" in s.everything or "Authorization" in s.headers for s in seen)


# --- who gets a credential


def test_nothing_is_sent_before_it_is_asked_for(bad, tmp_path):
    with registries(credentials=credentials(tmp_path, **{bad.host: ME})) as client:
        pull(client.repository(at(bad.host)))
    assert not secrets_in(bad.seen)


@pytest.mark.parametrize("auth", ["auth-basic", "auth-token"])
def test_a_redirect_to_another_host_carries_no_credential(bad, tmp_path, auth):
    bad.misbehave(auth)
    bad.misbehave("blob-redirect-other")
    # the mode that was set last is asked first; who asks must be known all the same
    bad.modes.reverse()
    with registries(credentials=credentials(tmp_path, **{bad.host: ME})) as client:
        assert read(client.repository(at(bad.host)), BIG) == blobs_of(IMAGE)[BIG.digest]
    assert secrets_in(bad.seen)
    assert bad.other.asked("GET", BIG.digest)
    assert not secrets_in(bad.other.seen)


def test_an_upload_to_another_host_carries_no_credential(bad, tmp_path):
    bad.misbehave("push-location-other-host")
    bad.misbehave("auth-basic")
    bad.repositories.clear()
    with registries(credentials=credentials(tmp_path, **{bad.host: ME})) as client:
        push(client.repository(at(bad.host)), IMAGE)
    assert bad.other.asked("PUT", "/blobs/uploads/")
    assert not secrets_in(bad.other.seen)


@pytest.mark.parametrize("known", [False, True])
def test_a_realm_on_another_host_gets_only_what_is_meant_for_it(tmp_path, known):
    """Without encryption: anonymous, unless the user stored a credential for that very host."""
    with (
        TokenServer(Tokens({badauth.USER: badauth.PASSWORD})) as realm,
        BadRegistry(other=realm) as bad,
    ):
        fill(bad, IMAGE)
        bad.misbehave("auth-token-other-host")
        hosts = {bad.host: ME} | ({realm.host: ME} if known else {})
        with registries(credentials=credentials(tmp_path, **hosts)) as client:
            repository = client.repository(at(bad.host))
            if known:
                assert pull(repository)[0] == IMAGE.descriptor.digest
            else:
                with pytest.raises(RegistryError):
                    pull(repository)
        assert realm.seen
        assert secrets_in(realm.seen) is known


def test_a_realm_on_another_host_over_https(tmp_path):
    """As docker.io has it: the registry names the realm, and the connection to it is trusted."""
    authority = Authority.make(tmp_path)
    context = authority.certify("server").server_context()
    tokens = Tokens({badauth.USER: badauth.PASSWORD})
    with TokenServer(tokens, context) as realm, BadRegistry(context, realm) as bad:
        fill(bad, IMAGE)
        bad.misbehave("auth-token-other-host")
        who = credentials(tmp_path, **{bad.host: ME})
        with registries(credentials=who, ca=[authority.ca]) as client:
            assert pull(client.repository(at(bad.host)))[0] == IMAGE.descriptor.digest


@pytest.mark.parametrize("kind", ["password", "identity token"])
def test_a_realm_that_leads_elsewhere_takes_no_credential_along(bad, tmp_path, kind):
    bad.misbehave("auth-token-redirect")
    who = credentials(tmp_path, **{bad.host: ME})
    if kind == "identity token":
        who.store(bad.host, Credential("", identity_token="pass-token"))
    with registries(credentials=who) as client, pytest.raises(RegistryError):
        pull(client.repository(at(bad.host)))
    assert not secrets_in(bad.other.seen)


def test_an_identity_token_is_exchanged(bad, tmp_path):
    tokens = Tokens({badauth.USER: badauth.PASSWORD})
    bad.modes.insert(0, badauth.bearer(bad, tokens, f"{bad.url}/token"))
    who = credentials(tmp_path)
    who.store(bad.host, Credential("", identity_token=tokens.refresh_token(badauth.USER)))
    with registries(credentials=who) as client:
        pull(client.repository(at(bad.host)))
    asked = bad.asked("POST", "/token")
    assert len(asked) == 1
    assert b"grant_type=refresh_token" in asked[0].body


def test_one_token_serves_a_whole_pull(bad, tmp_path):
    bad.misbehave("auth-token")
    with registries(credentials=credentials(tmp_path, **{bad.host: ME})) as client:
        repository = client.repository(at(bad.host))
        pull(repository)
        pull(repository)
    assert len(bad.asked("GET", "/token")) == 1


def test_a_refusal_shows_no_credential(bad, tmp_path):
    bad.misbehave("auth-echo")
    with (
        registries(credentials=credentials(tmp_path, **{bad.host: ME})) as client,
        pytest.raises(RegistryError, match="not with") as raised,
    ):
        client.repository(at(bad.host)).manifest("latest")
    assert badauth.PASSWORD not in raised.value.render()
    assert "bWU6" not in raised.value.render()


# --- certificates and encryption


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority.make(tmp_path)


def served(context: ssl.SSLContext) -> BadRegistry:
    registry = BadRegistry(context)
    fill(registry, IMAGE)
    return registry


def refused(registry: BadRegistry, ca: Path | None = None, host: str = "") -> RegistryError:
    settings = Settings(ca=(ca,) if ca else ())
    with registries(settings) as client, pytest.raises(RegistryError) as raised:
        client.repository(at(host or registry.host)).resolve("latest")
    assert registry.seen == []
    return raised.value


def test_an_authority_of_the_users_own(authority):
    with (
        served(authority.certify("server").server_context()) as registry,
        registries(ca=[authority.ca]) as client,
    ):
        assert pull(client.repository(at(registry.host)))[0] == IMAGE.descriptor.digest


def test_a_certificate_that_nobody_vouches_for(authority):
    with served(authority.certify("server").server_context()) as registry:
        error = refused(registry)
    assert error.code == "registry-tls"
    assert "ca" in error.hint


def test_an_expired_certificate(authority):
    with served(authority.certify("server", days=-1).server_context()) as registry:
        error = refused(registry, authority.ca)
    assert error.code == "registry-tls"
    assert "expired" in error.message


def test_a_certificate_for_another_name(authority, elsewhere):
    with served(authority.certify("server").server_context()) as registry:
        error = refused(registry, authority.ca, f"other.test:{registry.port}")
    assert error.code == "registry-tls"


def test_a_client_certificate(authority, tmp_path):
    mine = authority.certify("me")
    context = authority.certify("server").server_context(clients=authority.ca)
    with served(context) as registry:
        assert (
            refused(registry, authority.ca).exit_code == 4
        )  # its alert may be lost with the connection
        config = tmp_path / "config.toml"
        config.write_text(
            f'[registry."{registry.host}"]\nca = "{authority.ca}"\n'
            f'client-cert = "{mine.cert}"\nclient-key = "{mine.key}"\n'
        )
        settings = Settings.load({"BUILDGRAPH_CONFIG": str(config)})
        with registries(settings) as client:
            assert pull(client.repository(at(registry.host)))[0] == IMAGE.descriptor.digest


@pytest.fixture
def elsewhere(monkeypatch) -> None:
    """registry.test and other.test are names of another machine, as far as the client can tell."""
    import socket

    find = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: find(
            "127.0.0.1" if host.endswith(b".test") else host, *rest, **more
        ),
    )


def test_plain_http_to_another_machine_is_refused(bad, elsewhere):
    error = refused(bad, host=f"registry.test:{bad.port}")
    assert error.exit_code == 4


def test_plain_http_to_another_machine_where_the_user_says_so(bad, elsewhere, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'[registry."registry.test:{bad.port}"]\nplain-http = true\n')
    with registries(Settings.load({"BUILDGRAPH_CONFIG": str(config)})) as client:
        repository = client.repository(at(f"registry.test:{bad.port}"))
        assert pull(repository)[0] == IMAGE.descriptor.digest
