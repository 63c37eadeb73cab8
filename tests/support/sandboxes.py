"""A busybox root, a folder of snapshots, and what the sandbox needs of the machine."""

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from support import capability

from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.sandbox.runtime import Command, Exit, Runtime
from buildgraph.sandbox.snapshot import Snapshots

APPLETS = (
    "sh wc cat chmod chown cp dd echo env false find grep hostname id ip ls mkdir mknod mount mv "
    "nc route nslookup ps pwd readlink rm rmdir sed setsid sleep sort stat test touch true umount unshare wget"
)


def private_mounts() -> None:
    capability.require_root()
    if problem := enter_private_mounts().problem:
        capability.lack(problem.message)


def snapshots(folder: Path) -> Snapshots:
    for name in ("snapshots", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    return Snapshots(folder / "snapshots", folder / "tmp")


def busybox(store: Snapshots) -> Path:
    """The snapshot of a root with a shell and nothing else."""
    capability.require("busybox")
    if found := store.path("busybox"):
        return found
    with store.create("busybox") as root:
        for name in ("bin", "tmp", "etc", "root"):
            (root / name).mkdir()
        (root / "tmp").chmod(0o1777)
        shutil.copy(shutil.which("busybox") or "", root / "bin/busybox")
        for applet in APPLETS.split():
            os.symlink("busybox", root / "bin" / applet)
        write(
            root / "etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
        )
        write(root / "etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    return store.dir / "busybox"


def left(tmp: Path) -> list[str]:
    """What commands left behind: everything but the empty places that their rooms were mounted on."""
    return [
        name for name in os.listdir(tmp) if not name.startswith("mount-") or os.listdir(tmp / name)
    ]


def layer(store: Snapshots, name: str, files: Mapping[str, str]) -> Path:
    with store.create(name) as root:
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, text)
    return store.dir / name


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def run(
    runtime: Runtime, command: Command, cancelled: threading.Event | None = None
) -> tuple[Exit, str]:
    output = bytearray()
    ended = runtime.run(command, output.extend, cancelled or threading.Event())
    return ended, output.decode()
