"""What does ``WWW-Authenticate`` ask for? (RFC 9110, section 11; distribution's token specification.)

    Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull"
    Basic realm="x", Bearer realm="…"           several in one header, or in several headers

Nonsense is no challenge: it is left out, never an exception.
"""

import re
from collections.abc import Iterable, Mapping

from buildgraph.values import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of the grammar
_SCHEME = rf"[\s,]*({_TOKEN})(?=[\s,]|$)(?!\s*=\s*[^=\s,])"
_PARAM = rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[\s,]|$)'
_TOKEN68 = r"\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))"
_ESCAPE = r"\\(.)"


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` and the names of ``params`` in lower case."""

    scheme: str
    params: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    return tuple(challenge for header in headers for challenge in _parse(header[:8192]))


def _parse(header: str) -> list[Challenge]:
    a_scheme, a_blob, a_param = map(re.compile, (_SCHEME, _TOKEN68, _PARAM))
    found: list[Challenge] = []
    at = 0
    while match := a_scheme.match(header, at):
        at = match.end()
        scheme, params = match[1].lower(), dict[str, str]()
        if blob := a_blob.match(header, at):
            at = blob.end()
        while param := a_param.match(header, at):
            at = param.end()
            quoted = param[2]
            value = re.sub(_ESCAPE, r"\1", quoted) if quoted is not None else param[3]
            params.setdefault(param[1].lower(), value)
        found.append(Challenge(scheme, params))
    return found


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one to answer: a token where one can be had, else a password; None when neither is asked for."""
    known = {c.scheme: c for c in reversed(tuple(challenges)) if c.scheme in ("bearer", "basic")}
    bearer = known.get("bearer")
    return bearer if bearer and bearer.params.get("realm") else known.get("basic")


def actions(scopes: Iterable[str]) -> frozenset[tuple[str, str]]:
    """``repository:a/b:pull,push`` → ``{("repository:a/b", "pull"), ("repository:a/b", "push")}``."""
    return frozenset(
        (resource, action)
        for scope in scopes
        for one in scope.split()
        for resource, _, names in [one.rpartition(":")]
        for action in names.split(",")
        if resource and action
    )


def written(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Scopes for these actions, one for each resource, in a fixed order."""
    by_resource: dict[str, set[str]] = {}
    for resource, action in wanted:
        by_resource.setdefault(resource, set()).add(action)
    return [f"{r}:{','.join(sorted(by_resource[r]))}" for r in sorted(by_resource)]
