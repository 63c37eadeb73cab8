"""Files that ADD unpacks: is this an archive, and what does it hold?

An archive is told by its content: a tar, plain or compressed as :mod:`buildgraph.fs.compress` reads. It is unpacked
once per machine, into a snapshot named by the digest of the file; its tree says of each folder how it meets what is
there: one that the archive leaves out is looked for through links (:data:`~buildgraph.fs.tree.FILL`), one that it lists
replaces what is no folder.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from blake3 import blake3

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs import tree
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.pack import Item
from buildgraph.fs.tree import Entry, Tree
from buildgraph.fs.unpack import Unpacked, unpack
from buildgraph.graph.dockerrecipe import Match
from buildgraph.graph.recipe import Found, Origin
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.base import LayerFacts
from buildgraph.store.local import LocalStore

_BLOCK = 512
_CHECKSUM = slice(148, 156)


class Bytes(Protocol):
    """Where the bytes of a selected file are."""

    def item(self, entry: Entry, origin: Origin) -> Item: ...


class Archives:
    """Safe to use from several threads."""

    def __init__(self, store: LocalStore, snapshots: Snapshots, files: Bytes) -> None:
        self._store = store
        self._snapshots = snapshots
        self._files = files
        self._known: dict[str, bool] = {}
        self._lock = threading.Lock()

    def opened(self, matches: Iterable[Match]) -> tuple[Match, ...]:
        """``matches`` with what archives among them hold. Raises ContentError ``archive-…``, ``source-changed``."""
        return tuple(self._opened(match) if self._is_archive(match) else match for match in matches)

    def _is_archive(self, match: Match) -> bool:
        entry, origin = match.found[0] if match.found else (None, None)
        if match.kind != "file" or entry is None or origin is None or entry.kind != tree.FILE:
            return False
        if entry.content not in self._known:
            source = self._files.item(entry, origin).source
            found = False
            if source:
                with open(source, "rb") as file:
                    found = is_archive(file)
            with self._lock:
                self._known[entry.content] = found
        return self._known[entry.content]

    def _opened(self, match: Match) -> Match:
        entry, origin = match.found[0]
        source = self._files.item(entry, origin).source
        content, folder = self._unpacked(entry.content, source)
        root = os.fsencode(folder) + b"/"
        found = [
            Found(one, Origin(root + one.path) if one.kind == tree.FILE else Origin())
            for one in content
            if one.path
        ]
        return Match("archive", match.name, tuple(found))

    def _unpacked(self, digest: str, source: bytes) -> tuple[Tree, Path]:
        name, file = f"archive-{digest}", Digest(f"blake3:{digest}")
        self._store.lease.name(name)
        with self._store.single_flight(name):
            folder, known = self._snapshots.path(name), self._store.layers.facts(file)
            listed = self._store.blobs.read(known.tree) if known is not None else None
            if folder is not None and listed is not None:
                return tree.decode(listed), folder
            if folder is not None:
                self._store.trash.remove(folder)
            with self._snapshots.create(name) as fresh:
                content = _told(_unpack(source, fresh, digest))
            made = self._store.blobs.put(tree.encode(content), "blake3")
            self._store.layers.put_facts(file, LayerFacts(made, sum(e.size for e in content)))
        return content, self._snapshots.dir / name


def is_archive(file: BinaryIO) -> bool:
    """Whether the first block is the header of a tar, compressed or not; bytes that cannot be read are none."""
    try:
        block = open_decompressor(file).read(_BLOCK)
    except ContentError:
        return False
    if len(block) < _BLOCK:
        return False
    given = block[_CHECKSUM].strip(b" \0")
    plain = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    try:
        return int(given, 8) == plain
    except ValueError:
        return False


class _Hashed:
    """A file that is read once, and hashed to its very end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = blake3()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.hash.update(content)
        return content

    def close(self) -> None:
        """Who opened the file closes it."""


def _unpack(source: bytes, folder: Path, digest: str) -> Unpacked:
    with open(source, "rb") as file:
        hashed = _Hashed(file)
        unpacked = unpack(open_decompressor(hashed), folder, whiteouts=False)  # type: ignore[arg-type]
        while hashed.read(1 << 20):
            pass
    if hashed.hash.hexdigest() != digest:
        shown = os.fsdecode(source)
        raise ContentError("source-changed", f"{shown} changed while it was read", hint="try again")
    return unpacked


def _told(unpacked: Unpacked) -> Tree:
    """How each folder meets what is there."""
    implied = frozenset(unpacked.implied)
    return tuple(
        entry._replace(link=tree.FILL if entry.path in implied else tree.REPLACE)
        if entry.kind == tree.DIRECTORY
        else entry
        for entry in unpacked.tree
    )
