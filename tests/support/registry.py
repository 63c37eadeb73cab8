"""Debian's docker-registry on a free port of 127.0.0.1, with its storage in a folder: open, or with htpasswd and TLS.

It can be stopped and started again in the middle of a test, at the same address and with the same storage; what it was
asked stands in its access log.
"""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.capability import require
from support.certificates import Certificate

_ACCESS = re.compile(r'"([A-Z]+) (\S+) HTTP/[\d.]+" (\d+) (\d+) "[^"]*" "([^"]*)"')
_STARTED = 'msg="listening on'
_TRIES = 5


@dataclass(frozen=True)
class Access:
    """One line of the access log; ``sent`` are the bytes of the answer's body."""

    method: str
    path: str
    status: int
    sent: int
    agent: str = ""

    @property
    def uploads(self) -> bool:
        """Did this request carry, or prepare for, bytes of a blob?"""
        return "/blobs/uploads/" in self.path


class Registry:
    """``process`` of the server; ``host`` is what references begin with."""

    def __init__(
        self, folder: Path, *, users: dict[str, str] | None = None, tls: Certificate | None = None,
        auth: dict[str, Any] | None = None, mirror_of: str = "",
    ) -> None:  # fmt: skip
        require("docker-registry")
        self.folder = folder
        self.port = 0
        self._tls = tls
        self._auth = auth or (_htpasswd(folder, users) if users else None)
        self._mirror_of = mirror_of
        self._marks = 0
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def start(self) -> None:
        for _ in range(_TRIES):  # between choosing a port and using it somebody else may take it
            if not self._lines:
                self.port = free_port()
            if self._started():
                return
        raise AssertionError("\n".join(self._lines))

    def stop(self) -> None:
        """At once, as when a machine goes down; requests that are being answered are cut."""
        if self._process:
            self._process.kill()
            self._process.wait()
            assert self._reader
            self._reader.join()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def accesses(self) -> list[Access]:
        """All that was asked since the start or the last :meth:`forget`, up to now."""
        self._catch_up()
        return [access for access in self._logged() if "?mark=" not in access.path]

    def _logged(self) -> list[Access]:
        found = [_ACCESS.search(line) for line in self._lines]
        return [Access(m[1], m[2], int(m[3]), int(m[4]), m[5]) for m in found if m]

    def forget(self) -> None:
        self._catch_up()
        with self._changed:
            del self._lines[1:]

    def wait(self, wanted: Callable[[Access], bool]) -> None:
        """Until a request of that kind was answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self._logged())), timeout=30)

    def blobs(self) -> dict[str, int]:
        """Hex digest and size of all that is stored."""
        stored = (self.folder / "storage").glob("docker/registry/v2/blobs/sha256/*/*/data")
        return {path.parent.name: path.stat().st_size for path in stored}

    def _started(self) -> bool:
        before = len(self._lines)
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(self._configure())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        with self._changed:
            self._changed.wait_for(
                lambda: self._saw(_STARTED, before) or self._saw("\0", before), timeout=30
            )
        if self._saw(_STARTED, before):
            return True
        self.stop()
        self._lines = [] if self._saw("address already in use", before) else self._lines
        return False

    def _saw(self, text: str, since: int) -> bool:
        return any(text in line for line in self._lines[since:])

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self._add(line)
        self._add("\0")

    def _add(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def _catch_up(self) -> None:
        """Ask something and wait until that is in the log: what was answered before is then in it, too."""
        self._marks += 1
        path = f"/v2/?mark={self._marks}"
        connection = self.connection()
        connection.request("GET", path)
        connection.getresponse().read()
        connection.close()
        with self._changed:
            assert self._changed.wait_for(lambda: self._saw(f"{path} HTTP", 0), timeout=30)

    def connection(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self.host, timeout=30)
        return http.client.HTTPSConnection(
            self.host,
            timeout=30,
            context=ssl._create_unverified_context(),  # the certificate is not what is tested here
        )

    def _configure(self) -> Path:
        http_part: dict[str, Any] = {"addr": self.host, "secret": "one for all restarts"}
        if self._tls:
            http_part["tls"] = {
                "certificate": str(self._tls.cert),
                "key": str(self._tls.key),
            }
        document: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "storage")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http_part,
        }
        if self._auth:
            document["auth"] = self._auth
        if self._mirror_of:
            document["proxy"] = {"remoteurl": self._mirror_of}
        path = self.folder / "registry.yml"
        path.write_text(json.dumps(document))  # JSON is YAML
        return path


@contextmanager
def running(
    folder: Path, *, users: dict[str, str] | None = None, tls: Certificate | None = None,
    auth: dict[str, Any] | None = None, mirror_of: str = "",
) -> Iterator[Registry]:  # fmt: skip
    """``users`` are names and passwords; ``auth`` is docker-registry's own section, for a token server; ``mirror_of`` is
    the URL of a registry from which it fetches what it lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    registry = Registry(folder, users=users, tls=tls, auth=auth, mirror_of=mirror_of)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _htpasswd(folder: Path, users: dict[str, str]) -> dict[str, Any]:
    require("htpasswd")
    lines = [
        subprocess.run(
            ["htpasswd", "-nbB", "-C", "4", name, password],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name, password in users.items()
    ]
    path = folder / "htpasswd"
    path.write_text("".join(lines))
    return {"htpasswd": {"realm": "tests", "path": str(path)}}
