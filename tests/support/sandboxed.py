"""Run as a program by the sandbox's integration tests: enter the namespaces, run a command, say what happened.

``sandboxed.py FOLDER BUSYBOX RUNTIME SCRIPT [UID]`` prints one JSON line ``{"up": true}`` with the first output and
one with the result.
"""

import json
import os
import shutil
import sys
import threading
from pathlib import Path

from buildgraph.sandbox.command import Command, stubs
from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.sandbox.runtime import Bubblewrap, OciRuntime
from buildgraph.sandbox.snapshot import Snapshots


def main(folder: Path, busybox: str, name: str, script: str, uid: int) -> dict[str, object]:
    privilege = enter_private_mounts()
    if privilege.problem:
        return {"problem": privilege.problem.code, "hint": privilege.problem.hint}
    for part in ("snapshots", "tmp"):
        (folder / part).mkdir(exist_ok=True)
    store = Snapshots(folder / "snapshots", folder / "tmp")
    if not store.path("base"):
        fill(store, busybox)
    runtime = Bubblewrap(store.tmp) if name == "bwrap" else OciRuntime(name, store.tmp)
    output = bytearray()

    def collect(chunk: bytes) -> None:
        if not output:
            print(json.dumps({"up": True}), flush=True)
        output.extend(chunk)

    with store.prepare([store.dir / "base"], stubs()) as active:
        command = Command(active.root, ("sh", "-euc", script), uid=uid, gid=uid)
        ended = runtime.run(command, collect, threading.Event())
        active.quiesce()
        active.commit("step")
    with store.view([store.dir / "base", store.dir / "step"]) as view:
        seen = sorted(os.listdir(view))
        owners = {n: [(view / n).lstat().st_uid, (view / n).lstat().st_gid] for n in seen}
    return {
        "code": ended.code,
        "output": output.decode(),
        "seen": seen,
        "owners": owners,
        "mapping": privilege.mapping,
        "kind": privilege.kind,
        "tmp": [n for n in os.listdir(store.tmp) if not n.startswith("mount-")],
    }


def fill(store: Snapshots, busybox: str) -> None:
    with store.create("base") as root:
        (root / "bin").mkdir()
        shutil.copy(busybox, root / "bin/busybox")
        for applet in ("sh", "cat", "chown", "echo", "id", "ls", "mkdir", "rm", "sleep", "touch"):
            os.symlink("busybox", root / "bin" / applet)
        (root / "gone").mkdir()
        (root / "gone/x").touch()


if __name__ == "__main__":
    folder, busybox, name, script, *uid = sys.argv[1:]
    result = main(Path(folder), busybox, name, script, int(uid[0]) if uid else 0)
    print(json.dumps(result), flush=True)
