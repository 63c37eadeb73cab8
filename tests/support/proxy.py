"""Proxies of the tests' own, for http (reached by https, too) and for SOCKS 5: they take every name for one of this machine."""

import http.client
import select
import socket
import socketserver
import ssl
import threading
from typing import Self
from urllib.parse import urlsplit

from support.webserver import Exchange, Web


class Proxy(Web):
    """``password`` is the pair that it wants, in Base64; empty for none."""

    def __init__(self, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.password = password

    def respond(self, exchange: Exchange) -> None:
        wanted = f"Basic {self.password}" if self.password else None
        if exchange.headers.get("Proxy-Authorization") != wanted:
            exchange.answer(407, b"", {"Proxy-Authenticate": 'Basic realm="proxy"'})
        elif exchange.command == "CONNECT":
            self._tunnel(exchange)
        else:
            _forward(exchange)

    def _tunnel(self, exchange: Exchange) -> None:
        port = int(exchange.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as there:
            exchange.head(200, {})
            _join(exchange.connection, there, self.closing)
            exchange.close_connection = True


class Socks:
    """``password`` is what it wants of ``me``; empty for nobody. ``asked`` are the hosts as they were named."""

    def __init__(self, password: str = "") -> None:
        socks = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                socks.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.password = password
        self.asked: list[str] = []
        self._closing = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def serve(self, here: socket.socket) -> None:
        with here, here.makefile("rb") as stream:
            methods = stream.read(2)[1]
            if (2 if self.password else 0) not in stream.read(methods):
                here.sendall(b"\x05\xff")
                return
            here.sendall(b"\x05\x02" if self.password else b"\x05\x00")
            if self.password:
                user = stream.read(stream.read(2)[1])
                word = stream.read(stream.read(1)[0])
                wrong = (user, word) != (b"me", self.password.encode())
                here.sendall(bytes((1, wrong)))
                if wrong:
                    return
            assert stream.read(4) == b"\x05\x01\x00\x03"
            self.asked.append(stream.read(stream.read(1)[0]).decode())
            port = int.from_bytes(stream.read(2), "big")
            with socket.create_connection(("127.0.0.1", port)) as there:
                here.sendall(b"\x05\x00\x00\x01" + bytes(6))
                _join(here, there, self._closing)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _join(here: socket.socket, there: socket.socket, closing: threading.Event) -> None:
    """Pass on what comes, either way, until one side ends."""
    while not closing.is_set():
        for ready in select.select([here, there], [], [], 0.1)[0]:
            content = ready.recv(65536)
            while isinstance(ready, ssl.SSLSocket) and ready.pending():
                content += ready.recv(65536)
            if not content:
                return
            (there if ready is here else here).sendall(content)


def _forward(exchange: Exchange) -> None:
    parts = urlsplit(exchange.path)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {k: v for k, v in exchange.headers.items() if not k.lower().startswith("proxy-")}
    connection.request(exchange.command, target, exchange.body() or None, headers)
    answer = connection.getresponse()
    content = answer.read()
    kept = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "server")}
    exchange.answer(answer.status, content, kept)
    connection.close()
