"""What a Dockerfile's instructions do, asked with model values: nothing is parsed."""

import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.workspace import Workspace

from buildgraph.build import buildfiles as opening
from buildgraph.build.request import OutputSpec, Summary
from buildgraph.errors import Location
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.values import replace

HERE = Location("Dockerfile", 3, "COPY …")
BOX = m.Ref("base", "box")
Kind = m.DockerCopy | m.Workdir | m.Run


def copy(*sources: Any, to: str, **more: Any) -> m.DockerCopy:
    """Strings are patterns in the context; ``ref`` makes them paths of a stage."""
    ref = more.pop("ref", None)
    words = tuple(
        m.DockerSource(s, ref, "" if ref else "context") if isinstance(s, str) else s
        for s in sources
    )
    return m.DockerCopy(words, to, **more)


def add(*sources: Any, to: str, **more: Any) -> m.DockerCopy:
    return copy(*sources, to=to, add=True, **more)


def run(text: str, **more: Any) -> m.Run:
    argv = tuple(m.Text((word,)) for word in ("/bin/sh", "-c", text))
    env = {"PATH": m.Text(("/usr/bin:/bin",))} | {
        name: m.Text((value,)) for name, value in more.pop("env", {}).items()
    }
    return m.Run(argv, env=env, dockerfile=True, discard=(), **more)


@dataclass
class Dockered:
    """``folder`` is the build context; steps are named ``s0``, ``s1``, … in each stage (``stage-s0``)."""

    workspace: Workspace
    monkeypatch: pytest.MonkeyPatch
    ignore: tuple[str, ...] = ()
    stages: dict[str, tuple[Kind, ...]] = field(default_factory=dict)
    bases: dict[str, tuple[m.Ref, ...]] = field(default_factory=dict)
    docker: m.DockerImage | None = None

    @classmethod
    def make(cls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Dockered":
        workspace = Workspace.make(tmp_path)
        workspace.base().buildfile("")
        (workspace.folder / "ctx").mkdir()
        return cls(workspace, monkeypatch)

    @property
    def folder(self) -> Path:
        return self.workspace.folder / "ctx"

    def write(self, path: str, text: str = "x", mode: int = 0o644) -> None:
        self.workspace.write(f"ctx/{path}", text, mode)

    def stage(self, name: str, *kinds: Kind, on: tuple[m.Ref, ...] = (BOX,)) -> m.Ref:
        self.stages[name] = kinds
        self.bases[name] = on
        return m.Ref("image", name)

    def attempt(self, *kinds: Kind, on: tuple[m.Ref, ...] = (BOX,), **more: Any) -> Summary:
        self.stage("main", *kinds, on=on)
        real = opening.load

        def load(*args: Any, **given: Any) -> Any:
            loaded = real(*args, **given)
            return replace(loaded, model=self._model(loaded.model))

        with self.monkeypatch.context() as patch:
            patch.setattr(opening, "load", load)
            return self.workspace.attempt("main", **more)

    def build(self, *kinds: Kind, **more: Any) -> Summary:
        summary = self.attempt(*kinds, **more)
        if summary.failures:
            raise summary.failures[0]
        return summary

    def tree(self, *kinds: Kind, **more: Any) -> dict[str, tuple[str, int, int, int, str]]:
        """Everything in the image but what the base has: type, mode, uid, gid, and content or target by path."""
        tar = self.workspace.folder.parent / "out.tar"
        self.build(*kinds, outputs=(OutputSpec("tar", str(tar)),), **more)
        with tarfile.open(tar) as archive:
            found = {
                one.name.removeprefix("./").rstrip("/"): _told(archive, one) for one in archive
            }
        tar.unlink()
        return {
            name: told
            for name, told in found.items()
            if name not in ("", ".") and not _of_base(name)
        }

    def _model(self, model: m.Model) -> m.Model:
        steps, images = dict(model.steps), dict(model.images)
        for stage, kinds in self.stages.items():
            refs = list(self.bases[stage])
            for at, kind in enumerate(kinds):
                name = f"{stage}-s{at}"
                steps[name] = m.Step(name, kind, HERE, on=tuple(refs))
                refs.append(m.Ref("step", name))
            docker = self.docker if stage == "main" else None
            docker = docker or m.DockerImage(Config.empty(_platform()), ())
            images[stage] = m.Image(stage, tuple(refs), HERE, docker=docker)
        contexts = {"context": m.FileContext("ctx", self.ignore)}
        return replace(model, steps=steps, images=images, contexts=contexts)


def _platform() -> Platform:
    return Platform.of_machine(os.uname().machine)


def _of_base(name: str) -> bool:
    return name.startswith("usr/bin/") or name in {
        *("bin", "lib", "usr", "usr/bin", "etc", "etc/passwd", "etc/group", "var", "var/lib"),
        *("tmp", "root"),
    }


def _told(archive: tarfile.TarFile, one: tarfile.TarInfo) -> tuple[str, int, int, int, str]:
    if one.isdir():
        return "dir", one.mode, one.uid, one.gid, ""
    if one.issym():
        return "link", one.mode, one.uid, one.gid, one.linkname
    if one.islnk():
        return "hard", one.mode, one.uid, one.gid, one.linkname.removeprefix("./")
    if one.isfile():
        file = archive.extractfile(one)
        assert file is not None
        text = file.read().decode("utf-8", "replace")
        return "file", one.mode, one.uid, one.gid, text
    return one.type.decode(), one.mode, one.uid, one.gid, ""
