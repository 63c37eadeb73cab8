"""An http proxy of the tests' own: forwards requests and tunnels, takes every name for one of this machine."""

import http.client
import select
import socket
from urllib.parse import urlsplit

from support.webserver import Exchange, Web


class Proxy(Web):
    """``password`` is the pair that it wants, in Base64; empty for none."""

    def __init__(self, password: str = "") -> None:
        super().__init__()
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
            here = exchange.connection
            while not self.closing.is_set():
                for ready in select.select([here, there], [], [], 0.1)[0]:
                    content = ready.recv(65536)
                    if not content:
                        exchange.close_connection = True
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
