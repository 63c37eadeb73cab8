"""Who are we to a registry? What ``login`` of this program, docker, podman and others has kept.

Files in order: the one that ``REGISTRY_AUTH_FILE`` names, alone; otherwise docker's when ``DOCKER_CONFIG`` says where
it is, podman's of this session (``$XDG_RUNTIME_DIR`` or ``/run/containers/UID``) and of this user, and docker's in the
home. In each file a registry's own helper comes first, then the helper of all, then what is written in it. Files and
helpers are asked when a registry wants a credential, never before, and each question once.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from buildgraph.registry.authfile import HUB_SERVER, AuthFile, Credential
from buildgraph.registry.configplaces import config_home
from buildgraph.registry.credhelper import TOKEN_USER, Answer, Helper
from buildgraph.registry.hosts import DOCKER_HUB, canonical


class Credentials:
    """Safe to ask from several threads. ``paths`` in the order in which they are read, ``home`` is written to when no
    file knows a registry yet; ``environ`` is what helpers run with."""

    def __init__(
        self,
        paths: tuple[Path, ...],
        environ: Mapping[str, str],
        home: Path | None = None,
        given: Mapping[str, Credential] | None = None,
    ) -> None:
        self._paths = paths
        self._home = home
        self._environ = environ
        self._given = given or {}
        self._known: dict[tuple[str, str], Credential | None] = {}
        self._lock = Lock()

    @classmethod
    def load(cls, environ: Mapping[str, str], *, runtime: Path | None = None) -> "Credentials":
        """Reads nothing yet. ``runtime`` stands in for ``/run/containers/UID``."""
        if named := environ.get("REGISTRY_AUTH_FILE", ""):
            return cls((Path(named),), environ, Path(named))
        runtime = runtime or Path(f"/run/containers/{os.getuid()}")
        if folder := environ.get("XDG_RUNTIME_DIR", ""):
            runtime = Path(folder, "containers")
        paths = [runtime / "auth.json"]
        if config := config_home(environ):
            paths.append(config / "containers" / "auth.json")
        docker = None
        if folder := environ.get("DOCKER_CONFIG", ""):
            docker = Path(folder, "config.json")
            paths.insert(0, docker)
        elif folder := environ.get("HOME", ""):
            docker = Path(folder, ".docker", "config.json")
            paths.append(docker)
        return cls(tuple(paths), environ, docker)

    @classmethod
    def only(cls, host: str, credential: Credential) -> "Credentials":
        """This one and no other."""
        return cls((), {}, given={canonical(host): credential})

    def __repr__(self) -> str:
        return f"Credentials({', '.join(map(str, self._paths))})"

    def find(self, host: str, repository: str = "") -> Credential | None:
        """For ``repository`` of ``host``, podman's keys for a part of a registry included.

        Raises UsageError ``bad-auth-file``, MachineError ``credential-helper``.
        """
        key = (canonical(host), repository)
        with self._lock:
            if key not in self._known:
                self._known[key] = self._find(*key)
            return self._known[key]

    def store(self, host: str, credential: Credential) -> str:
        """Keep it where the registry is already known, else in docker's file; returns in words where that is.

        Raises what :meth:`find` raises, and MachineError ``auth-file-unwritable``.
        """
        host = canonical(host)
        with self._lock:
            self._known.clear()
            file = self._file_for(host)
            name = file.helper(host)
            if not name:
                file.store(host, credential)
                return str(file.path)
            Helper(name, self._environ).store(_servers(host)[0], _answer(credential))
            file.store(host, None)
            return f"docker-credential-{name}"

    def erase(self, host: str) -> bool:
        """Forget it everywhere it is kept; was it anywhere?"""
        host = canonical(host)
        found = False
        with self._lock:
            self._known.clear()
            for path in self._paths:
                file = AuthFile(path)
                if name := file.helper(host):
                    found |= self._erase_helped(Helper(name, self._environ), host)
                found |= file.erase(host)
        return found

    def _erase_helped(self, helper: Helper, host: str) -> bool:
        kept = [server for server in _servers(host) if helper.get(server)]
        for server in kept:
            helper.erase(server)
        return bool(kept)

    def _find(self, host: str, repository: str) -> Credential | None:
        if host in self._given:
            return self._given[host]
        for path in self._paths:
            file = AuthFile(path)
            if name := file.helper(host):
                helper = Helper(name, self._environ)
                for server in _servers(host):
                    if answer := helper.get(server):
                        return _credential(answer)
            if found := file.credential(host, repository):
                return found
        return None

    def _file_for(self, host: str) -> AuthFile:
        files = [AuthFile(path) for path in self._paths]
        for file in files:
            if file.mentions(host):
                return file
        return AuthFile(self._home) if self._home else files[-1]


def _servers(host: str) -> tuple[str, ...]:
    """The names under which a helper may have a registry; docker's first, which is also what is stored."""
    return (HUB_SERVER, DOCKER_HUB) if host == DOCKER_HUB else (host,)


def _credential(answer: Answer) -> Credential:
    if answer.username == TOKEN_USER:
        return Credential("", identity_token=answer.secret)
    return Credential(answer.username, answer.secret)


def _answer(credential: Credential) -> Answer:
    if credential.identity_token:
        return Answer(TOKEN_USER, credential.identity_token)
    return Answer(credential.username, credential.password)
