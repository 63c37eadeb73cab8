"""What do ``/etc/buildgraph/config.toml`` and the user's own say about registries, and about builds on this machine?

::

    [build]
    ca = "host"                      # what commands with a network trust, where the workspace says nothing

    [registry."docker.io"]
    mirrors = ["mirror.example.com", "cache.example.com/hub"]   # asked first, for reading only

    [registry."registry.example.com:5000"]
    plain-http = true                # speak http without encryption
    ca = "example.pem"               # a file or several, relative to this one; besides the system's
    client-cert = "me.pem"           # who this machine is, both or neither
    client-key = "me.key"

A table in a later file takes the place of that in an earlier one. All mistakes of a file are told together.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.errors import UsageError
from buildgraph.registry.configplaces import Places
from buildgraph.registry.hosts import PATTERN, canonical
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.spec.problems import Problems

_TABLES = ("registry", "build")
_KEYS = ("plain-http", "ca", "client-cert", "client-key", "mirrors")
_MIRROR = rf"{PATTERN}(?:/[a-z0-9._/-]+)?"


@dataclass(frozen=True, slots=True)
class HostTable:
    """What a table of config.toml says about a registry; ``plain_http`` is None where it says nothing."""

    plain_http: bool | None = None
    ca: tuple[Path, ...] = ()
    client_cert: Path | None = None
    client_key: Path | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tables:
    """``hosts`` by canonical host; ``ca`` is empty, ``host``, or an absolute path."""

    hosts: Mapping[str, HostTable]
    ca: str = ""


def load_tables(where: Places) -> Tables:
    """Later files win. Raises what is wrong with them, all of it (UsageError)."""
    hosts: dict[str, HostTable] = {}
    ca = ""
    for file in where.files:
        try:
            content = file.read_bytes()
        except OSError as error:
            if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not where.named:
                continue
            named = f"BUILDGRAPH_CONFIG names {file}, which" if where.named else str(file)
            raise UsageError(
                "config-unreadable",
                f"{named} cannot be read: {error.strerror}",
                hint="correct its permissions, or name another file in BUILDGRAPH_CONFIG",
            ) from error
        found = _read(file, content)
        hosts |= found.hosts
        ca = found.ca or ca
    return Tables(hosts, ca)


def _read(file: Path, content: bytes) -> Tables:
    from buildgraph.spec.parse import parse
    from buildgraph.spec.problems import Problems, mean

    document, positions = parse(str(file), content)
    problems = Problems(positions)
    for key in document:
        if key not in _TABLES:
            hint = mean(problems.near(key, _TABLES)) or "there are [registry] and [build]"
            problems.add("bad-config", f"unknown table {key!r}", (key,), hint=hint)
    registries, build = (_table(document, name, problems) for name in _TABLES)
    hosts = {
        canonical(host): _Table(file, host, table, problems).read()
        for host, table in registries.items()
    }
    ca = _authority(file, build, problems)
    problems.raise_all()
    return Tables(hosts, ca)


def _table(document: Mapping[str, object], name: str, problems: "Problems") -> Mapping[str, object]:
    found = document.get(name, {})
    if isinstance(found, dict):
        return found
    hint = "write [build]" if name == "build" else 'write [registry."host"]'
    problems.add("bad-config", f"{name} must be a table", (name,), hint=hint)
    return {}


def _authority(file: Path, build: Mapping[str, object], problems: "Problems") -> str:
    for key in build:
        if key != "ca":
            problems.add(
                "bad-config", f"unknown key {key!r}", ("build", key), hint="there is only ca"
            )
    ca = build.get("ca", "")
    if not isinstance(ca, str):
        hint = 'write ca = "host", or the path of a file'
        problems.add("bad-config", 'ca must be "host" or a file', ("build", "ca"), hint=hint)
        return ""
    return ca if ca in ("", "host") else os.path.abspath(file.parent / os.path.expanduser(ca))


class _Table:
    """One ``[registry."HOST"]``; mistakes go to ``problems`` and leave the value out."""

    def __init__(self, file: Path, host: str, table: object, problems: "Problems") -> None:
        self._file = file
        self._host = host
        self._problems = problems
        self._values: Mapping[str, object] = table if isinstance(table, dict) else {}
        if not isinstance(table, dict) or not re.fullmatch(PATTERN, host):
            self._wrong(
                "",
                f"{host!r} is not a registry with its table",
                hint='write [registry."host"] or [registry."host:port"]',
            )

    def read(self) -> HostTable:
        from buildgraph.spec.problems import mean

        for key in self._values:
            if key not in _KEYS:
                hint = mean(self._problems.near(key, _KEYS)) or f"there are {', '.join(_KEYS)}"
                self._wrong(key, f"unknown key {key!r}", hint)
        cert, key_file = self._files("client-cert"), self._files("client-key")
        if bool(cert) != bool(key_file):
            missing = "client-key" if cert else "client-cert"
            told = "client-cert and client-key go together, one of them is missing"
            self._wrong("", told, f"add {missing}")
        return HostTable(
            plain_http=self._flag("plain-http"),
            ca=self._files("ca"),
            client_cert=cert[0] if cert else None,
            client_key=key_file[0] if key_file else None,
            mirrors=self._mirrors(),
        )

    def _flag(self, key: str) -> bool | None:
        value = self._values.get(key)
        if not isinstance(value, bool | None):
            self._wrong(key, f"{key} must be true or false, not {value!r}", f"write {key} = true")
            return None
        return value

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(t, str) and t for t in texts):
            self._wrong(key, f"{key} must be a string or a list of strings", f'write {key} = ["…"]')
            return ()
        return tuple(texts)

    def _files(self, key: str) -> tuple[Path, ...]:
        texts = self._texts(key)
        if key != "ca" and len(texts) > 1:
            self._wrong(key, f"{key} is one file, not {len(texts)}", "keep one of them")
        return tuple(self._file.parent / os.path.expanduser(text) for text in texts)

    def _mirrors(self) -> tuple[str, ...]:
        mirrors = self._texts("mirrors")
        for mirror in mirrors:
            if not re.fullmatch(_MIRROR, mirror):
                self._wrong(
                    "mirrors",
                    f"{mirror!r} is not a mirror",
                    hint="write host[:port][/path] without a scheme; plain http is plain-http = true "
                    "in the mirror's own table",
                )
        return mirrors

    def _wrong(self, key: str, message: str, hint: str = "") -> None:
        path = ("registry", self._host, key) if key else ("registry", self._host)
        self._problems.add("bad-config", message, path, hint=hint)
