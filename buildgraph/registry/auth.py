"""Who are we to a registry? Nobody, a name with a password, or the bearer of a token that its realm gave us.

Nothing is sent before the registry asks (401). It names how: ``Basic``, or ``Bearer`` with a realm, the address where
tokens are had for a service and scopes (distribution, "Token Authentication Specification"). A realm gets

    GET  realm?service=S&scope=A&scope=B       with Basic, or nothing at all
    POST realm  grant_type=refresh_token       when all that we have is an identity token

and answers ``token`` or ``access_token`` and how long it holds. A token is used again for every request whose scopes it
covers, until a tenth of its time is left or the registry refuses it.

**Credentials leave for the registry they were stored for, and for a realm that it names on its own origin or over
https; for a realm elsewhere over http only when the user stored some for that very host.**
"""

import json
import threading
from base64 import b64encode
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlencode

from buildgraph.registry.authfile import Credential
from buildgraph.registry.challenge import Challenge, actions, choose, parse_challenges, written
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.failure import RegistryError, blank
from buildgraph.registry.location import Origin, Url
from buildgraph.registry.transport import Request, Transport
from buildgraph.values import dataclass

_CLIENT: Final = "buildgraph"
_HOLDS: Final = 60.0
"""Seconds that a token is good for when its realm does not say."""
_LONGEST: Final = 64 << 10
_LARGEST_ANSWER: Final = 1 << 20

Actions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    covers: Actions
    until: float


class RegistryAuth:
    """One registry; what it asked for once is asked of nobody's request again."""

    def __init__(
        self, host: str, origin: Origin, credentials: Credentials, transport: Transport
    ) -> None:
        self.host = host
        self.origin = origin
        self.credentials = credentials
        self.transport = transport
        self.challenge: Challenge | None = None


class RepositoryAuth:
    """One repository, as :class:`buildgraph.registry.transport.Auth`. Safe to use from several threads.

    Credentials may be for a part of a registry only, so each repository has its own tokens.
    """

    def __init__(self, registry: RegistryAuth, path: str) -> None:
        self._registry = registry
        self._path = path
        self._lock = threading.RLock()
        self._used: list[Credential] = []
        self._tokens: list[_Token] = []
        self._extra: Actions = frozenset()

    def header(self, scopes: Sequence[str]) -> str | None:
        """Raises RegistryError when the realm gives no token."""
        with self._lock:
            challenge = self._registry.challenge
            if challenge is None:
                return None
            if challenge.scheme == "basic":
                credential = self._credential()
                return _basic(credential) if credential and credential.password else None
            return f"Bearer {self._token(actions(scopes))}"

    def challenged(self, asked: Sequence[str], scopes: Sequence[str], sent: str | None) -> bool:
        """Raises RegistryError (``registry-auth``) for a 401 that does not say what it wants."""
        found = choose(parse_challenges(asked))
        with self._lock:
            if found is None:
                raise self._misunderstood(asked)
            if sent is not None:
                return self._after_refusal(found, scopes, sent)
            self._registry.challenge = found
            if found.scheme == "bearer":
                # what it wants beyond what was thought to be needed, such as the catalog
                self._extra = actions([found.params.get("scope", "")]) - actions(scopes)
                return True
            return self.header(scopes) is not None

    def secrets(self) -> Sequence[str]:
        """What must never be shown."""
        with self._lock:
            found = [token.text for token in self._tokens]
            for credential in self._used:
                found += [credential.password, credential.identity_token]
                found.append(_basic(credential).removeprefix("Basic "))
            return [text for text in found if text]

    def _after_refusal(self, found: Challenge, scopes: Sequence[str], sent: str) -> bool:
        """A token may have run out, or be good for too little; a password is right or wrong."""
        if found.scheme == "basic":
            changed = self._registry.challenge is None or self._registry.challenge.scheme != "basic"
            self._registry.challenge = found
            return changed and self.header(scopes) not in (None, sent)
        self._registry.challenge = found
        self._tokens = [t for t in self._tokens if f"Bearer {t.text}" != sent]
        self._extra = actions([found.params.get("scope", "")]) - actions(scopes)
        return True

    def _misunderstood(self, asked: Sequence[str]) -> RegistryError:
        shown = blank("; ".join(asked)[:120], self.secrets())
        why = f"in a way that is not known: {shown!r}" if shown else "without saying how"
        return RegistryError("registry-auth", f"{self._registry.host} asks who we are {why}")

    def _credential(self, host: str = "") -> Credential | None:
        """The registry's, or those of another ``host``."""
        path = "" if host else self._path
        found = self._registry.credentials.find(host or self._registry.host, path)
        if found and found not in self._used:
            self._used.append(found)
        return found

    def _token(self, wanted: Actions) -> str:
        wanted |= self._extra
        now = self._registry.transport.clock.monotonic()
        self._tokens = [token for token in self._tokens if token.until > now]
        for token in self._tokens:
            if wanted <= token.covers:
                return token.text
        token = self._fetch(wanted)
        self._tokens.append(token)
        return token.text

    def _fetch(self, wanted: Actions) -> _Token:
        assert self._registry.challenge
        params = self._registry.challenge.params
        realm = self._realm(params["realm"])
        asked = [("scope", scope) for scope in written(wanted)]
        if service := params.get("service", ""):
            asked.insert(0, ("service", service))
        began = self._registry.transport.clock.monotonic()
        with self._registry.transport.send(self._ask(realm, asked)) as response:
            if response.status != 200:
                raise response.refused()
            content = response.read(_LARGEST_ANSWER)
        text, holds = _read_token(content, realm.origin.authority)
        return _Token(text, wanted, began + holds * 0.9)

    def _realm(self, text: str) -> Url:
        realm = Url.parse(text)
        if self._registry.origin.scheme == "https" and realm.origin.scheme != "https":
            raise RegistryError(
                "registry-auth",
                f"{self._registry.host} speaks https and wants its tokens fetched from {realm.shown} without",
            )
        return realm

    def _ask(self, realm: Url, asked: list[tuple[str, str]]) -> Request:
        credential = self._credential_for(realm)
        what = f"{self._registry.host} has no token for us at {realm.origin.authority}"
        blanks = _Sent(self)
        if credential and credential.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", credential.identity_token),
                ("client_id", _CLIENT),
                *((n, v) for n, v in asked if n == "service"),
                ("scope", " ".join(v for n, v in asked if n == "scope")),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, what, headers, urlencode(form).encode(), blanks)
        if credential and credential.password:
            asked = [("account", credential.username), *asked]
            blanks = _Sent(self, _basic(credential))
        query = urlencode(asked, quote_via=quote, safe=":/,")
        url = realm.with_query(query) if query else realm
        return Request("GET", url, what, auth=blanks)

    def _credential_for(self, realm: Url) -> Credential | None:
        """Those that may be sent to ``realm``; see the module's last paragraph."""
        if realm.origin == self._registry.origin or realm.origin.scheme == "https":
            return self._credential()
        return self._credential(realm.origin.authority)


class _Sent:
    """What is sent to a realm, as :class:`buildgraph.registry.transport.Auth`: it has no realm of its own."""

    def __init__(self, owner: RepositoryAuth, text: str | None = None) -> None:
        self._owner = owner
        self._text = text

    def header(self, _scopes: Sequence[str]) -> str | None:
        return self._text

    def challenged(self, _asked: Sequence[str], _scopes: Sequence[str], _sent: str | None) -> bool:
        return False

    def secrets(self) -> Sequence[str]:
        return self._owner.secrets()


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {b64encode(pair).decode()}"


def _read_token(content: bytes, host: str) -> tuple[str, float]:
    """The token, and how many seconds it holds."""
    try:
        answer = json.loads(content)
        text = answer.get("token") or answer.get("access_token")
        holds = answer.get("expires_in")
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryError("registry-auth", f"{host} answers no token, but nonsense") from error
    usable = isinstance(text, str) and text.isascii() and text.isprintable() and " " not in text
    if not usable or len(text) > _LONGEST:
        raise RegistryError("registry-auth", f"the answer of {host} holds no usable token")
    plain = isinstance(holds, int | float) and not isinstance(holds, bool) and holds > 0
    return text, min(float(holds), 86400.0) if plain else _HOLDS
