"""What a command with a network gets of this machine so that it reaches the outside: a CA bundle and the proxies.

Neither is ever in a layer or a key. The bundle is a copy, so that it cannot change under a command and anybody may
read it; it is mounted read-only beside a configuration file for apt, in a folder of its own. A variable that the
step or its stack sets itself is in the step's key, so it wins over what is given here.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from buildgraph.errors import MachineError, UsageError
from buildgraph.fs.scan import near_paths
from buildgraph.sandbox.command import BindPoint
from buildgraph.values import dataclass

FOLDER = "/run/buildgraph-ca"
_BUNDLE = "bundle.pem"
_APT = "apt.conf"
_VARIABLES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
)
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # BSD, macOS
)


class Grant(NamedTuple):
    """``env`` lies below the environment that the step declares."""

    points: tuple[BindPoint, ...]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class Authority:
    """``ca`` as the workspace or config.toml writes it: empty, ``host``, or a file relative to ``root``."""

    ca: str
    root: Path
    environ: Mapping[str, str]
    scratch: Path

    def grant(self, network: str, undo: ExitStack) -> Grant:
        """Nothing for a command without a network (``none``). ``undo`` removes what is mounted.

        Raises MachineError ``no-ca-bundle``, UsageError ``ca-unreadable``.
        """
        if network == "none":
            return Grant((), {})
        env = proxies(self.environ)
        if not self.ca:
            return Grant((), env)
        folder = Path(tempfile.mkdtemp(prefix="ca-", dir=self.scratch))
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        self._fill(folder)
        env |= dict.fromkeys(_VARIABLES, f"{FOLDER}/{_BUNDLE}")
        env["APT_CONFIG"] = f"{FOLDER}/{_APT}"
        return Grant((BindPoint(folder, FOLDER),), env)

    def _fill(self, folder: Path) -> None:
        content = bundle(self._source())
        option = f'Acquire::https::CaInfo "{FOLDER}/{_BUNDLE}";\n'
        for name, text in ((_BUNDLE, content), (_APT, option.encode())):
            path = folder / name
            path.write_bytes(text)
            path.chmod(0o444)
        folder.chmod(0o755)

    def _source(self) -> Path:
        if self.ca != "host":
            return self.root / self.ca
        named = self.environ.get("SSL_CERT_FILE", "")
        for candidate in (named, *_USUAL):
            if candidate and os.path.isfile(candidate):
                return Path(candidate)
        raise MachineError(
            "no-ca-bundle",
            'ca is "host", and this machine has no CA bundle',
            hint="apt-get install ca-certificates, or name the file in SSL_CERT_FILE",
        )


def bundle(file: Path) -> bytes:
    """Raises UsageError ``ca-unreadable``."""
    try:
        return file.read_bytes()
    except OSError as error:
        told = (
            'ca is "host" or a file with certificates, relative to the Buildfile or to config.toml'
        )
        near = near_paths(os.fsencode(file.parent), os.fsencode(file.name))
        raise UsageError(
            "ca-unreadable",
            f"the CA bundle {file} cannot be read: {error.strerror}",
            hint=f"did you mean {' or '.join(near)}? {told}" if near else told,
        ) from error


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that name proxies, in both spellings, as they are set here."""
    names = (*_PROXIES, *(name.upper() for name in _PROXIES))
    return {name: environ[name] for name in names if environ.get(name)}
