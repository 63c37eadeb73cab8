"""Is an image what it says? Every hash is computed again, from the root descriptor down to each file's archive entry.

Nothing is believed: blobs against digest and size, layers unpacked against their diff IDs, documents against each
other and against image-spec. All problems are found, not the first alone; layers are streamed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, ContentError
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.unpack import index
from buildgraph.image.archive import ImageArchive
from buildgraph.image.layout import Layout
from buildgraph.image.source import OpenBlob, is_attestation, read_document, verified
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import CONFIG, CONFIGS, DOCKER_CONFIG, MANIFEST, Descriptor, codec_of
from buildgraph.oci.manifest import Manifest, parse
from buildgraph.values import dataclass

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_PORT: Final = re.compile(r"\d{1,5}(/(tcp|udp|sctp))?", re.ASCII)
_DEEPEST: Final = 4
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """``subject`` is the digest of the blob that is wrong, or the image's name."""

    code: str
    subject: str
    message: str


def validate(open_blob: OpenBlob, roots: Sequence[Descriptor], name: str) -> tuple[Problem, ...]:
    """All that is wrong with the images at ``roots`` (manifests or indexes) of what messages call ``name``.

    Blobs that several images share are read once.
    """
    checked = _Check(open_blob, name)
    for root in roots:
        checked.root(root, _DEEPEST)
    return tuple(checked.problems)


def validate_path(path: Path, tmp: Path | None = None) -> tuple[Problem, ...]:
    """The same for all images of the layout or archive at ``path``; raises what :class:`Layout` and others raise.

    Of an archive in both forms, the layout is validated, and that docker's form leads to readable images.
    """
    if path.is_dir():
        layout = Layout(path)
        return validate(layout.open_blob, layout.index().manifests, str(path))
    with ImageArchive(path, tmp) as archive:
        listed = archive.listed()
        problems = list(validate(archive.open_blob, listed or (), str(path)))
        found = 0
        try:
            for found, image in enumerate(archive.docker_images(), 1):  # noqa: B007 - counts them
                if listed is None:
                    problems += validate(image.open_blob, [image.descriptor], str(path))
        except BuildgraphError as error:
            problems.append(Problem(error.code, str(path), error.message))
        if not (problems or listed or found):
            raise ContentError("not-an-archive", f"{path} holds no image")
        return tuple(problems)


class _Check:
    def __init__(self, open_blob: OpenBlob, name: str) -> None:
        self._open_blob = open_blob
        self._name = name
        self._done: set[Digest] = set()
        self._diff_ids: dict[Digest, Digest | None] = {}
        self.problems: list[Problem] = []

    def _add(self, code: str, subject: str, message: str) -> None:
        self.problems.append(Problem(code, subject, message))

    def _failed(self, error: BuildgraphError, subject: str) -> None:
        self._add(error.code, subject, error.message)

    def root(self, descriptor: Descriptor, depth: int) -> None:
        if descriptor.digest in self._done:
            return
        self._done.add(descriptor.digest)
        if not depth:
            self._add("bad-image", descriptor.digest, f"indexes are nested deeper than {_DEEPEST}")
            return
        try:
            content = read_document(self._open_blob, descriptor, f"the manifest of {self._name}")
            document = parse(content, descriptor.media_type, f"the manifest of {self._name}")
        except BuildgraphError as error:
            self._failed(error, descriptor.digest)
            return
        if isinstance(document, Manifest):
            self._manifest(document, descriptor)
            return
        for child in document.manifests:
            self.root(child, depth - 1)

    def _manifest(self, manifest: Manifest, descriptor: Descriptor) -> None:
        config = manifest.config
        if config.media_type not in CONFIGS or is_attestation(descriptor):
            for blob in (config, *manifest.layers):  # what they mean is the artifact's own affair
                self._blob(blob)
            return
        digests = [self._layer(layer) for layer in manifest.layers]
        wanted = CONFIG if manifest.media_type == MANIFEST else DOCKER_CONFIG
        if config.media_type != wanted:
            self._add("media-type", descriptor.digest, f"its config is of type {config.media_type}")
        for layer in manifest.layers:
            if codec_of(layer.media_type) is None:
                self._add("media-type", layer.digest, f"{layer.media_type} is no type of a layer")
        try:
            content = read_document(self._open_blob, config, f"the config of {self._name}")
            parsed = Config.parse(content, f"the config of {self._name}")
        except BuildgraphError as error:
            self._failed(error, config.digest)
            return
        self._coherence(parsed, digests, descriptor)
        for message in _config_problems(parsed):
            self._add("bad-config", config.digest, message)

    def _blob(self, blob: Descriptor) -> None:
        if blob.digest in self._done:
            return
        self._done.add(blob.digest)
        try:
            name = f"a blob of {self._name}"
            with verified(self._open_blob(blob.digest), blob, name) as stream:
                while stream.read(_PIECE):
                    pass
        except BuildgraphError as error:
            self._failed(error, blob.digest)

    def _layer(self, layer: Descriptor) -> Digest | None:
        """Its diff ID as computed; None when it cannot be read."""
        if layer.digest in self._diff_ids:
            return self._diff_ids[layer.digest]
        found: Digest | None = None
        try:
            stream = verified(self._open_blob(layer.digest), layer, f"a layer of {self._name}")
            with open_decompressor(stream, layer.media_type) as tar:
                found = index(
                    tar
                ).diff_id  # to the end of both streams, so that the blob is proved too
        except BuildgraphError as error:
            self._failed(error, layer.digest)
        self._diff_ids[layer.digest] = found
        return found

    def _coherence(
        self, config: Config, digests: Sequence[Digest | None], descriptor: Descriptor
    ) -> None:
        subject = descriptor.digest
        if len(digests) != len(config.diff_ids):
            self._add(
                "bad-image",
                subject,
                f"the manifest has {len(digests)} layers, the config {len(config.diff_ids)} diff IDs",
            )
        for at, (found, said) in enumerate(zip(digests, config.diff_ids, strict=False)):
            if found is not None and found != said:
                self._add("diff-id", said, f"layer {at + 1} unpacks to {found}")
        layers = sum(not entry.empty_layer for entry in config.history)
        if config.history and layers != len(config.diff_ids):
            self._add(
                "bad-config",
                subject,
                f"its history tells of {layers} layers, it has {len(config.diff_ids)}",
            )
        if descriptor.platform and not _same(descriptor.platform, config.platform):
            self._add(
                "platform",
                subject,
                f"announced for {descriptor.platform}, its config says {config.platform}",
            )


def _same(announced: Platform, own: Platform) -> bool:
    """A variant that only one of the two names is no contradiction."""
    if (announced.os, announced.arch) != (own.os, own.arch):
        return False
    return announced.variant == own.variant or not (announced.variant and own.variant)


def _config_problems(config: Config) -> Iterator[str]:
    times = [config.created, *(entry.created for entry in config.history)]
    for time in sorted({time for time in times if time and not _RFC3339.fullmatch(time)}):
        yield f"{time[:40]!r} is no time as RFC 3339 writes it"
    for name, count in Counter(name for name, _ in config.env).items():
        if count > 1:
            yield f"it sets the variable {name[:60]!r} {count} times"
        if not name:
            yield "it sets a variable without a name"
    for port in config.exposed:
        if not _PORT.fullmatch(port) or int(port.partition("/")[0]) > 65535:
            yield f"{port[:40]!r} is no port"
    if config.workdir and not config.workdir.startswith("/"):
        yield f"its working directory {config.workdir[:60]!r} is not absolute"
