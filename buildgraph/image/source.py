"""One image for one platform, wherever its blobs lie: the store, a layout, an archive.

A place is only asked for blobs by digest (:data:`OpenBlob`); nothing that it answers is believed. Documents are at
most 4 MiB and exactly what their descriptor says; a layer read through :meth:`ImageSource.open_layer` raises at its
end when it was not, and never yields more than the descriptor's size.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from buildgraph.digest import Digest, hasher
from buildgraph.errors import ContentError, UsageError
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import CONFIGS, Descriptor
from buildgraph.oci.document import LARGEST
from buildgraph.oci.manifest import Index, Manifest, parse
from buildgraph.store.base import BlobStore
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.image.assemble import Assembled, LayerBlob

OpenBlob = Callable[[Digest], BinaryIO]
"""Opens a blob for reading; the caller closes. Raises ContentError (``blob-missing``)."""

_DEEPEST: Final = 4
_ATTESTATION: Final = "vnd.docker.reference.type"


def stored(blobs: BlobStore) -> OpenBlob:
    """The blobs of a store."""

    def open_blob(digest: Digest) -> BinaryIO:
        stream = blobs.open(digest)
        if stream is None:
            raise ContentError("blob-missing", f"the store lacks the blob {digest}")
        return stream

    return open_blob


@dataclass(frozen=True, slots=True)
class ImageSource:
    """``descriptor`` is the manifest's; ``name`` is what messages call the image."""

    name: str
    descriptor: Descriptor
    manifest: Manifest
    manifest_bytes: bytes
    config: Config
    config_bytes: bytes
    open_blob: OpenBlob

    @classmethod
    def of(cls, made: "Assembled", open_blob: OpenBlob, name: str = "the image") -> "ImageSource":
        """An image that was just assembled; only its layers are asked of ``open_blob``."""
        return cls(
            name,
            made.descriptor,
            made.manifest,
            made.manifest_bytes,
            made.config,
            made.config_bytes,
            open_blob,
        )

    @property
    def layers(self) -> "tuple[LayerBlob, ...]":
        """For :func:`buildgraph.image.assemble.assemble`, bottom first."""
        from buildgraph.image.assemble import base_layers

        return base_layers(self.manifest, self.config)

    def open_layer(self, layer: Descriptor) -> BinaryIO:
        """A layer as it is stored (compressed), checked while it is read."""
        return verified(self.open_blob(layer.digest), layer, f"a layer of {self.name}")

    def documents(self) -> tuple[tuple[Descriptor, bytes], ...]:
        """What is written beside the layers; the config first, so that no document precedes what it names."""
        return (
            (self.manifest.config, self.config_bytes),
            (self.descriptor, self.manifest_bytes),
        )


def load_image(
    open_blob: OpenBlob, roots: Sequence[Descriptor], platform: Platform | None, name: str
) -> ImageSource:
    """The image for ``platform`` among ``roots`` (manifests or indexes) of what messages call ``name``.

    ``platform`` None takes the only one there is. Raises UsageError (``no-platform``, ``several-platforms``) and
    ContentError: ``not-an-image``, ``bad-image``, ``blob-missing``, ``blob-damaged``, ``bad-document``.
    """
    descriptor, content = _find_manifest(open_blob, roots, platform, name)
    manifest = Manifest.parse(content, _known_type(descriptor), f"the manifest of {name}")
    if manifest.config.media_type not in CONFIGS:
        raise ContentError(
            "not-an-image",
            f"{name} is no container image, but {manifest.config.media_type}",
        )
    config_bytes = read_document(open_blob, manifest.config, f"the config of {name}")
    config = Config.parse(config_bytes, f"the config of {name}")
    if platform and not _suits(config.platform, platform):
        raise _no_platform(name, platform, (config.platform,))
    if len(manifest.layers) != len(config.diff_ids):
        raise ContentError(
            "bad-image",
            f"{name}: its manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)} diff IDs",
        )
    return ImageSource(name, descriptor, manifest, content, config, config_bytes, open_blob)


def _find_manifest(
    open_blob: OpenBlob, roots: Sequence[Descriptor], platform: Platform | None, name: str
) -> tuple[Descriptor, bytes]:
    """Follow indexes down to the manifest for ``platform``."""
    choices = roots
    for _ in range(_DEEPEST):
        chosen = _choose(choices, platform, name)
        content = read_document(open_blob, chosen, f"the manifest of {name}")
        document = parse(content, _known_type(chosen), f"the manifest of {name}")
        if isinstance(document, Manifest):
            return chosen, content
        choices = document.manifests
    raise ContentError("bad-image", f"{name}: indexes are nested deeper than {_DEEPEST}")


def _known_type(descriptor: Descriptor) -> str:
    """Layouts that name their manifests ``application/octet-stream`` and the like leave it to the document."""
    known = descriptor.media_type.endswith("+json")
    return descriptor.media_type if known else ""


def _choose(choices: Iterable[Descriptor], platform: Platform | None, name: str) -> Descriptor:
    images = list({c.digest: c for c in choices if not is_attestation(c)}.values())
    if platform:
        fit = [c for c in images if c.platform is None or _suits(c.platform, platform)]
        exact = [c for c in fit if c.platform and _plain(c.platform) == _plain(platform)]
        named = [c for c in fit if c.platform]
        images = exact or named or fit
        if not images:
            present = tuple(c.platform for c in choices if c.platform and not is_attestation(c))
            raise _no_platform(name, platform, present)
        return images[0]
    if len(images) == 1:
        return images[0]
    if not images:
        raise ContentError("not-an-image", f"{name} holds no image")
    known = ", ".join(sorted({str(c.platform) for c in images if c.platform}))
    raise UsageError(
        "several-platforms",
        f"{name} is for several platforms: {known or 'they are not named'}",
        hint="say which with --platform, or with platform in the Buildfile",
    )


def listed_platforms(index: bytes, name: str) -> tuple[Platform, ...]:
    """Those of the images that an index lists, in its order."""
    listed = Index.parse(index, name=name).manifests
    images = (one for one in listed if not is_attestation(one))
    return tuple(dict.fromkeys(one.platform for one in images if one.platform))


def is_attestation(descriptor: Descriptor) -> bool:
    """What BuildKit puts beside an image: a manifest whose config is none and whose layers hold statements about it."""
    unknown = descriptor.platform is not None and descriptor.platform.os == "unknown"
    return unknown or _ATTESTATION in descriptor.annotations


def _plain(platform: Platform) -> Platform:
    default = (platform.arch, platform.variant) in (("arm64", "v8"), ("arm", "v7"))
    return Platform(platform.os, platform.arch) if default else platform


def _suits(found: Platform, wanted: Platform) -> bool:
    """A wanted platform without a variant takes any; an index entry is preferred that fits exactly."""
    same = (found.os, found.arch) == (wanted.os, wanted.arch)
    return same and (not wanted.variant or _plain(found).variant == _plain(wanted).variant)


def _no_platform(name: str, wanted: Platform, found: Iterable[Platform]) -> UsageError:
    known = ", ".join(sorted({str(platform) for platform in found}))
    return UsageError(
        "no-platform",
        f"{name} has no image for {wanted}" + (f", only for {known}" if known else ""),
    )


def read_document(open_blob: OpenBlob, descriptor: Descriptor, name: str) -> bytes:
    """A small blob whole, checked."""
    if descriptor.size > LARGEST:
        raise ContentError(
            "bad-document",
            f"{name} is said to have {descriptor.size} bytes; at most {LARGEST} are read",
        )
    with verified(open_blob(descriptor.digest), descriptor, name) as stream:
        return stream.read()


def verified(stream: BinaryIO, descriptor: Descriptor, name: str) -> BinaryIO:
    """``stream`` cut at the descriptor's size, raising ContentError (``blob-damaged``) where it is not that blob.

    Only reading to the end proves it. Closing the answer closes ``stream``.
    """
    return cast("BinaryIO", io.BufferedReader(_Verified(stream, descriptor, name), 1 << 20))


class _Verified(io.RawIOBase):
    def __init__(self, stream: BinaryIO, descriptor: Descriptor, name: str) -> None:
        if descriptor.digest.algorithm not in ("sha256", "sha512"):
            stream.close()
            raise ContentError(
                "bad-digest", f"{name}: {descriptor.digest} is no digest of an image's blob"
            )
        self._stream = stream
        self._digest = descriptor.digest
        self._left = descriptor.size
        self._size = descriptor.size
        self._name = name
        self._hash = hasher(descriptor.digest.algorithm, descriptor.size)
        self._checked = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        if not view:
            self._check()
            return 0
        content = self._stream.read(len(view))
        if not content:
            raise self._bad(f"ends {self._left} bytes before the {self._size} that it should have")
        view[: len(content)] = content
        self._hash.update(content)
        self._left -= len(content)
        return len(content)

    def _check(self) -> None:
        if self._checked:
            return
        if self._stream.read(1):
            raise self._bad(f"is longer than the {self._size} bytes that it should have")
        if self._hash.hexdigest() != self._digest.hex:
            raise self._bad("has other bytes than its digest says")
        self._checked = True

    def _bad(self, why: str) -> ContentError:
        return ContentError("blob-damaged", f"{self._name} ({self._digest}) {why}")

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
