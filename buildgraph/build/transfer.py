"""Images from one place to another, byte for byte: ``pull``, ``push``, ``copy``, ``save``, ``load``.

Whatever the way, digests stay: manifests, indexes, configs and layers are moved as they are. The one exception is a
docker-archive, a form without manifests. What the other side has already is not moved again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, assert_never

from buildgraph.build.blobs import Blobs
from buildgraph.build.images import StoredImages, new_name
from buildgraph.build.observing import one_at_a_time
from buildgraph.build.places import (
    FilePlace,
    Opener,
    Place,
    RegistryPlace,
    StorePlace,
    parse_place,
    require_file,
)
from buildgraph.build.registries import Access
from buildgraph.build.ship import shipment
from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.events import Event, Observer
from buildgraph.execute.interrupt import interruptible
from buildgraph.image.content import Content
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.release import Release
from buildgraph.registry.stopping import Stop, StoppedError
from buildgraph.registry.together import together
from buildgraph.store.local import LocalStore
from buildgraph.store.reading import reading
from buildgraph.values import dataclass

_AT_ONCE: Final = 4
_PIECE: Final = 1 << 20


def _silent(_event: Event) -> None:
    """Archives are read and written without progress."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What moved, in bytes; ``names`` are what the image is called where it now is."""

    digest: Digest
    names: tuple[str, ...]
    fetched: int = 0
    uploaded: int = 0
    mounted: int = 0


class Transfer:
    """One command's view of all places."""

    def __init__(
        self, store: LocalStore, environ: Mapping[str, str], observer: Observer, undo: ExitStack
    ) -> None:
        self._store = store
        self.tmp = store.tmp
        self.observer = observer
        self._stopped = Stop()
        access = Access(store, environ, observer, undo, self._stopped)
        self.remote = access.remote
        self.blobs = Blobs(store, access)
        self._opener = Opener(store, self.remote, self.blobs, undo, own=True)

    def copy(self, source: Place, target: Place, platform: Platform | None = None) -> Transferred:
        """Idempotent; the image appears at ``target`` under its name when everything of it is there."""
        with interruptible(self._stopped.set):
            content = self._opener.open(source, platform)
            if isinstance(source, StorePlace) and isinstance(target, FilePlace):
                self.blobs.fetch(layer.digest for layer in content.layers)
            match target:
                case RegistryPlace(reference):
                    near = [source.reference] if isinstance(source, RegistryPlace) else []
                    return self.send(content, reference, near)
                case StorePlace(reference=text):
                    names = [new_name(text, content.root.digest)]
                    self.keep(content, names)
                    if isinstance(source, RegistryPlace):
                        self._remember(source.reference, content)
                case FilePlace():
                    names = _write(content, target)
                case _:
                    assert_never(target)
        return Transferred(content.root.digest, tuple(names), self.remote.fetched)

    def _remember(self, reference: Reference, content: Content) -> None:
        """Other repositories of that registry can mount it from there, should it be pushed."""
        digests = [one.digest for one, _ in content.configs]
        digests += [layer.digest for layer in content.layers]
        self._store.seen.hear(reference.repository, digests)

    def send(
        self, content: Content, reference: Reference, near: Sequence[Reference]
    ) -> Transferred:
        """To the registry, its tag last; ``near``: repositories that may have some of it."""
        with interruptible(self._stopped.set):
            if reference.digest not in ("", content.root.digest):
                raise UsageError(
                    "other-digest",
                    f"{content.name} is {content.root.digest}, and cannot become {reference}",
                    hint="leave the digest out; an image keeps its own",
                )
            place, tags = Reference(reference.host, reference.path), _tags(reference)
            made = shipment(self.remote, str(reference), content, place, tags, near)
            (done,) = Release((made,), self._stopped).deliver()
        names, fetched = (reference.familiar,), self.remote.fetched
        return Transferred(content.root.digest, names, fetched, done.uploaded, done.mounted)

    def name(self, content: Content, names: Sequence[str]) -> Transferred:
        """An image of the store whose layers are here, or known to be elsewhere."""
        for descriptor, document in content.documents:
            self._store.blobs.put(document, descriptor.digest.algorithm)
        self._store.images.tag_all(dict.fromkeys(names, content.root))
        return Transferred(content.root.digest, tuple(names), self.remote.fetched)

    def keep(self, content: Content, names: Sequence[str]) -> None:
        """Bring all of it into the store, then name it."""
        bring = partial(self._keep_layer, content)
        together(_AT_ONCE, bring, content.layers, self._stopped.set)
        self.name(content, names)

    def _keep_layer(self, content: Content, layer: Descriptor) -> None:
        blobs = self._store.blobs
        self._check()
        if blobs.has(layer.digest):
            return
        with self._store.single_flight(f"blob-{layer.digest}", self._stopped):
            self._check()
            if blobs.has(layer.digest):
                return
            temp = blobs.temp()
            with content.open_layer(layer) as stream, temp.open("wb") as file:
                while piece := stream.read(_PIECE):
                    self._check()
                    file.write(piece)
            blobs.adopt(temp, layer.digest)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise StoppedError

    # -- archives of several images

    def save(self, path: Path, references: Sequence[str], platform: Platform | None) -> None:
        """What ``docker load`` reads; of an image for several platforms the one for ``platform``."""
        from buildgraph.image.archive import write_archive

        images = StoredImages(self._store)
        chosen: dict[Digest, tuple[Content, list[str]]] = {}
        for reference in references:
            content = self._opener.open(StorePlace(reference), platform)
            self.blobs.fetch(layer.digest for layer in content.layers)
            names = chosen.setdefault(content.root.digest, (content, []))[1]
            names.append(images.name_of(reference))
        write_archive(
            path, [(_single(c, platform), names) for c, names in chosen.values()], "docker"
        )

    def load(self, path: Path) -> tuple[str, ...]:
        """Every image of an archive, under the names that it has there; those without names by digest."""
        from buildgraph.image.archive import ImageArchive

        require_file(path)
        with interruptible(self._stopped.set), ImageArchive(path, self._store.tmp) as archive:
            loaded: list[str] = []
            for content, names in archive.all_images():
                known = tuple(Reference.parse(name).familiar for name in names)
                self.keep(content, known or (content.root.digest,))
                loaded += known or (content.root.digest,)
        return tuple(loaded)


def _tags(reference: Reference) -> tuple[str, ...]:
    """A digest alone asks for no tag."""
    if reference.digest and not reference.tag:
        return ()
    return (reference.tag or "latest",)


def _write(content: Content, target: FilePlace) -> list[str]:
    """A tag alone names an image in a layout; a whole reference is kept as well."""
    from buildgraph.image.archive import write_archive, write_oci_archive
    from buildgraph.image.layout import write_layout

    whole = "/" in target.reference or ":" in target.reference
    names = ((target.reference if whole else f":{target.reference}"),) if target.reference else ()
    match target.kind:
        case "oci":
            write_layout(target.path, content, names)
        case "oci-archive":
            write_oci_archive(target.path, [(content, names)])
        case "docker-archive":
            named = (target.reference,) if target.reference else ()
            write_archive(target.path, [(_single(content, None), named)], "docker")
    return [str(target)]


def _single(content: Content, platform: Platform | None) -> ImageSource:
    return load_image(content.open_any, (content.root,), platform, content.name)


@contextmanager
def _transferring(
    home: Path, environ: Mapping[str, str], observer: Observer = _silent, *, into: bool
) -> Iterator[Transfer]:
    """``into``: the store gets something; else it need not take writes."""
    with ExitStack() as undo:
        observer = one_at_a_time(observer)
        opener = LocalStore.open if into else reading
        store = undo.enter_context(opener(home, observer))
        yield Transfer(store, environ, observer, undo)


def copy(
    home: Path,
    environ: Mapping[str, str],
    observer: Observer,
    places: tuple[str, str],
    directory: Path,
    platform: str | None,
) -> Transferred:
    """Relative paths in ``places`` are from ``directory``."""
    source, target = (parse_place(place, directory) for place in places)
    into = isinstance(target, StorePlace)
    with _transferring(home, environ, observer, into=into) as transfer:
        return transfer.copy(source, target, _platform(platform))


def save(
    home: Path,
    environ: Mapping[str, str],
    file: Path | BinaryIO,
    refs: Sequence[str],
    platform: str | None,
) -> None:
    """``file`` may be a stream: the archive is made first, so that nothing is sent of one that cannot be."""
    with _transferring(home, environ, into=False) as transfer:
        if isinstance(file, Path):
            transfer.save(file, refs, _platform(platform))
            return
        import shutil
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(dir=transfer.tmp) as folder:
            made = Path(folder) / "archive"
            transfer.save(made, refs, _platform(platform))
            with made.open("rb") as stream:
                shutil.copyfileobj(stream, file)
            file.flush()


def load(home: Path, environ: Mapping[str, str], file: Path | BinaryIO) -> tuple[str, ...]:
    """``file`` may be a stream that cannot be read twice."""
    with _transferring(home, environ, into=True) as transfer:
        if isinstance(file, Path):
            return transfer.load(file)
        import shutil
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(dir=transfer.tmp) as folder:
            archive = Path(folder) / "archive"
            with archive.open("wb") as kept:
                shutil.copyfileobj(file, kept)
            return transfer.load(archive)


def _platform(text: str | None) -> Platform | None:
    return Platform.parse(text) if text else None
