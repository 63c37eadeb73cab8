"""An authority of the tests' own, made by openssl, and what it certifies: servers on this machine, clients."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.capability import require

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test"


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path

    def server_context(self, clients: Path | None = None) -> ssl.SSLContext:
        """``clients`` is the authority of those who may come at all."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context


@dataclass(frozen=True)
class Authority:
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        require("openssl")
        authority = cls(folder)
        _openssl(
            "req", "-x509", *_KEY, "-days", 30, "-subj", "/CN=Tests", "-keyout", folder / "ca.key", "-out", authority.ca
        )  # fmt: skip
        return authority

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def certify(self, name: str, *, days: int = 30) -> Certificate:
        """For 127.0.0.1, localhost and registry.test; with ``days=-1`` one that has expired."""
        made = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request = self.folder / f"{name}.csr"
        _openssl(
            "req", *_KEY, "-subj", f"/CN={name}", "-addext", _NAMES, "-keyout", made.key, "-out", request
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
            "-days", days, "-copy_extensions", "copyall", "-out", made.cert,
        )  # fmt: skip
        return made


def _openssl(*words: object) -> None:
    done = subprocess.run(
        ["openssl", *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
