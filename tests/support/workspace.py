"""A workspace with a store of its own and a tiny base, built in this process."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support import capability
from support.packed import PackedImage, directory, file, hard, link, root
from support.sandboxes import private_mounts

from buildgraph.build.build import build
from buildgraph.build.request import Request, Summary
from buildgraph.events import Event, StepFinished, StepOutput, Warned
from buildgraph.image.layout import write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config

APPLETS = (
    "echo",
    "find",
    "grep",
    "mkdir",
    "mv",
    "rm",
    "rmdir",
    "sha256sum",
    "sleep",
    "sort",
    "test",
    "touch",
    "true",
    "false",
    "xargs",
    "chmod",
    "cp",
    "ln",
    "id",
    "env",
    "pwd",
    "tr",
    "head",
    "wc",
    "date",
)


def base_items():
    """A merged-usr root with busybox."""
    items = [
        i
        for i in root()
        if not i.entry.path.startswith(b"usr/bin/") or i.entry.path == b"usr/bin/busybox"
    ]
    names = sorted({"cat", "ls", "sh", "stat", *APPLETS})
    items += [
        hard(f"usr/bin/{name}", "usr/bin/busybox")
        for name in names
        if f"usr/bin/{name}" > "usr/bin/busybox"
    ]
    items += [
        link(f"usr/bin/{name}", "busybox")
        for name in names
        if f"usr/bin/{name}" < "usr/bin/busybox"
    ]
    items += [
        directory("var"),
        directory("var/lib"),
        directory("opt"),
        file("opt/old", "old\n"),
        directory("opt/d"),
        file("opt/d/one", "1\n"),
        file("opt/d/two", "2\n"),
    ]
    return items


@dataclass
class Workspace:
    """``folder`` holds the Buildfile; ``events`` are those of the last build."""

    folder: Path
    home: Path
    events: list[Event] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, tmp_path: Path, name: str = "ws") -> "Workspace":
        private_mounts()
        capability.require("busybox", "bwrap")
        folder = tmp_path / name
        folder.mkdir()
        return cls(folder, tmp_path / "home")

    def base(self) -> "Workspace":
        """The tiny base as the layout ``box``."""
        scratch = self.folder.parent / "base"
        config = replace(
            Config.empty(Platform.of_machine(os.uname().machine)), env=(("PATH", "/usr/bin:/bin"),)
        )
        if not scratch.exists():
            scratch.mkdir()
        image = PackedImage(scratch / self.folder.name, [base_items()], config)
        write_layout(self.folder / "box", image.source, ["box:latest"])
        return self

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def buildfile(self, text: str) -> None:
        head = 'buildfile = 1\n[base.box]\nlayout = "box"\n'
        self.write("Buildfile.toml", head + text)

    def request(self, *targets: str, **more: Any) -> Request:
        return Request(self.folder, self.home, self.environ, targets=targets, **more)

    def build(self, *targets: str, **more: Any) -> Summary:
        """Raises the first failure, so that a test which expects success says why it had none."""
        summary = self.attempt(*targets, **more)
        if summary.failures:
            raise summary.failures[0]
        return summary

    def attempt(self, *targets: str, **more: Any) -> Summary:
        self.events.clear()
        return build(self.request(*targets, **more), self.events.append)

    # -- what happened

    def outcomes(self) -> dict[str, str]:
        return {e.step: e.outcome for e in self.events if isinstance(e, StepFinished)}

    def ran(self) -> set[str]:
        return {step for step, outcome in self.outcomes().items() if outcome == "executed"}

    def output(self, step: str) -> list[str]:
        return [e.line for e in self.events if isinstance(e, StepOutput) and e.step == step]

    def warnings(self) -> list[str]:
        return [e.code for e in self.events if isinstance(e, Warned)]

    def digests(self) -> dict[str, str]:
        return {image.target: image.digest for image in self.build().images}


def digests(summary: Summary) -> dict[str, str]:
    return {image.target: image.digest for image in summary.images}
