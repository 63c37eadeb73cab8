"""A runtime with a root to try commands in, and what of them can be seen from outside."""

import os
from pathlib import Path

from support import sandboxes

from buildgraph.sandbox.runtime import Command, Runtime
from buildgraph.sandbox.snapshot import Active, Snapshots


class Bed:
    """A runtime, a fresh root, and short ways to run something there."""

    def __init__(self, runtime: Runtime, active: Active, store: Snapshots) -> None:
        self.runtime, self.active, self.store = runtime, active, store

    def command(self, *argv: str, **keys: object) -> Command:
        return Command(self.active.root, argv, **keys)  # type: ignore[arg-type]

    def sh(self, script: str, **keys: object) -> str:
        ended, output = sandboxes.run(self.runtime, self.command("sh", "-euc", script, **keys))
        assert ended.ok, output
        return output

    def changes(self) -> list[str]:
        self.active.quiesce()
        upper = self.active.upper
        return sorted(str(path.relative_to(upper)) for path in upper.rglob("*"))


def command_lines() -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def processes_with(mark: str) -> list[str]:
    return [line for line in command_lines() if mark in line and "sleep" in line]
