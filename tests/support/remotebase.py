"""Base images in a registry: pushed by our own client, and what was asked of the registry afterwards."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.packed import PackedImage, directory, file, gone, link
from support.registry import Registry
from support.workspace import base_items

from buildgraph.digest import Digest
from buildgraph.image.assemble import index_of
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform, Reference
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import INDEX, MANIFEST, Descriptor
from buildgraph.registry.client import Registries, Repository
from buildgraph.registry.credentials import Credentials
from buildgraph.registry.settings import Settings
from buildgraph.values import replace

HERE = Platform.of_machine(os.uname().machine)
OTHER = Platform("linux", "riscv64")


def base(folder: Path, platform: Platform = HERE, text: str = "one\n", codec: str = "gzip"):
    """Three layers: a root with busybox, one that moves things about, one that deletes some of it."""
    second = [
        directory("opt"),
        directory("opt/app", 0o750, 7, 8),
        file("opt/app/version", text),
        directory("srv"),
        file("srv/file", "f\n"),
        link("data", "srv"),
    ]
    third = [directory("opt"), gone("opt/d"), gone("opt/old"), directory("etc"), file("etc/x", "x")]
    config = replace(
        Config.empty(platform), env=(("PATH", "/usr/bin:/bin"), ("KIND", "remote")), user=""
    )
    return PackedImage(folder, [base_items(), second, third], config, codec)


def push(
    registry: Registry,
    name: str,
    tag: str,
    *images: PackedImage,
    index: bool = False,
    environ: Mapping[str, str] | None = None,
    ca: Path | None = None,
) -> str:
    """The digest that the tag now names: the one image's manifest, or an index of all."""
    settings, credentials = Settings.load({}, ca), Credentials.load(environ or {})
    with Registries(settings, credentials) as registries:
        there = registries.repository(Reference.parse(f"{registry.host}/{name}"))
        for image in images:
            _upload(there, image.source)
        if not index:
            (image,) = images
            return there.put_manifest(image.source.manifest_bytes, MANIFEST, tag)
        for image in images:
            digest = image.source.descriptor.digest
            there.put_manifest(image.source.manifest_bytes, MANIFEST, digest)
        made = index_of([image.source.descriptor for image in images])
        return there.put_manifest(made, INDEX, tag)


def _upload(there: Repository, source: ImageSource) -> None:
    for layer in source.manifest.layers:
        there.upload(layer, lambda layer=layer: source.open_layer(layer))
    there.upload(source.manifest.config, lambda: io.BytesIO(source.config_bytes))


def fetched(registry: Registry, wanted: Sequence[Descriptor | Digest]) -> list[str]:
    """The blobs among ``wanted`` that were downloaded, once for each time."""
    names = {str(one.digest if isinstance(one, Descriptor) else one) for one in wanted}
    return [
        digest
        for access in registry.accesses()
        if access.method == "GET"
        and (digest := access.path.partition("/blobs/")[2].partition("?")[0]) in names
    ]
