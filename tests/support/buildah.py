"""Dockerfiles built by buildah, with storage of its own, without a network.

Storage is overlayfs where that can be: by plain files, each commit waits for the next second to begin.
"""

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.foreign import said

FIELDS = (
    *("Env", "Cmd", "Entrypoint", "WorkingDir", "Labels", "ExposedPorts", "User", "Volumes"),
    *("StopSignal", "Shell", "OnBuild", "Healthcheck"),
)


@dataclass(frozen=True)
class Image:
    """``config`` holds what says something, variables sorted; ``tree`` type, mode, uid, gid, and content or target by path."""

    config: dict[str, Any]
    tree: dict[str, tuple[str, str, int, int, str]] = field(default_factory=dict)


@dataclass
class Buildah:
    folder: Path
    driver: str

    def __call__(self, *words: str | Path, cwd: Path | None = None) -> None:
        places = ("--root", self.folder / "root", "--runroot", self.folder / "run")
        said("buildah", *places, "--storage-driver", self.driver, *words, cwd=cwd)

    def build(self, context: Path, *words: str) -> Image:
        made, root = self.folder / "made", self.folder / "root.tar"
        alone = ("--isolation", "oci", "--runtime", "runc", "--network", "none", "--pull-never")
        told = ("--format", "docker", "-t", f"dir:{made}", "-o", f"type=tar,dest={root}")
        self("build", "-q", *alone, *told, "--layers=false", *words, context)
        manifest = json.loads((made / "manifest.json").read_bytes())
        name = manifest["config"]["digest"].partition(":")[2]
        found = Image(config_of(json.loads((made / name).read_bytes())), tree_of(root))
        shutil.rmtree(made)
        root.unlink()
        return found


@contextmanager
def storage(layout: Path) -> Iterator[Buildah]:
    """With one image, named as the layout's folder: buildah makes the name of the path as it is told, and a name has no
    capitals, so it is told one word. In memory where that can be; on a short path, because sockets below it want that;
    nothing of it stays."""
    memory = "/dev/shm"
    folder = Path(tempfile.mkdtemp(prefix="bh", dir=memory if os.path.isdir(memory) else None))
    try:
        yield _opened(folder, layout)
    finally:
        shutil.rmtree(folder)


def _opened(folder: Path, layout: Path) -> Buildah:
    try:
        return _filled(Buildah(folder / "o", "overlay"), layout)
    except AssertionError:  # the folder is on an overlay itself
        return _filled(Buildah(folder / "v", "vfs"), layout)


def _filled(made: Buildah, layout: Path) -> Buildah:
    made("pull", "-q", f"oci:{layout.name}:latest", cwd=layout.parent)
    return made


def config_of(document: dict[str, Any]) -> dict[str, Any]:
    config = document["config"]
    labels = {k: v for k, v in (config.get("Labels") or {}).items() if k != "io.buildah.version"}
    found = {**config, "Labels": labels, "Env": sorted(config.get("Env") or ())}
    return {name: found[name] for name in FIELDS if found.get(name)}


def tree_of(archive: Path) -> dict[str, tuple[str, str, int, int, str]]:
    with tarfile.open(archive) as members:
        found = {}
        for one in members:
            name = one.name.removeprefix("./").strip("/")
            if name not in ("", "."):
                found[name] = _told(members, one)
    return found


def _told(members: tarfile.TarFile, one: tarfile.TarInfo) -> tuple[str, str, int, int, str]:
    kind, text = one.type.decode(), one.linkname
    if one.isreg() or one.islnk():  # which name of several is the link is nobody's business
        file = members.extractfile(one)
        assert file is not None
        kind, text = "file", file.read().decode("utf-8", "replace")
    elif one.isdir():
        kind = "folder"
    mode = "0777" if one.issym() else f"{one.mode:04o}"
    return kind, mode, one.uid, one.gid, text
