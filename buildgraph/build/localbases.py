"""Bases whose bytes lie on this machine: layouts, archives, root filesystems.

A layout or archive is opened by its documents. A ``rootfs`` archive has none: its one layer is described by reading it
once, remembered by the file's content, so that a second build only hashes what the stat cache does not know.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from buildgraph.digest import Digest, hasher
from buildgraph.errors import ContentError, UsageError
from buildgraph.execute.bases import BaseLayer, LayerSource
from buildgraph.fs import tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.rows import row_of
from buildgraph.fs.scan import near_paths
from buildgraph.graph.graph import BaseFacts
from buildgraph.graph.lowerrun import DEFAULT_PATH
from buildgraph.image.layout import Layout
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform
from buildgraph.oci.config import Config, History
from buildgraph.oci.descriptor import LAYER
from buildgraph.spec.model import Base
from buildgraph.store.base import Compressed, LayerFacts
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, replace

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenBase:
    facts: BaseFacts
    layers: tuple[BaseLayer, ...] = ()


class LocalBases:
    """Opened archives stay open until ``undo`` ends."""

    def __init__(
        self,
        root: Path,
        platform: Platform,
        store: LocalStore,
        cache: StatCache,
        facts: Facts,
        undo: ExitStack,
    ) -> None:
        self._root = root
        self._platform = platform
        self._store = store
        self._cache = cache
        self._facts = facts
        self._undo = undo

    def open(self, base: Base) -> OpenBase:
        match base.kind:
            case "scratch":
                return OpenBase(BaseFacts((), Config.empty(base.platform or self._platform)))
            case "layout":
                return self._layout(base)
            case "archive":
                return self._archive(base)
            case "rootfs":
                return self._rootfs(base)
            case "image":
                raise AssertionError(base)

    def _path(self, base: Base) -> Path:
        path = self._root / base.path
        if error := missing(base, self._root):
            self._facts.missing(self._known(path))
            raise error
        if base.kind != "layout" and path.is_dir():
            raise ContentError(
                "not-an-archive",
                f"{base.path} is a folder, and {base.kind} = … is a file",
                hint="layout = … takes the folder of an OCI layout",
            )
        return path

    def _known(self, path: Path) -> bytes:
        """As facts name it: below the root, or absolute."""
        return os.fsencode(
            os.path.relpath(path, self._root) if path.is_relative_to(self._root) else path
        )

    def _layout(self, base: Base) -> OpenBase:
        path = self._path(base)
        for name in ("index.json", "oci-layout"):
            if (path / name).is_file():
                self._facts.read(self._known(path / name))
        source = Layout(path).image(base.reference, base.platform or self._platform)
        return opened(source, _Opener(source))

    def _archive(self, base: Base) -> OpenBase:
        path = self._path(base)
        self._content(path)
        from buildgraph.image.archive import ImageArchive

        archive = self._undo.enter_context(ImageArchive(path, self._store.tmp))
        source = archive.image(base.reference, base.platform or self._platform)
        return opened(source, _Opener(source))

    def _content(self, path: Path) -> str:
        """The file's digest, which is also the proof that it is still the same."""
        real = self._facts.follow(self._known(path))  # links on the way are facts, too
        full = os.path.join(os.fsencode(self._root), real)
        row = row_of(os.stat(full))
        content = self._cache.digest([full], [row])[0]
        self._facts.add(real, row, content)
        return content

    def _rootfs(self, base: Base) -> OpenBase:
        path = self._path(base)
        content = self._content(path)
        known = self._store.records.document(f"rootfs-{content}")
        if known is None:
            known = self._describe(path)
            self._store.records.put_document(f"rootfs-{content}", known)
        fields = json.loads(known)
        diff_id = Digest.parse(fields["diff_id"])
        blob = Compressed(Digest.parse(fields["digest"]), fields["size"], fields["media_type"])
        config = replace(
            Config.empty(base.platform or self._platform),
            env=(("PATH", DEFAULT_PATH),),
            diff_ids=(diff_id,),
            history=(History(created_by=f"rootfs {path.name}"),),
        )
        return OpenBase(BaseFacts((diff_id,), config), (BaseLayer(diff_id, blob, _File(path)),))

    def _describe(self, path: Path) -> bytes:
        """Digest, diff ID and tree of an archive, in one pass over it."""
        from buildgraph.fs.unpack import index

        with path.open("rb") as raw:
            hashed = hasher("sha256")
            size = 0
            while piece := raw.read(_PIECE):
                hashed.update(piece)
                size += len(piece)
            raw.seek(0)
            start = raw.read(4)
            raw.seek(0)
            with open_decompressor(raw) as stream:
                learned = index(stream)
        made = self._store.blobs.put(tree.encode(learned.tree), "blake3")
        self._store.layers.put_facts(learned.diff_id, LayerFacts(made, learned.size))
        suffix = "+gzip" if start.startswith(b"\x1f\x8b") else ""
        suffix = "+zstd" if start == b"\x28\xb5\x2f\xfd" else suffix
        fields = {
            "diff_id": learned.diff_id,
            "digest": f"sha256:{hashed.hexdigest()}",
            "media_type": LAYER + suffix,
            "size": size,
        }
        return json.dumps(fields, sort_keys=True).encode()


def missing(base: Base, root: Path) -> UsageError | None:
    """What is wrong with the path of a base (``base-missing``); None where something is there, or it has no path."""
    if not base.path or (root / base.path).exists():
        return None
    near = near_paths(os.fsencode(root), os.fsencode(base.path))
    hint = f"{base.kind} = … is a path, absolute or from the folder of the Buildfile"
    return UsageError(
        "base-missing",
        f"base {base.name}: there is nothing at {base.path}",
        hint=f"did you mean {' or '.join(near)}? {hint}" if near else hint,
        where=base.where,
    )


def opened(source: ImageSource, layers: LayerSource, place: str = "", name: str = "") -> OpenBase:
    """An image as a base; ``place`` is the repository that has its layers, if one has, ``name`` what it is called."""
    pairs = zip(source.config.diff_ids, source.manifest.layers, strict=True)
    return OpenBase(
        BaseFacts(source.config.diff_ids, source.config, name, source.descriptor.digest),
        tuple(
            BaseLayer(diff_id, Compressed(y.digest, y.size, y.media_type), layers, place)
            for diff_id, y in pairs
        ),
    )


@dataclass(frozen=True, slots=True)
class _Opener:
    source: ImageSource

    def open_blob(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        for layer in self.source.manifest.layers:
            if layer.digest == digest:
                return self.source.open_layer(layer)
        raise ContentError("blob-missing", f"{self.source.name} has no layer {digest}")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    @contextmanager
    def open_blob(self, digest: Digest) -> Iterator[BinaryIO]:  # noqa: ARG002 - there is only one
        with self.path.open("rb") as stream:
            yield stream
