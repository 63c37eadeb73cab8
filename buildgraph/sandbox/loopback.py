"""Network namespaces with nothing but loopback: one for each command that has no network.

Making one costs as much as all else that is done before a command, so the next one is made while a command runs. A
spare one that nobody came for is gone with its descriptor. No two commands ever have the same one.
"""

import os
from collections import deque
from contextlib import suppress

from buildgraph.sandbox import syscalls
from buildgraph.sandbox.network import leave_network


class Loopbacks:
    """May be used from several threads."""

    def __init__(self) -> None:
        self._spare: deque[int] = deque()

    def __del__(self) -> None:
        while self._spare:
            os.close(self._spare.pop())

    def enter(self) -> None:
        """What the calling thread starts and mounts from now on knows of loopback alone; raises OSError."""
        try:
            spare = self._spare.popleft()
        except IndexError:
            leave_network()
            return
        try:
            syscalls.join_network(spare)
        finally:
            os.close(spare)

    def furnish(self) -> None:
        """Make one for whoever comes next, if there is none; the calling thread, which is never to have a network
        again, ends up in it. If that is not possible, they will learn it."""
        if not self._spare:
            with suppress(OSError):
                leave_network()
                namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                self._spare.append(namespace)
