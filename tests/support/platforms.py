"""The tiny base for several platforms: a layout with an index. What is in it is this machine's, whatever it says."""

from pathlib import Path

from support.packed import Item, PackedImage
from support.remotebase import HERE, OTHER
from support.workspace import base_items

from buildgraph.digest import Digest
from buildgraph.image.assemble import index_of
from buildgraph.image.content import Content
from buildgraph.image.layout import write_layout
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import INDEX, Descriptor
from buildgraph.sandbox.emulation import can_execute, program
from buildgraph.values import replace

BOTH = f"{HERE},{OTHER}"


def write_base(folder: Path, place: Path, *platforms: Platform) -> None:
    """An index at ``place``, called ``box:latest``; ``folder`` is for what it takes."""
    images = [_packed(folder / platform.arch, platform, base_items()) for platform in platforms]
    _write(place, images)


def write_foreign(folder: Path, place: Path) -> Platform:
    """The same of one image whose shell no kernel here can execute; which platform that is."""
    arches = ("s390x", "ppc64le", "riscv64", "arm64", "amd64")
    platform = Platform("linux", next(arch for arch in arches if not can_execute(arch)))
    items = [
        one._replace(source=b"", data=program(platform.arch))
        if one.entry.path == b"usr/bin/busybox"
        else one
        for one in base_items()
    ]
    _write(place, [_packed(folder / "image", platform, items)])
    return platform


def _packed(folder: Path, platform: Platform, items: list[Item]) -> PackedImage:
    folder.parent.mkdir(exist_ok=True)
    config = replace(Config.empty(platform), env=(("PATH", "/usr/bin:/bin"),))
    return PackedImage(folder, [items], config)


def _write(place: Path, images: list[PackedImage]) -> None:
    sources = [image.source for image in images]
    content = index_of([source.descriptor for source in sources])
    root = Descriptor(INDEX, Digest.sha256(content), len(content))
    documents = {d.digest: (d, text) for one in sources for d, text in one.documents()}
    layers = {layer.digest: layer for one in sources for layer in one.manifest.layers}
    opens = {layer.digest: one for one in sources for layer in one.manifest.layers}
    whole = Content(
        "box",
        root,
        (*documents.values(), (root, content)),
        tuple(layers.values()),
        lambda digest: opens[digest].open_blob(digest),
    )
    write_layout(place, whole, ["box:latest"])
