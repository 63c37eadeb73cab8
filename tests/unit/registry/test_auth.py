"""Who we are to a registry: what is sent where, what is kept, what runs out."""

import json
from base64 import b64encode
from typing import Self
from urllib.parse import parse_qs, urlsplit

import pytest

from buildgraph.registry.auth import RegistryAuth, RepositoryAuth
from buildgraph.registry.authfile import Credential
from buildgraph.registry.failure import RegistryError, refusal
from buildgraph.registry.location import Url
from buildgraph.registry.transport import Request

PULL = ("repository:a/b:pull",)
PUSH = ("repository:a/b:pull,push",)
ME = Credential("me", "pass:word")
BASIC = f"Basic {b64encode(b'me:pass:word').decode()}"
BEARER = ['Bearer realm="https://auth.test/token?x=1",service="s",scope="repository:a/b:pull"']


class Answer:
    def __init__(self, status: int, document: object, request: Request) -> None:
        self.status = status
        self.content = json.dumps(document).encode()
        self.request = request

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, limit: int) -> bytes:
        return self.content[:limit]

    def refused(self) -> RegistryError:
        return refusal("registry-denied", self.request.what, self.status, "", self.content, ())


class Realm:
    """A transport whose only host gives tokens, and its clock; ``asked`` are the requests with their headers."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, str | None]] = []
        self.answers = iter({"token": f"t{n}", "expires_in": 100} for n in range(99))
        self.status = 200
        self.now = 0.0
        self.clock = self

    def monotonic(self) -> float:
        return self.now

    def send(self, request: Request) -> Answer:
        assert request.auth
        self.asked.append((request, request.auth.header(())))
        return Answer(self.status, next(self.answers), request)

    def query(self, at: int = -1) -> dict[str, list[str]]:
        return parse_qs(urlsplit(str(self.asked[at][0].url)).query)


class Wallet:
    def __init__(self, **credentials: Credential) -> None:
        self.known = {host.replace("_", "."): c for host, c in credentials.items()}
        self.asked: list[tuple[str, str]] = []

    def find(self, host: str, repository: str = "") -> Credential | None:
        self.asked.append((host, repository))
        return self.known.get(host)


@pytest.fixture
def realm() -> Realm:
    return Realm()


def auth_of(realm: Realm, wallet: Wallet, base: str = "https://registry.test/") -> RepositoryAuth:
    registry = RegistryAuth("registry.test", Url.parse(base).origin, wallet, realm)
    return RepositoryAuth(registry, "a/b")


def test_nothing_is_sent_before_it_is_asked_for(realm):
    wallet = Wallet(registry_test=ME)
    assert auth_of(realm, wallet).header(PULL) is None
    assert wallet.asked == []


def test_basic(realm):
    auth = auth_of(realm, Wallet(registry_test=ME))
    assert auth.challenged(['Basic realm="x"'], PULL, None)
    assert auth.header(PULL) == BASIC
    assert not auth.challenged(['Basic realm="x"'], PULL, BASIC)


def test_basic_without_a_credential_is_not_tried(realm):
    assert not auth_of(realm, Wallet()).challenged(["Basic realm=x"], PULL, None)


def test_a_token_for_a_password(realm):
    auth = auth_of(realm, Wallet(registry_test=ME))
    assert auth.challenged(BEARER, PULL, None)
    assert auth.header(PULL) == "Bearer t0"
    assert realm.asked[0][1] == BASIC
    assert realm.query() == {
        "x": ["1"],
        "account": ["me"],
        "service": ["s"],
        "scope": ["repository:a/b:pull"],
    }


def test_a_token_for_nobody(realm):
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PULL, None)
    assert auth.header(PULL) == "Bearer t0"
    assert realm.asked[0][1] is None
    assert "account" not in realm.query()


def test_a_token_for_an_identity_token(realm):
    auth = auth_of(realm, Wallet(registry_test=Credential("", identity_token="identity")))
    auth.challenged(BEARER, PUSH, None)
    assert auth.header(PUSH) == "Bearer t0"
    request, header = realm.asked[0]
    assert (request.method, header) == ("POST", None)
    assert "identity" not in str(request.url)
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["identity"],
        "client_id": ["buildgraph"],
        "service": ["s"],
        "scope": ["repository:a/b:pull,push"],
    }
    assert "identity" in auth.secrets()


def test_a_token_serves_all_that_it_covers(realm):
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PUSH, None)
    assert [auth.header(PUSH), auth.header(PULL), auth.header(PUSH)] == ["Bearer t0"] * 3
    assert auth.header(("repository:other:pull",)) == "Bearer t1"


def test_a_token_that_runs_out_is_renewed_before_it_does(realm):
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PULL, None)
    auth.header(PULL)
    realm.now = 89.0
    assert auth.header(PULL) == "Bearer t0"
    realm.now = 91.0
    assert auth.header(PULL) == "Bearer t1"


def test_a_refused_token_is_renewed_once(realm):
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PULL, None)
    assert auth.challenged(BEARER, PULL, auth.header(PULL))
    assert auth.header(PULL) == "Bearer t1"


def test_what_the_registry_wants_beyond_what_was_thought(realm):
    auth = auth_of(realm, Wallet())
    auth.challenged(['Bearer realm="https://auth.test/",scope="registry:catalog:*"'], PULL, None)
    auth.header(PULL)
    assert realm.query()["scope"] == ["registry:catalog:*", "repository:a/b:pull"]


@pytest.mark.parametrize(
    ("document", "seconds"),
    [
        ({"access_token": "t"}, 54),
        ({"token": "t", "expires_in": 0}, 54),
        ({"token": "t", "expires_in": "soon"}, 54),
        ({"token": "t", "expires_in": True}, 54),
        ({"token": "t", "expires_in": 1e300}, 77_760),
    ],
)
def test_how_long_a_token_holds(realm, document, seconds):
    realm.answers = iter([document, {"token": "later"}])
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PULL, None)
    auth.header(PULL)
    realm.now = seconds - 1
    assert auth.header(PULL) == "Bearer t"
    realm.now = seconds + 1
    assert auth.header(PULL) == "Bearer later"


@pytest.mark.parametrize(
    "document",
    [{}, [], "text", None, {"token": 7}, {"token": ""}, {"token": "a\r\nX: y"}, {"token": "é"}],
)
def test_an_answer_without_a_token(realm, document):
    realm.answers = iter([document])
    auth = auth_of(realm, Wallet())
    auth.challenged(BEARER, PULL, None)
    with pytest.raises(RegistryError) as caught:
        auth.header(PULL)
    assert caught.value.code == "registry-auth"


def test_a_realm_that_refuses(realm):
    realm.status = 401
    realm.answers = iter([{"errors": [{"code": "UNAUTHORIZED", "message": "who?"}]}])
    auth = auth_of(realm, Wallet(registry_test=ME))
    auth.challenged(BEARER, PULL, None)
    with pytest.raises(RegistryError, match="who\\?") as caught:
        auth.header(PULL)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("asked", [[], ["nonsense!"], ["Digest realm=x"], ["Bearer service=x"]])
def test_a_challenge_that_is_not_understood(realm, asked):
    with pytest.raises(RegistryError) as caught:
        auth_of(realm, Wallet()).challenged(asked, PULL, None)
    assert caught.value.code == "registry-auth"


@pytest.mark.parametrize(
    ("base", "address", "sent"),
    [
        ("https://registry.test/", "https://registry.test/token", BASIC),
        ("https://registry.test/", "https://auth.test/token", BASIC),
        ("http://registry.test/", "http://registry.test/token", BASIC),
        ("http://registry.test/", "https://auth.test/token", BASIC),
        ("http://registry.test/", "http://registry.test:81/token", None),
        ("http://registry.test/", "http://auth.test/token", None),
    ],
)
def test_where_a_password_may_go(realm, base, address, sent):
    auth = auth_of(realm, Wallet(registry_test=ME), base)
    auth.challenged([f'Bearer realm="{address}"'], PULL, None)
    assert auth.header(PULL) == "Bearer t0"
    assert realm.asked[0][1] == sent


def test_a_realm_elsewhere_gets_what_was_stored_for_it(realm):
    other = Credential("you", "other")
    auth = auth_of(realm, Wallet(registry_test=ME, auth_test=other), "http://registry.test/")
    auth.challenged(['Bearer realm="http://auth.test/token"'], PULL, None)
    auth.header(PULL)
    assert realm.asked[0][1] == f"Basic {b64encode(b'you:other').decode()}"


@pytest.mark.parametrize("address", ["http://registry.test/token", "file:///etc/passwd", "/token"])
def test_a_realm_that_nobody_should_ask(realm, address):
    auth = auth_of(realm, Wallet(registry_test=ME))
    auth.challenged([f'Bearer realm="{address}"'], PULL, None)
    with pytest.raises(RegistryError):
        auth.header(PULL)
    assert realm.asked == []


def test_secrets_are_known_to_whoever_blanks_them(realm):
    auth = auth_of(realm, Wallet(registry_test=ME))
    auth.challenged(BEARER, PULL, None)
    auth.header(PULL)
    assert {"pass:word", "t0", BASIC.removeprefix("Basic ")} <= set(auth.secrets())
