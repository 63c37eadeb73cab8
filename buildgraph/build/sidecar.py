"""``Buildfile.lock.d``: what is to be known of base images, kept beside the lock for machines that know nothing yet.

It is used, and written to, only where the folder exists. Its files::

    sha256-HEX.json   a manifest or config, exactly as the registry has it
    sha256-HEX.dirs   the dirs index of a layer (:mod:`buildgraph.fs.dirs`), by diff ID

A file is written once, by rename, and never changed; one whose content is not what its name says counts as missing and
is written again.
"""

import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.execute.bases import BaseLayers
from buildgraph.fs import dirs
from buildgraph.fs.tree import Tree
from buildgraph.oci.config import Config
from buildgraph.spec.lock import Lock

NAME: Final = "Buildfile.lock.d"


class Sidecar:
    """``writable`` False: nothing is written, as ``--frozen``, ``plan`` and the like promise."""

    def __init__(self, root: Path, *, writable: bool = False) -> None:
        self._folder = root / NAME
        self.there = self._folder.is_dir()
        self.writable = writable

    def document(self, digest: Digest) -> bytes | None:
        """A manifest or config."""
        content = self._read(_file(digest, "json"))
        same = content is not None and hashlib.sha256(content).hexdigest() == digest.hex
        return content if same else None

    def keep_document(self, content: bytes) -> None:
        digest = Digest.sha256(content)
        if self.there and self.writable and self.document(digest) is None:
            self._write(_file(digest, "json"), content)

    def dirs(self, diff_id: Digest) -> Tree | None:
        content = self._read(_file(diff_id, "dirs"))
        try:
            return None if content is None else dirs.decode(diff_id, content)
        except ContentError:
            return None

    def keep_dirs(self, diff_id: Digest, layer: Tree) -> None:
        """Also where another index is there: this one was just made from the layer itself."""
        if self.there and self.writable and self.dirs(diff_id) != layer:
            self._write(_file(diff_id, "dirs"), dirs.encode(diff_id, layer))

    def prune(self, needed: Collection[Digest]) -> None:
        """Remove the files of what is not ``needed``; strange files stay."""
        kept = {_file(digest, kind) for digest in needed for kind in ("json", "dirs")}
        for name in set(self._names()) - kept:
            (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> Iterator[str]:
        for name in sorted(os.listdir(self._folder)) if self.there else ():
            stem, _, kind = name.partition(".")
            if kind in ("json", "dirs") and stem.startswith("sha256-") and len(stem) == 71:
                yield name

    def _read(self, name: str) -> bytes | None:
        if not self.there:
            return None
        path = self._folder / name
        try:
            with path.open("rb") as file:
                return file.read(dirs.LARGEST)
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._folder / f".{name}.{os.getpid()}-{threading.get_ident()}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)


def fill(sidecar: Sidecar, lock: Lock, bases: BaseLayers) -> None:
    """Have in it all that the lock's images need, reading layers that nobody knows yet, and nothing else."""
    if not (sidecar.there and sidecar.writable):
        return
    diff_ids = {
        layer.diff_id for layers in bases.layers.values() for layer in layers if layer.place
    }
    bases.learn_dirs(diff_ids)
    for diff_id in diff_ids:
        sidecar.keep_dirs(diff_id, dirs.of(bases.dirs(diff_id)))
    needed = set(diff_ids)
    for pin in lock.images.values():
        names = (pin.manifest, pin.config)
        manifest, config = (bases.store.blobs.read(n) or sidecar.document(n) for n in names)
        if manifest is None or config is None:
            return  # of another platform, and nobody knows what it needs
        sidecar.keep_document(manifest)
        sidecar.keep_document(config)
        needed |= {*names, *Config.parse(config, "a pinned config").diff_ids}
    sidecar.prune(needed)


def _file(digest: Digest, kind: str) -> str:
    return f"{digest.algorithm}-{digest.hex}.{kind}"
