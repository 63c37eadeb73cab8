"""Whom does an encrypted connection trust, and what do its failures mean? Imported for encrypted connections only."""

import os
import ssl
from typing import Final, cast

from buildgraph.errors import UsageError
from buildgraph.registry.failure import CutError
from buildgraph.registry.message import Wire
from buildgraph.registry.settings import HostSettings

_WANTS_CERTIFICATE: Final = frozenset(
    (
        "SSLV3_ALERT_BAD_CERTIFICATE",  # what Go's servers say of none
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
    )
)
"""Alerts of the other side, after this one has found nothing wrong with it."""


def trusting(host: HostSettings, authority: str) -> ssl.SSLContext:
    """The system's authorities and the host's own; loading them takes 20 ms. Raises UsageError ``bad-certificates``."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    file = ""
    try:
        for path in host.ca:
            file = os.fspath(path)
            context.load_verify_locations(file)
        if host.client_cert:
            file = os.fspath(host.client_cert)
            context.load_cert_chain(file, host.client_key, password="")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UsageError(
            "bad-certificates",
            f"{file} cannot be used for {authority}: {getattr(error, 'strerror', '') or error}",
            hint="it must be readable and in PEM form, the key without a passphrase",
        ) from error
    return context


def told(error: OSError) -> CutError:
    """What one of ssl's errors says, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return CutError(f"its certificate is refused: {error.verify_message}", untrusted=True)
        case ssl.SSLError(reason=str(reason)) if reason in _WANTS_CERTIFICATE:
            why = reason.lower().replace("_", " ").partition("alert ")[2]
            told = f"it wants to know by a certificate who this machine is: {why}"
            return CutError(told, nameless=True)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return CutError("it closed the connection")
        case _:
            reason = (getattr(error, "reason", "") or str(error)).lower().replace("_", " ")
            return CutError(f"TLS failed: {reason}", permanent=True)


class Nested:
    """TLS inside of TLS: to a registry through a proxy that is reached by https. ssl cannot wrap its own sockets.

    A :class:`~buildgraph.registry.message.Wire`; timeouts are those of ``outer``.
    """

    def __init__(self, outer: Wire, context: ssl.SSLContext, name: str) -> None:
        self._outer = outer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._block = bytearray(64 << 10)
        self.settimeout = outer.settimeout
        self.gettimeout = outer.gettimeout
        self.fileno = outer.fileno
        self.close = outer.close

    def do_handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def recv_into(self, buffer: memoryview | bytearray) -> int:
        while True:
            try:
                return cast(
                    "int", self._tls.read(len(buffer), buffer)
                )  # it is the count, given a buffer
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return 0

    def send(self, data: bytes | memoryview) -> int:
        """What has been taken has gone out, too."""
        count = self._tls.write(data)
        self._flush()
        return count

    def sendall(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view[: len(self._block)]) :]

    def _flush(self) -> None:
        if content := self._out.read():
            self._outer.sendall(content)

    def _fill(self) -> None:
        count = self._outer.recv_into(self._block)
        if count:
            self._in.write(memoryview(self._block)[:count])
        else:
            self._in.write_eof()
