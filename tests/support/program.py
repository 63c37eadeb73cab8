"""The command line as a process of its own, on a workspace: what it prints, how it ends, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from support.capability import lack, require, require_root
from support.workspace import Workspace

_MAIN = ("-m", "buildgraph")
_NOBODY = 65534


@dataclass
class Program:
    """``environ`` comes on top of this process's; ``prefix`` is what starts the program (``unshare``, ``env`` …).

    Every child inherits ``mark``, a variable, unless it clears its environment.
    """

    folder: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)
    mark: str = field(default_factory=lambda: f"mark-{uuid4().hex}")

    @classmethod
    def of(cls, workspace: Workspace) -> "Program":
        return cls(workspace.folder, workspace.home)

    def start(self, *words: str | Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*self.prefix, sys.executable, *_MAIN, *map(str, words)],
            cwd=self.folder,
            env={
                **os.environ,
                "BUILDGRAPH_HOME": str(self.home),
                "COLUMNS": "200",
                "MARK": self.mark,
                **self.environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs, after a test that failed."""
        for process in self.started:
            process.kill()
            process.communicate()

    def run(
        self, *words: str | Path, code: int = 0, limit: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*words)
        out, err = process.communicate(timeout=limit)
        assert process.returncode == code, f"{words}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, code, out, err)

    def build(self, *words: str | Path, limit: float = 120) -> "Built":
        """Builds, for at most ``limit`` seconds, and says what ran."""
        file = self.home.parent / f"{self.folder.name}.meta.json"
        said = ("--progress", "json", "--metadata-file", file)
        done = self.run("build", *said, *words, limit=limit)
        built = Built.of(done.stderr, json.loads(file.read_text()))
        file.unlink()
        return built

    def digests(self) -> dict[str, str]:
        return self.build().digests

    def digests_of(self, *targets: str) -> dict[str, str]:
        return self.build(*targets).digests

    def running(self) -> list[int]:
        """The processes that it and its children have left."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    if self.mark.encode() in (folder / "environ").read_bytes():
                        found.append(int(folder.name))
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue
        return found

    def sound(self) -> None:
        """The store is whole, and holds no left-over of a process that is gone."""
        self.run("cache", "verify")
        assert self.left_over() == []

    def left_over(self) -> list[str]:
        """Temporary files, trash, locks, mounts and processes of this store."""
        found = [str(path) for name in ("tmp", "trash") for path in (self.home / name).iterdir()]
        found += [str(p) for p in (self.home / "leases").iterdir() if p.suffix != ".lock"]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [line for line in mounts if f"{self.home}/" in line]
        return found + [f"process {pid}: {line}" for pid, line in processes(str(self.home))]


@dataclass(frozen=True)
class Built:
    """What one build said: its events, in order, and its metadata."""

    events: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]

    @classmethod
    def of(cls, lines: str, metadata: dict[str, Any] | None = None) -> "Built":
        return cls(tuple(json.loads(line) for line in lines.splitlines()), metadata or {})

    @property
    def digests(self) -> dict[str, str]:
        return {name: target["digest"] for name, target in self.metadata["targets"].items()}

    @property
    def ran(self) -> set[str]:
        return self.ended("executed")

    def ended(self, outcome: str) -> set[str]:
        return {
            e["step"]
            for e in self.events
            if e["event"] == "step-finished" and e["outcome"] == outcome
        }

    def output(self, step: str) -> list[str]:
        return [e["line"] for e in self.events if e["event"] == "step-output" and e["step"] == step]


@contextmanager
def ordinary_user(buildfile: str) -> Iterator[Program]:
    """The program as a user without any rights, in a workspace of his with ``src/a``."""
    require_root()
    require("setpriv")
    with tempfile.TemporaryDirectory(prefix="user") as name:
        folder = Path(name)
        folder.chmod(0o755)
        workspace = Workspace.make(folder).base()
        workspace.buildfile(buildfile)
        workspace.write("src/a", "a\n")
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, _NOBODY, _NOBODY)
        prefix = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
        program = Program(workspace.folder, workspace.home, {"HOME": name}, prefix)
        if not program.start("--version").communicate(timeout=60)[0]:
            lack("an ordinary user may not read this checkout")
        yield program


def processes(word: str) -> list[tuple[int, str]]:
    """The other processes whose command line or working folder names ``word``."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            places = [line, os.readlink(folder / "cwd"), os.readlink(folder / "root")]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(word in place for place in places):
            found.append((int(folder.name), line))
    return found


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str]:
    """Send the signal and wait; the exit code and what was said on stderr."""
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err
