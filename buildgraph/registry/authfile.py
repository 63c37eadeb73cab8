"""What is in docker's ``config.json`` and podman's ``auth.json``?

::

    {"auths": {"registry.example.com": {"auth": base64 of "user:password", "identitytoken": "…"},
               "registry.example.com/shop": {…}},            # podman: for the repositories below it
     "credHelpers": {"registry.example.com": "pass"},        # docker-credential-pass knows
     "credsStore": "secretservice"}                          # for every registry without a helper of its own

Docker Hub is ``https://index.docker.io/v1/`` to docker and ``docker.io`` to podman; older files have URLs as keys.
All other keys belong to others and stay as they are. A file is written whole, with mode 0600.
"""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from buildgraph.errors import MachineError, UsageError
from buildgraph.registry.hosts import DOCKER_HUB, canonical
from buildgraph.values import dataclass

HUB_SERVER = "https://index.docker.io/v1/"
_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name with a password, or an identity token, which a token server takes in place of both."""

    username: str
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.username!r})"


class AuthFile:
    """One file as it was when it was read; a missing one is empty. Raises UsageError ``bad-auth-file``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = _load(path)

    def helper(self, host: str) -> str:
        """The name of the helper that this file gives ``host``, its own or everybody's; empty for none."""
        own = self._table("credHelpers")
        for key in own:
            if canonical(_host_of(key)) == host:
                return self._text(own, key)
        return self._text(self._document, "credsStore")

    def credential(self, host: str, repository: str = "") -> Credential | None:
        """The one with the longest key that ``host/repository`` lies below."""
        auths = self._table("auths")
        places = {_place(key): key for key in auths}
        for place in _above(host, repository):
            if place in places and (found := self._entry(places[place], auths[places[place]])):
                return found
        return None

    def mentions(self, host: str) -> bool:
        """Is there a helper or an entry for the whole of ``host``?"""
        return bool(self.helper(host)) or bool(self._keys(host))

    def store(self, host: str, credential: Credential | None) -> None:
        """Write the entry of ``host``; None when a helper keeps it, so that tools see that there is one."""
        entry: dict[str, str] = {}
        if credential and credential.username:
            both = f"{credential.username}:{credential.password}"
            entry["auth"] = base64.b64encode(both.encode()).decode()
        if credential and credential.identity_token:
            entry["identitytoken"] = credential.identity_token
        key = HUB_SERVER if host == DOCKER_HUB else host
        auths = {k: v for k, v in self._table("auths").items() if k not in self._keys(host)}
        self._write({**self._document, "auths": {**auths, key: entry}})

    def erase(self, host: str) -> bool:
        """Take the entry of ``host`` out; was there one?"""
        keys = self._keys(host)
        if keys:
            auths = {k: v for k, v in self._table("auths").items() if k not in keys}
            self._write({**self._document, "auths": auths})
        return bool(keys)

    def _keys(self, host: str) -> list[str]:
        return [key for key in self._table("auths") if _place(key) == host]

    def _entry(self, key: str, entry: object) -> Credential | None:
        if not isinstance(entry, dict):
            raise self._bad(f"the entry of {key} is no object")
        name, password = self._text(entry, "username"), self._text(entry, "password")
        if encoded := self._text(entry, "auth"):
            try:
                name, colon, password = (
                    base64.b64decode(encoded, validate=True).decode().partition(":")
                )
            except ValueError:
                colon = ""
            if not colon:
                # Not chained, and nothing of it shown: it is a password.
                raise self._bad(f'"auth" of {key} is not base64 of user:password') from None
        token = self._text(entry, "identitytoken")
        return Credential(name, password.rstrip("\0"), token) if name or token else None

    def _table(self, key: str) -> dict[str, Any]:
        value = self._document.get(key) or {}
        if not isinstance(value, dict):
            raise self._bad(f"{key} is no object")
        return value

    def _text(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key) or ""
        if not isinstance(value, str):
            raise self._bad(f"{key} is no string")
        return value

    def _bad(self, why: str) -> UsageError:
        return _bad(self.path, why)

    def _write(self, document: dict[str, Any]) -> None:
        target = Path(os.path.realpath(self.path))  # a link into a folder of dotfiles stays one
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(target, (json.dumps(document, indent="\t") + "\n").encode())
        except OSError as error:
            raise MachineError(
                "auth-file-unwritable",
                f"{self.path} cannot be written: {error.strerror}",
                hint="correct the folder's permissions, or name another file in REGISTRY_AUTH_FILE",
            ) from error
        self._document = document


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _bad(path, f"it cannot be read: {error.strerror}") from error
    if not content.strip():
        return {}
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        # Not chained: a decoder's message may quote the file.
        raise _bad(path, "it is not JSON") from None
    if len(content) > _LARGEST or not isinstance(document, dict):
        raise _bad(path, "it is not a JSON object of at most 4 MiB")
    return document


def _bad(path: Path, why: str) -> UsageError:
    return UsageError(
        "bad-auth-file",
        f"the auth file {path} is unusable: {why}",
        hint="correct it, or move it away and log in again",
    )


def _host_of(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _place(key: str) -> str:
    """What a key is for: a canonical host, with a path below it when podman wrote one."""
    bare = key.removeprefix("https://").removeprefix("http://")
    host, _, path = bare.partition("/")
    path = "" if bare != key or path.strip("/") in ("v1", "v2") else path.strip("/")
    return f"{canonical(host)}/{path}" if path else canonical(host)


def _above(host: str, repository: str) -> Iterator[str]:
    """``host/a/b``, ``host/a``, ``host``."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), -1, -1):
        yield "/".join((host, *parts[:count]))


def _replace(path: Path, content: bytes) -> None:
    import tempfile

    fd, temp = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.rename(temp, path)
    except BaseException:
        os.unlink(temp)
        raise
