"""A small HTTP server of the tests' own on 127.0.0.1: notes what it was asked, answers as it is told, also wrongly."""

import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it came; ``body`` is what had arrived when it was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def everything(self) -> str:
        """All of it as text, to look for what must not be in it."""
        return f"{self.method} {self.path}\n{dict(self.headers)}\n{self.body.decode('latin-1')}"


class Web:
    """A context manager; subclasses say in :meth:`respond` what is answered. Threads end when it is left.

    ``clients`` are the addresses of all connections that asked something.
    """

    protocol = "HTTP/1.1"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        web = self

        class Handler(Exchange):
            protocol_version = web.protocol

        Handler.web = self
        self.seen: list[Seen] = []
        self.clients: set[tuple[str, int]] = set()
        self.closing = threading.Event()
        self._tls = tls
        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def respond(self, exchange: "Exchange") -> None:
        raise NotImplementedError

    def asked(self, method: str = "", part: str = "") -> list[Seen]:
        return [s for s in self.seen if method in ("", s.method) and part in s.path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # one that waits for a client that is gone holds nothing up
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle of what these servers do; that is what is tested."""


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer."""

    web: Web
    timeout = 30
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        self._body: bytes | None = None
        super().handle_one_request()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    log_error = log_request

    def do(self) -> None:
        with_body = self.command in ("POST", "PUT", "PATCH")
        seen = Seen(self.command, self.path, dict(self.headers.items()))
        self.web.seen.append(seen)
        self.web.clients.add(self.client_address)
        at = len(self.web.seen) - 1
        self.web.respond(self)
        if with_body and self._body is not None:
            self.web.seen[at] = Seen(seen.method, seen.path, seen.headers, self._body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = do

    @property
    def at(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The last value of each name."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def body(self) -> bytes:
        """All of it; raises ConnectionError when the client goes away before."""
        if self._body is None:
            chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            self._body = self._chunks() if chunked else self.some_body(self.length)
        return self._body

    @property
    def length(self) -> int:
        return int(self.headers.get("Content-Length", "0"))

    def some_body(self, count: int) -> bytes:
        content = self.rfile.read(count)
        if len(content) < count:
            raise ConnectionError
        return content

    def _chunks(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.some_body(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return whole

    def answer(
        self, status: int, content: bytes = b"", headers: Mapping[str, str | None] | None = None
    ) -> None:
        """``headers`` win over what would be said anyway; None leaves one out."""
        if self.command in ("POST", "PUT", "PATCH"):
            self.body()
        self.head(status, {"Content-Length": str(len(content)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(content)

    def head(self, status: int, headers: Mapping[str, str | None]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def cut(self, content: Iterable[bytes] = ()) -> None:
        """Send what there is and close the connection, whatever was promised."""
        for part in content:
            self.wfile.write(part)
        self.wfile.flush()
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing more until the test is over."""
        self.wfile.flush()
        self.web.closing.wait()
        self.close_connection = True
