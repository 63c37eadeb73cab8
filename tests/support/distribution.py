"""This project's registry client as tests use it: a clock that never waits, whole images pulled and pushed."""

import io
import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from support.badregistry import BadRegistry
from support.images import AMD, blobs_of, image

from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.image.source import ImageSource, load_image
from buildgraph.names import Reference
from buildgraph.oci.descriptor import Descriptor
from buildgraph.oci.manifest import Manifest, parse
from buildgraph.registry.client import Registries, Repository
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings, Timeouts

PATIENCE = Timeouts(connect=10, idle=10, retry=90)
IMPATIENCE = Timeouts(connect=10, idle=0.3, retry=90)
"""For servers that say nothing on purpose."""


class Clock:
    """Whoever sleeps is told at once that the time is over."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.now += seconds


def credentials(folder: Path, **by_host: str) -> Credentials:
    """``by_host`` are ``user:password``; hosts have ports, so they are given as ``**{host: …}``."""
    path = folder / "auth.json"
    entries = {host: {"auth": b64encode(pair.encode()).decode()} for host, pair in by_host.items()}
    path.write_text(json.dumps({"auths": entries}))
    return Credentials.load({"REGISTRY_AUTH_FILE": str(path)})


def nobody() -> Credentials:
    return Credentials((), {})


def registries(
    settings: Settings | None = None,
    credentials: Credentials | None = None,
    timeouts: Timeouts = PATIENCE,
    clock: Clock | None = None,
    ca: Iterable[Path] = (),
) -> Registries:
    settings = settings or Settings(timeouts=timeouts, ca=tuple(ca))
    return Registries(settings, credentials or nobody(), clock=clock or Clock())


def sample(size: int = 20_000) -> ImageSource:
    """Two layers, one of them of more than ``size`` bytes; config and manifest are small."""
    return image(({"a": "x" * size}, {"b": "2"}), compress=False)


def fill(registry: BadRegistry, source: ImageSource, name: str = "shop/api") -> None:
    stored = registry.repository(name)
    for digest, content in blobs_of(source).items():
        if digest != source.descriptor.digest:
            stored.add(content)
    stored.tag("latest", source.manifest_bytes, source.descriptor.media_type)


def descriptors(source: ImageSource) -> tuple[Descriptor, ...]:
    return (*source.manifest.layers, source.manifest.config)


def pull(repository: Repository, reference: str = "latest") -> tuple[Digest, list[bytes]]:
    """The manifest's digest and every layer, all of it read; raises ContentError where nothing is there."""
    known: dict[Digest, Descriptor] = {}

    def open_blob(digest: Digest) -> BinaryIO:
        if digest in known:
            return repository.open_blob(known[digest])
        fetched = repository.manifest(digest)
        if fetched is None:
            raise ContentError("blob-missing", f"no {digest}")
        document = parse(fetched.content, fetched.descriptor.media_type)
        if isinstance(document, Manifest):
            known.update({d.digest: d for d in (document.config, *document.layers)})
        return io.BytesIO(fetched.content)

    root = repository.resolve(reference)
    if root is None:
        raise ContentError("blob-missing", f"no {reference}")
    source = load_image(open_blob, (root,), AMD, repository.name)
    return source.descriptor.digest, [read(repository, d) for d in source.manifest.layers]


def read(repository: Repository, descriptor: Descriptor) -> bytes:
    with repository.open_blob(descriptor) as stream:
        return stream.read()


def push(repository: Repository, source: ImageSource, tag: str = "latest") -> list[str]:
    """What became of each blob."""
    blobs = blobs_of(source)
    done: list[str] = [
        repository.upload(d, lambda d=d: io.BytesIO(blobs[d.digest]))  # type: ignore[misc]
        for d in descriptors(source)
    ]
    repository.put_manifest(source.manifest_bytes, source.descriptor.media_type, tag)
    return done


def at(host: str, path: str = "shop/api") -> Reference:
    return Reference.parse(f"{host}/{path}")
