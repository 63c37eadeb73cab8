"""A stretch of wire that can be cut: everything is passed on, until so many bytes went one way."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["up", "down"]


@dataclass(frozen=True)
class Cut:
    """After ``after`` bytes of one connection ``way`` (up: to the server). ``then`` runs before both ends notice."""

    way: Way
    after: int
    then: Callable[[], object] = lambda: None


@dataclass
class Relay:
    """``passed`` counts bytes by their way; ``cuts`` are made in order, one at a time."""

    to: int
    cuts: list[Cut] = field(default_factory=list)
    passed: dict[Way, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    port: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _ends: list[socket.socket] = field(default_factory=list)
    _quiet: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                with self._quiet:  # whoever comes while a cut is made waits until that is over
                    far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            self._ends += [near, far]
            self._start(self._pass, near, far, "up")
            self._start(self._pass, far, near, "down")

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, way: Way) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                count += len(content)
                self.passed[way] += len(content)
                if self.cuts and self.cuts[0].way == way and count > self.cuts[0].after:
                    with self._quiet:
                        self.cuts.pop(0).then()
                    break
                target.sendall(content)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


@contextlib.contextmanager
def relay(to: int, *cuts: Cut) -> Iterator[Relay]:
    """``to`` is the server's port on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(to, list(cuts), port=listener.getsockname()[1])
        acceptor = threading.Thread(target=made.accept, args=(listener,))
        acceptor.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            made.close()
