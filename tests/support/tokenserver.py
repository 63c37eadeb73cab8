"""A token server of the tests' own (distribution's "token" and "oauth2" specifications): passwords and refresh tokens in,
bearer tokens out, opaque ones or, for docker-registry, JSON web tokens that a test's authority vouches for."""

import base64
import json
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.badregistry import form
from support.certificates import Authority, Certificate
from support.webserver import Exchange, Web

ISSUER = "tests"


@dataclass
class Tokens:
    """``users`` are names and passwords; nobody gets ``pull`` anonymously where ``public`` is false.

    ``says`` are the names under which the answer has the token. ``granted`` are the scopes of the tokens that hold.
    """

    users: Mapping[str, str]
    says: tuple[str, ...] = ("token", "access_token")
    lifetime: int | None = 300
    public: bool = True
    signed_by: Certificate | None = None
    granted: dict[str, str] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)
    issued: int = 0

    def answer(self, exchange: Exchange) -> None:
        asked = form(exchange)
        user = self._user(exchange, asked)
        if user is None:
            exchange.answer(
                401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}'
            )
            return
        scope = self._allowed(asked.get("scope", ""), user)
        token = self._token(scope, asked.get("service", ""), user)
        self.granted[token] = scope
        content: dict[str, object] = dict.fromkeys(self.says, token)
        if self.lifetime is not None:
            content["expires_in"] = self.lifetime
        if user and (asked.get("offline_token") or asked.get("access_type")):
            content["refresh_token"] = self.refresh_token(user)
        exchange.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def refresh_token(self, user: str) -> str:
        token = f"refresh-{user}-{len(self.refreshes)}"
        self.refreshes[token] = user
        return token

    def allows(self, exchange: Exchange, repository: str, action: str) -> bool:
        """Does the request carry a token that holds, for this?"""
        kind, _, token = exchange.headers.get("Authorization", "").partition(" ")
        scopes = self.granted.get(token, "").split() if kind == "Bearer" else []
        pairs = [scope.removeprefix("repository:").rpartition(":") for scope in scopes]
        if not repository:
            return token in self.granted
        return any(name == repository and action in acts.split(",") for name, _, acts in pairs)

    def expire(self) -> None:
        """All tokens that were given out are no longer good for anything."""
        self.granted.clear()

    def _user(self, exchange: Exchange, asked: Mapping[str, str]) -> str | None:
        """Empty for nobody in particular, None for a wrong password or token."""
        kind, _, blob = exchange.headers.get("Authorization", "").partition(" ")
        name = password = ""
        if kind == "Basic":
            name, _, password = base64.b64decode(blob).decode().partition(":")
        match asked.get("grant_type", "basic" if kind == "Basic" else ""):
            case "refresh_token":
                return self.refreshes.get(asked.get("refresh_token", ""))
            case "password":
                name, password = asked.get("username", ""), asked.get("password", "")
                return name if self.users.get(name) == password else None
            case "basic":
                return name if self.users.get(name) == password else None
            case _:
                return ""

    def _allowed(self, scope: str, user: str) -> str:
        if user:
            return scope
        pulls = [s.rpartition(":")[0] + ":pull" for s in scope.split() if self.public]
        return " ".join(pulls)

    def _token(self, scope: str, service: str, user: str) -> str:
        self.issued += 1
        if not self.signed_by:
            return f"token-{self.issued}"
        access = [
            dict(
                zip(
                    ("type", "name", "actions"),
                    (*part.split(":", 1)[:1], *_rest(part)),
                    strict=True,
                )
            )
            for part in scope.split()
        ]
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": user, "aud": service, "access": access, "jti": str(self.issued),
            "nbf": now - 10, "iat": now, "exp": now + (self.lifetime or 300),
        }  # fmt: skip
        return _signed(claims, self.signed_by)


class TokenServer(Web):
    def __init__(self, tokens: Tokens, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.tokens = tokens

    @property
    def realm(self) -> str:
        return f"{self.url}/token"

    def respond(self, exchange: Exchange) -> None:
        self.tokens.answer(exchange)

    def registry_section(self, authority: Authority) -> dict[str, object]:
        """What docker-registry's configuration says so that it sends its clients here."""
        return {
            "token": {
                "realm": self.realm,
                "service": "tests",
                "issuer": ISSUER,
                "rootcertbundle": str(authority.ca),
            }
        }


def _rest(scope: str) -> tuple[str, list[str]]:
    name, _, actions = scope.split(":", 1)[1].rpartition(":")
    return name, actions.split(",")


def _signed(claims: Mapping[str, object], certificate: Certificate) -> str:
    """RFC 7515 with ES256 and the certificate in the header."""
    der = ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())
    head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
    content = f"{_base64(json.dumps(head).encode())}.{_base64(json.dumps(claims).encode())}"
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(certificate.key)],
        input=content.encode(),
        capture_output=True,
        check=True,
    ).stdout
    return f"{content}.{_base64(_plain(signature))}"


def _plain(signature: bytes) -> bytes:
    """The two numbers of a DER sequence, 32 bytes each."""
    first = signature[4 : 4 + signature[3]]
    second = signature[6 + len(first) :]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
