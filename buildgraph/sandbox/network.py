"""What a command knows of the network: three files of its own, and where its packets go.

``none``: a network namespace with nothing but loopback. ``host``: the machine's network, with copies of its
``/etc/hosts`` and ``/etc/resolv.conf``. ``private``: a namespace of its own, joined to the outside in user space by
slirp4netns, so that the command reaches the network but no service of this machine.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from buildgraph.errors import MachineError
from buildgraph.sandbox import syscalls
from buildgraph.sandbox.command import Command, Network

_LOOPBACK = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_SLIRP_RESOLVER = "nameserver 10.0.2.3\n"
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

T = TypeVar("T")


def etc_files(command: Command) -> dict[str, str]:
    """Path → text of the files that every command gets for itself."""
    hosts = _host_file("/etc/hosts", _LOOPBACK) if command.network == "host" else _LOOPBACK
    hosts = hosts if hosts.endswith("\n") else hosts + "\n"
    hosts += f"127.0.0.1\t{command.hostname}\n"
    hosts += "".join(f"{address}\t{name}\n" for name, address in sorted(command.hosts.items()))
    return {
        "/etc/hosts": hosts,
        "/etc/hostname": command.hostname + "\n",
        "/etc/resolv.conf": _resolver(command.network),
    }


def _resolver(network: Network) -> str:
    match network:
        case "none":
            return "# this step has no network\n"
        case "host":
            return _host_file("/etc/resolv.conf", "")
        case "private":
            return _SLIRP_RESOLVER


def _host_file(path: str, missing: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return missing


def private_network_problem() -> str | None:
    """Why there can be no private network on this machine, or None."""
    if not shutil.which("slirp4netns"):
        return "slirp4netns is not installed"
    return None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun"


def in_private_network(call: Callable[[], T]) -> T:
    """``call()`` in a thread whose network namespace, inherited by what it starts, is its own.

    Raises MachineError ``no-private-network``.
    """
    if problem := private_network_problem():
        raise MachineError(
            "no-private-network",
            f'network = "private" is not possible: {problem}',
            hint='apt-get install slirp4netns, or use network = "host" or "none"',
        )
    inside = _Inside(call)
    inside.thread.start()
    inside.made.wait()
    slirp = None
    try:
        if inside.namespace >= 0:
            slirp = _start_slirp(inside.namespace)
            inside.call_wanted = True
    finally:
        inside.go.set()
        inside.thread.join()
        if slirp:
            slirp.terminate()
            slirp.communicate()
        if inside.namespace >= 0:
            os.close(inside.namespace)
    if inside.error:
        raise inside.error
    return inside.results[0]


class _Inside(Generic[T]):
    """A thread that leaves the machine's network, waits until somebody joined the new one to it, then calls."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.made, self.go = threading.Event(), threading.Event()
        self.namespace = -1
        self.call_wanted = False
        self.results: list[T] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="private-network")

    def _run(self) -> None:
        try:
            leave_network()
            self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.made.set()
            self.go.wait()
            if self.call_wanted:
                self.results.append(self.call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self.error = error
        finally:
            self.made.set()


def leave_network() -> None:
    """From now on the calling thread, and what it starts and mounts, knows of loopback alone; raises OSError."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    _raise_loopback()


def _raise_loopback() -> None:
    # the module on top of it costs nearly every build 1.5 ms
    from _socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket

    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    finally:
        control.close()


def _start_slirp(namespace: int) -> subprocess.Popen[bytes]:
    ready, writer = os.pipe2(os.O_CLOEXEC)
    try:
        with os.fdopen(ready, "rb") as pipe:
            slirp = subprocess.Popen(
                [
                    *("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback"),
                    *(f"--ready-fd={writer}", "--netns-type=path"),
                    *(f"/proc/{os.getpid()}/fd/{namespace}", "tap0"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(writer, namespace),
            )
            os.close(writer)
            writer = -1
            if pipe.read(1):
                return slirp
    finally:
        if writer >= 0:
            os.close(writer)
    _, said = slirp.communicate()
    why = said.decode(errors="replace").strip()
    raise MachineError(
        "no-private-network", f"slirp4netns failed: {why}", hint="see `buildgraph doctor`"
    )
