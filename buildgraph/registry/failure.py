"""How is a registry's refusal told? Its status, its own message, never a credential.

Registries explain themselves as ``{"errors": [{"code", "message", "detail"}]}`` (distribution-spec, "Error Codes");
what they say is shown on one line, without control characters, at most 400 characters of it, and with every secret that
was sent to them blanked, should they repeat it.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

from buildgraph.errors import RemoteError

LONGEST_ANSWER: Final = 64 << 10
"""Bytes of an error's body that are read."""

_LONGEST: Final = 400
_UNPRINTABLE: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+"


class RegistryError(RemoteError):
    """A registry refused or failed (exit 4); ``status`` is its HTTP status, 0 when there was no answer."""

    status = 0
    names: tuple[str, ...] = ()
    """The codes of the registry's own errors, such as ``BLOB_UNKNOWN``."""


class CutError(Exception):
    """No usable answer: the connection was refused, cut, silent, or spoke no HTTP. Told as a RegistryError in the end.

    ``permanent``: trying again is useless. ``untrusted``: because of the host's certificate, so it does speak TLS.
    ``nameless``: because of ours. ``slow``: it cost a whole timeout. ``reached``: not while connecting.
    """

    def __init__(
        self,
        reason: str,
        *,
        permanent: bool = False,
        untrusted: bool = False,
        nameless: bool = False,
        slow: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent or untrusted or nameless
        self.untrusted = untrusted
        self.nameless = nameless
        self.slow = slow
        self.reached = True


def refusal(
    code: str, what: str, status: int, reason: str, body: bytes, secrets: Iterable[str]
) -> RegistryError:
    """``what`` is the beginning of the sentence: who refused what."""
    names, told = _told(body)
    answer = f"{status} {one_line(reason)}".rstrip()
    message = f"{what}: {answer}" + (f": {told}" if told else "")
    error = RegistryError(code, blank(message, secrets), hint=_hint(status, what.split(" ", 1)[0]))
    error.status = status
    error.names = names
    return error


def unreachable(host: str, cut: CutError, *, answered: bool) -> RegistryError:
    """``answered``: the host had answered something before."""
    if cut.nameless:
        return RegistryError(
            "registry-tls",
            f"{host} refuses the connection: {one_line(cut.reason)}",
            hint=f"name yours in `client-cert` and `client-key` of "
            f'[registry."{host}"] in config.toml, or put client.cert and client.key into certs.d/{host}/',
        )
    if cut.permanent and cut.reached:
        return RegistryError(
            "registry-tls",
            f"{host} cannot be trusted: {one_line(cut.reason)}",
            hint="if its certificate is your own authority's, name that in `ca` of "
            f'[registry."{host}"] in config.toml, or put it into certs.d/{host}/',
        )
    if answered and cut.reached:
        return RegistryError("registry-cut", f"{host} gave no whole answer: {one_line(cut.reason)}")
    return RegistryError(
        "registry-unreachable",
        f"{host} cannot be reached: {one_line(cut.reason)}",
        hint="see that it runs, and that its name and port are right",
    )


def blank(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def one_line(text: str) -> str:
    line = re.sub(_UNPRINTABLE, " ", text).strip()
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _told(body: bytes) -> tuple[tuple[str, ...], str]:
    """The codes and the sentence of an error's body; nothing of a body in another form than the specification's."""
    try:
        errors = json.loads(body)["errors"]
        pairs = [
            (str(e.get("code", "")), str(e.get("message", "")), e.get("detail")) for e in errors
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return (), ""
    parts = []
    for name, message, detail in pairs[:5]:
        extra = f" ({detail})" if isinstance(detail, str) and detail and detail != message else ""
        parts.append(f"{name}: {message}{extra}".strip(": "))
    return tuple(name for name, _, _ in pairs), one_line("; ".join(parts))


def _hint(status: int, host: str) -> str:
    match status:
        case 401 | 403:
            return f"log in with: buildgraph login {host}"
        case 429:
            return "it limits how often it may be asked: log in, or try again later"
        case _:
            return ""
