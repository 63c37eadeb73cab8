"""OCI layouts (image-spec, image-layout.md): a folder of blobs by digest and one index of names.

    oci-layout                {"imageLayoutVersion":"1.0.0"}
    index.json                an index; a name is the annotation org.opencontainers.image.ref.name of a descriptor
    blobs/<algorithm>/<hex>   the blobs

Writers add, they never remove: several may write into one layout at once, because blobs appear whole and the index
is replaced under a lock on the folder. Readers open regular files only, so that a FIFO cannot block them.
"""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, UsageError
from buildgraph.image.content import Content
from buildgraph.image.output import appearing, reporting
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Platform, Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.document import LARGEST, decode, encode
from buildgraph.oci.manifest import Index
from buildgraph.values import replace

REF_NAME: Final = "org.opencontainers.image.ref.name"
FULL_NAME: Final = "io.containerd.image.name"
"""The whole reference, where ``REF_NAME`` holds its tag alone; podman and containerd read it."""

LAYOUT_FILE: Final = encode({"imageLayoutVersion": "1.0.0"})
_PIECE: Final = 1 << 20


class Layout:
    """An existing layout, for reading."""

    def __init__(self, path: Path) -> None:
        """Raises ContentError (``not-a-layout``)."""
        self.path = path
        try:
            fields = decode(_read_small(path / "oci-layout"), f"{path}/oci-layout")
        except OSError as error:
            raise ContentError(
                "not-a-layout",
                f"{path} is no OCI layout: {error.strerror} (oci-layout)",
                hint="a layout is a folder with the files oci-layout and index.json",
            ) from error
        check_layout_version(fields.text("imageLayoutVersion"), str(path))

    def index(self) -> Index:
        path = self.path / "index.json"
        try:
            return Index.parse(_read_small(path), "", str(path))
        except OSError as error:
            raise ContentError("not-a-layout", f"{path}: {error.strerror}") from error

    def image(self, reference: str = "", platform: Platform | None = None) -> ImageSource:
        """The image of that name (or ``sha256:…`` digest); without one, the only image there is."""
        name = f"{self.path}:{reference}" if reference else str(self.path)
        roots = named(self.index().manifests, reference, name)
        return load_image(self.open_blob, roots, platform, name)

    def open_blob(self, digest: Digest) -> BinaryIO:
        path = self.path / "blobs" / digest.algorithm / digest.hex
        try:
            return open_regular(path)
        except FileNotFoundError as error:
            raise ContentError("blob-missing", f"{self.path} lacks the blob {digest}") from error
        except OSError as error:
            raise ContentError("blob-missing", f"{path}: {error.strerror}") from error


def check_layout_version(version: str, name: str) -> None:
    if not version.startswith("1."):
        raise ContentError(
            "not-a-layout", f"{name} is an OCI layout of version {version[:20]!r}, not 1.x"
        )


def names_of(descriptor: Descriptor) -> tuple[str, ...]:
    """All names under which a layout's descriptor may be asked for."""
    found = (descriptor.annotations.get(key, "") for key in (REF_NAME, FULL_NAME))
    return tuple(dict.fromkeys(name for name in found if name))


def named(choices: Sequence[Descriptor], reference: str, name: str) -> tuple[Descriptor, ...]:
    """Those of ``choices`` that ``reference`` means; empty means all. They must be one image.

    Raises UsageError: ``image-missing``, ``image-ambiguous``.
    """
    known = sorted({text for choice in choices for text in names_of(choice)})
    if reference:
        choices = [c for c in choices if is_called(reference, (*names_of(c), c.digest))]
        if not choices:
            hint = "it holds: " + ", ".join(known) if known else "the images in it have no names"
            raise UsageError("image-missing", f"{name}: there is no such image", hint=hint)
    if not choices:
        raise ContentError("not-an-image", f"{name} holds no image")
    platforms = [choice.platform for choice in {c.digest: c for c in choices}.values()]
    if len(set(platforms)) != len(platforms):
        raise UsageError(
            "image-ambiguous",
            f"{name} holds {len(platforms)} images",
            hint="name one: " + (", ".join(known) or "by its digest"),
        )
    return tuple(choices)


def is_called(reference: str, names: Iterable[str]) -> bool:
    """Whether ``reference`` is one of ``names``, or one of them after a host that other tools put before it."""
    meant = (reference, f"library/{reference}")
    return any(name == reference or _without_host(name) in meant for name in names)


def _without_host(name: str) -> str:
    head, _, rest = name.partition("/")
    return rest if "." in head or ":" in head or head == "localhost" else ""


def open_regular(path: Path) -> BinaryIO:
    """Raises ``OSError`` for what is no regular file, without waiting for it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(0, "not a regular file", str(path))
    return open(fd, "rb")


def _read_small(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(LARGEST + 1)  # decoding refuses what is longer


def write_layout(path: Path, source: ImageSource | Content, names: Sequence[str] = ()) -> None:
    """Add ``source`` to the layout at ``path`` (made if missing) under ``names``, references, which move to it.

    Idempotent. Raises UsageError (``not-a-layout``, ``output-refused``), MachineError (``no-space``).
    """
    content = source if isinstance(source, Content) else Content.of(source)
    with reporting(path):
        path.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            _begin(path)
        blobs = path / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for layer in content.layers:
            if not _has(blobs, layer):
                with (
                    content.open_layer(layer) as stream,
                    appearing(blobs / layer.digest.hex) as file,
                ):
                    copy(stream, file)
        for descriptor, document in content.documents:
            if not _has(blobs, descriptor):
                with appearing(blobs / descriptor.digest.hex) as file:
                    file.write(document)
        with _locked(path):
            index = Layout(path).index() if (path / "index.json").exists() else Index(())
            with appearing(path / "index.json") as file:
                file.write(_moved(index, content, names).to_bytes())


def copy(stream: BinaryIO, file: BinaryIO) -> None:
    while content := stream.read(_PIECE):
        file.write(content)


def _begin(path: Path) -> None:
    if (path / "oci-layout").exists():
        return
    if any(path.iterdir()):
        raise UsageError(
            "not-a-layout",
            f"{path} holds files and is no OCI layout",
            hint="choose a new or an empty folder with dest=",
        )
    with appearing(path / "oci-layout") as file:
        file.write(LAYOUT_FILE)


def _has(blobs: Path, descriptor: Descriptor) -> bool:
    """By size alone: blobs appear whole, and ``image validate`` finds those that were changed later."""
    try:
        return (blobs / descriptor.digest.hex).stat().st_size == descriptor.size
    except FileNotFoundError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """flock on the folder itself: no lock file stays behind, and a killed writer holds nothing."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
        os.fsync(fd)
    finally:
        os.close(fd)


def _moved(index: Index, content: Content, names: Sequence[str]) -> Index:
    """``index`` with ``names`` moved to ``content``; other entries stay, in their order."""
    new = entries(content, names)
    kept = tuple(old for old in index.manifests if not any(_same_name(old, entry) for entry in new))
    return replace(index, manifests=kept + new)


def _same_name(one: Descriptor, two: Descriptor) -> bool:
    """Two tags of one text are the same name unless they belong to different references."""
    full = {d.annotations[FULL_NAME] for d in (one, two) if FULL_NAME in d.annotations}
    return one.annotations.get(REF_NAME) == two.annotations.get(REF_NAME) and len(full) < 2


def entries(content: Content, names: Sequence[str]) -> tuple[Descriptor, ...]:
    """What an index says of an image: one descriptor per name; ``latest`` alone without a name.

    ``:tag`` is a tag that belongs to no reference.
    """
    return tuple(
        replace(content.root, annotations={**content.annotations, **_called(name)})
        for name in names or (":latest",)
    )


def _called(name: str) -> dict[str, str]:
    if name.startswith(":"):
        return {REF_NAME: name[1:]}
    full = Reference.parse(name).familiar
    return {FULL_NAME: full, REF_NAME: Reference.parse(full).tag or "latest"}
