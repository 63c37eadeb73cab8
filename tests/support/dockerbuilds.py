"""Dockerfiles built as the command line builds them, on the tiny base, which they call ``box``."""

import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from support.workspace import Workspace

from buildgraph.build.request import DockerRequest, OutputSpec, Summary
from buildgraph.store.local import LocalStore

_REQUEST = ("outputs", "stdout", "tags", "platform", "secrets", "no_cache", "jobs", "push")
_BASE = ("usr/", "opt/", "etc/", "bin/")


@dataclass
class Docker:
    """The context is the folder ``ctx`` of the workspace."""

    workspace: Workspace

    @classmethod
    def make(cls, tmp_path: Path) -> "Docker":
        return cls(Workspace.make(tmp_path, "app").base())

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        self.workspace.write(f"ctx/{path}", text, mode)

    def build(self, text: str | None = None, **asked: object) -> Summary:
        """``text`` becomes the context's Dockerfile."""
        if text is not None:
            self.write("Dockerfile", text)
        return self.workspace.build(**self.request(**asked))

    def request(self, **asked: object) -> dict[str, object]:
        more = {name: asked.pop(name) for name in _REQUEST if name in asked}
        contexts = {"box": "oci-layout://box:latest", **asked.pop("contexts", {})}
        docker = DockerRequest(
            asked.pop("context", "ctx"), asked.pop("file", ""), contexts=contexts, **asked
        )
        return {"docker": docker, **more}

    def said(self, text: str | None = None, **asked: object) -> list[str]:
        """The lines of all commands together, in the order of the file's instructions."""
        self.build(text, **asked)
        steps = sorted(self.workspace.outcomes(), key=_in_order)
        return [line for step in steps for line in self.workspace.output(step)]

    def files(self, text: str | None = None, **asked: object) -> dict[str, str]:
        """Regular files that are not the base's, with their content."""
        return files_of(self.archive(text, **asked))

    def tree(self, text: str | None = None, **asked: object) -> dict[str, tarfile.TarInfo]:
        """Everything in the root filesystem."""
        with tarfile.open(self.archive(text, **asked)) as archive:
            return dict(_named(archive))

    def archive(self, text: str | None = None, **asked: object) -> Path:
        out = self.workspace.folder.parent / "out.tar"
        self.build(text, outputs=(OutputSpec("tar", str(out)),), **asked)
        return out

    def config(self, summary: Summary) -> dict[str, object]:
        with LocalStore.open(self.workspace.home, lambda _event: None) as store:
            content = store.blobs.read(summary.images[0].config_digest)
        assert content is not None
        found = json.loads(content)
        assert isinstance(found, dict)
        return found

    def counts(self) -> dict[str, int]:
        outcomes = list(self.workspace.outcomes().values())
        return {word: outcomes.count(word) for word in set(outcomes)}


def files_of(archive: Path) -> dict[str, str]:
    """Regular files that are not the base's, with their content."""
    with tarfile.open(archive) as members:
        return {
            path: members.extractfile(member).read().decode()
            for path, member in _named(members)
            if member.isreg() and not path.startswith(_BASE)
        }


def _in_order(step: str) -> list[tuple[int, str]]:
    """``stage/10-run`` comes after ``stage/9-run``."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", step)]


def _named(archive: tarfile.TarFile) -> list[tuple[str, tarfile.TarInfo]]:
    return [(member.name.removeprefix("./").rstrip("/") or ".", member) for member in archive]
