"""The ``auth-*`` modes: who may ask, and odd ways to say so; and ``upgrade-426``, ``drop-connection``.

The only user is ``me`` with the password ``pass:word``; nobody reads anything without being known.
"""

import base64
import itertools

from support.badregistry import Asked, BadRegistry, Mode, mode, refuse
from support.tokenserver import Tokens, TokenServer
from support.webserver import Exchange

USER, PASSWORD = "me", "pass:word"
_PUSHES = frozenset({"begin", "patch", "finish", "status", "put-manifest"})


def _unknown(exchange: Exchange, challenge: str | None) -> bool:
    headers = {"WWW_Authenticate": challenge} if challenge is not None else {}
    refuse(exchange, 401, "UNAUTHORIZED", "authentication required", **headers)
    return True


@mode("auth-basic")
def basic(registry: BadRegistry) -> Mode:
    right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def take(exchange: Exchange, asked: Asked) -> bool:
        if exchange.headers.get("Authorization") == right:
            return False
        return _unknown(exchange, 'Basic realm="tests"')

    return take


def bearer(registry: BadRegistry, tokens: Tokens, realm: str) -> Mode:
    """Asks for a token for what is done, of ``realm``; the registry itself answers at ``/token``, too."""
    tokens.public = False

    def take(exchange: Exchange, asked: Asked) -> bool:
        if asked.kind == "token":
            tokens.answer(exchange)
            return True
        action = "push" if asked.kind in _PUSHES else "pull"
        if tokens.allows(exchange, asked.name, action):
            return False
        actions = "pull,push" if action == "push" else "pull"
        scope = f',scope="repository:{asked.name}:{actions}"' if asked.name else ""
        return _unknown(exchange, f'Bearer realm="{realm}",service="tests"{scope}')

    return take


def _users() -> Tokens:
    return Tokens({USER: PASSWORD})


@mode("auth-token")
def token(registry: BadRegistry) -> Mode:
    tokens = _users()
    tokens.says, tokens.lifetime = ("token",), None
    return bearer(registry, tokens, f"{registry.url}/token")


@mode("auth-token-access")
def token_access(registry: BadRegistry) -> Mode:
    tokens = _users()
    tokens.says = ("access_token",)
    return bearer(registry, tokens, f"{registry.url}/token")


@mode("auth-token-expired")
def token_expired(registry: BadRegistry) -> Mode:
    """Every token is good for two requests."""
    tokens = _users()
    inner = bearer(registry, tokens, f"{registry.url}/token")
    count = itertools.count(1)

    def take(exchange: Exchange, asked: Asked) -> bool:
        taken = inner(exchange, asked)
        if not taken and next(count) % 2 == 0:
            tokens.expire()
        return taken

    return take


@mode("auth-token-short-lived")
def token_short_lived(registry: BadRegistry) -> Mode:
    """``expires_in`` of nothing at all, and below: what the specification calls an error of the server's."""
    tokens = _users()
    tokens.lifetime = -5
    return bearer(registry, tokens, f"{registry.url}/token")


@mode("auth-token-other-host")
def token_other_host(registry: BadRegistry) -> Mode:
    assert isinstance(registry.other, TokenServer)
    return bearer(registry, registry.other.tokens, registry.other.realm)


@mode("auth-token-redirect")
def token_redirect(registry: BadRegistry) -> Mode:
    """The realm is somewhere else now."""
    inner = bearer(registry, _users(), f"{registry.url}/token")

    def take(exchange: Exchange, asked: Asked) -> bool:
        if asked.kind == "token":
            location = f"{registry.other.url if registry.other else ''}{exchange.path}"
            exchange.answer(307, headers={"Location": location})
            return True
        return inner(exchange, asked)

    return take


@mode("auth-token-file")
def token_file(registry: BadRegistry) -> Mode:
    return bearer(registry, _users(), "file:///etc/passwd")


@mode("auth-token-garbage")
def token_garbage(registry: BadRegistry) -> Mode:
    inner = bearer(registry, _users(), f"{registry.url}/token")

    def take(exchange: Exchange, asked: Asked) -> bool:
        if asked.kind == "token":
            exchange.answer(200, b"<html>pass:word</html>")
            return True
        return inner(exchange, asked)

    return take


@mode("auth-loop")
def loop(registry: BadRegistry) -> Mode:
    return lambda exchange, asked: _unknown(exchange, 'Basic realm="tests"')


@mode("auth-bad-header")
def bad_header(registry: BadRegistry) -> Mode:
    return lambda exchange, asked: _unknown(exchange, 'Be@rer,,,"=realm="" scope')


@mode("auth-no-header")
def no_header(registry: BadRegistry) -> Mode:
    return lambda exchange, asked: _unknown(exchange, None)


@mode("auth-echo")
def echo(registry: BadRegistry) -> Mode:
    """Repeats what it was sent, as some proxies do."""

    def take(exchange: Exchange, asked: Asked) -> bool:
        sent = exchange.headers.get("Authorization", "")
        if not sent:
            return _unknown(exchange, 'Basic realm="tests"')
        plain = base64.b64decode(sent.partition(" ")[2]).decode()
        refuse(exchange, 403, "DENIED", f"not with {sent} which is {plain}")
        return True

    return take


@mode("upgrade-426")
def upgrade(registry: BadRegistry) -> Mode:
    def take(exchange: Exchange, asked: Asked) -> bool:
        exchange.answer(426, b"upgrade", {"Upgrade": "HTTP/9.9"})
        return True

    return take


@mode("drop-connection")
def drop(registry: BadRegistry) -> Mode:
    def take(exchange: Exchange, asked: Asked) -> bool:
        exchange.cut()
        return True

    return take


@mode("not-http")
def not_http(registry: BadRegistry) -> Mode:
    def take(exchange: Exchange, asked: Asked) -> bool:
        exchange.cut([b"220 mail.example ESMTP\r\n"])
        return True

    return take
