"""A socket for one command that leads to the user's agent of ssh, for as long as the command runs."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PIECE: Final = 16 << 10
_TICK: Final = 0.2
"""How long a connection may outlive the command."""


@contextmanager
def forwarded(agent: str, folder: Path, uid: int, gid: int, mode: int) -> Iterator[Path]:
    """A socket in ``folder`` that leads to ``agent``. Every connection ends with the block."""
    path = folder / "agent"
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        _bind(listener, folder, path.name)
        os.chown(path, uid, gid)
        path.chmod(mode)
        listener.listen()
        server = threading.Thread(target=_serve, args=(listener, agent, stop))
        server.start()
        try:
            yield path
        finally:
            stop.set()
            server.join()
            path.unlink(missing_ok=True)


def _bind(listener: socket.socket, folder: Path, name: str) -> None:
    """By a short path: the kernel takes 107 bytes."""
    at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{at}/{name}")
    finally:
        os.close(at)


def _serve(listener: socket.socket, agent: str, stop: threading.Event) -> None:
    """All connections in one thread: what either side says goes to the other."""
    other: dict[socket.socket, socket.socket] = {}
    try:
        while not stop.is_set():
            ready, _, _ = select.select([listener, *other], [], [], _TICK)
            for one in ready:
                if one is listener:
                    _accept(listener, agent, other)
                elif one in other and not _pass_on(one, other[one]):
                    _end(one, other)
    finally:
        for one in list(other):
            one.close()


def _accept(listener: socket.socket, agent: str, other: dict[socket.socket, socket.socket]) -> None:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(agent)
    except OSError:  # the client sees a connection that ends at once
        server.close()
        client.close()
        return
    other |= {client: server, server: client}


def _pass_on(one: socket.socket, to: socket.socket) -> bool:
    with suppress(OSError):
        content = one.recv(_PIECE)
        if content:
            to.sendall(content)
            return True
    return False


def _end(one: socket.socket, other: dict[socket.socket, socket.socket]) -> None:
    two = other.pop(one)
    del other[two]
    one.close()
    two.close()
