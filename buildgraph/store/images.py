"""The names of images: ``index.json`` of the home folder, so that other tools read it as an OCI layout.

A name is the annotation ``org.opencontainers.image.ref.name`` of an entry (image-spec, image-layout.md). Entries and
fields that others wrote are kept. Writers exclude each other by a lock and replace the file as a whole; a file that
is no index is renamed to ``index.json.damaged-…`` with a warning: its images are named again by the next build.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from buildgraph.errors import ContentError, MachineError
from buildgraph.events import Warned
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import Index
from buildgraph.store.faults import translated
from buildgraph.values import replace

if TYPE_CHECKING:
    from buildgraph.store.local import LocalStore

REF_NAME: Final = "org.opencontainers.image.ref.name"
IMPLIED: Final = "buildgraph.implied"
"""The annotation of an entry whose name nobody gave: it is that of a folder or a table."""


class LocalImages:
    """``reference`` is the whole name with its tag, always spelled the same way by the caller."""

    def __init__(self, store: "LocalStore") -> None:
        self._store = store
        self._file = store.home / "index.json"

    def resolve(self, reference: str, *, given: bool = False) -> Descriptor | None:
        """The newest entry of that name; only if somebody gave it, where ``given``.

        The manifest it names is kept while the session lasts.
        """
        named = [e for e in self._read().manifests if e.annotations.get(REF_NAME) == reference]
        if not named or (given and IMPLIED in named[-1].annotations):
            return None
        self._store.lease.name(named[-1].digest)
        return _unnamed(named[-1])

    def list(self) -> "tuple[tuple[str, Descriptor], ...]":
        """(reference, descriptor) of every named entry, in the order in which they were named."""
        return tuple(
            (name, _unnamed(entry))
            for entry in self._read().manifests
            if (name := entry.annotations.get(REF_NAME))
        )

    def tag(self, reference: str, descriptor: Descriptor) -> None:
        self.tag_all({reference: descriptor})

    def tag_all(self, images: Mapping[str, Descriptor], implied: Collection[str] = ()) -> None:
        """Name many images in one step; whatever had one of the names loses it.

        The names in ``implied`` are not those of people.
        """
        self._store.lease.name(*(descriptor.digest for descriptor in images.values()))
        self._store.blobs.sync()
        fresh = tuple(
            _named(descriptor, name, implied=name in implied) for name, descriptor in images.items()
        )
        with self._store.lock("index"):
            index = self._read(locked=True)
            kept = tuple(e for e in index.manifests if e.annotations.get(REF_NAME) not in images)
            if (*kept, *fresh) != index.manifests:
                # A compiled plan may have given a name that moves, or looked for one that is new in vain.
                gone = any(entry not in fresh and entry not in kept for entry in index.manifests)
                new = len(images) > len(index.manifests) - len(kept) and len(implied) < len(images)
                if gone or new:
                    self._store.raise_generation()
                self._write(replace(index, manifests=(*kept, *fresh)))

    def untag(self, references: Iterable[str]) -> "tuple[str, ...]":
        """Those of ``references`` that were there; the blobs stay until gc."""
        wanted = set(references)
        with self._store.lock("index"):
            index = self._read(locked=True)
            gone = tuple(e for e in index.manifests if e.annotations.get(REF_NAME) in wanted)
            if gone:
                self._store.raise_generation()
                kept = tuple(entry for entry in index.manifests if entry not in gone)
                self._write(replace(index, manifests=kept))
        return tuple(entry.annotations[REF_NAME] for entry in gone)

    def remove(self, entries: "Collection[Descriptor]") -> None:
        """Remove exactly these entries of :meth:`roots`, named or not."""
        with self._store.lock("index"):
            index = self._read(locked=True)
            kept = tuple(entry for entry in index.manifests if entry not in entries)
            if kept != index.manifests:
                self._store.raise_generation()
                self._write(replace(index, manifests=kept))

    def roots(self) -> "tuple[Descriptor, ...]":
        """Every entry, named or not: what gc keeps with all it refers to."""
        return self._read().manifests

    def _read(self, *, locked: bool = False) -> Index:
        try:
            with translated(self._file):
                content = self._file.read_bytes()
        except FileNotFoundError:
            return Index(())
        try:
            return Index.parse(content, name=str(self._file))
        except ContentError as error:
            if locked:
                self._set_aside(error)
                return Index(())
        with self._store.lock("index"):
            return self._read(locked=True)

    def _set_aside(self, error: ContentError) -> None:
        aside = self._file.with_name(f"index.json.damaged-{os.urandom(4).hex()}")
        with translated(self._file):
            self._store.raise_generation()
            os.rename(self._file, aside)
        message = f"the list of images is damaged, it is kept as {aside.name}: {error.message}"
        self._store.observer(Warned("images-damaged", message))

    def _write(self, index: Index) -> None:
        content = index.to_bytes()
        if len(content) > LARGEST:
            raise MachineError(
                "too-many-images",
                f"{self._file} would have {len(content)} bytes; other tools read at most {LARGEST}",
                hint="remove names that are no longer needed: buildgraph rmi",
            )
        self._store.write(self._file, content)


def _named(descriptor: Descriptor, name: str, *, implied: bool) -> Descriptor:
    marked = {REF_NAME: name, **({IMPLIED: "true"} if implied else {})}
    return replace(descriptor, annotations={**descriptor.annotations, **marked})


def _unnamed(descriptor: Descriptor) -> Descriptor:
    ours = (REF_NAME, IMPLIED)
    kept = {key: text for key, text in descriptor.annotations.items() if key not in ours}
    return replace(descriptor, annotations=kept)
