"""Every archive of tests/support/hostile.py as a base, by itself and as the layer of an image: built on, and written out.

A base is applied inside the root or refused by the code that its archive has; either way the store is as sound after it.
"""

import os
from zlib import MAX_WBITS, decompressobj

import pytest
from support.capability import require_root
from support.hostile import case, names
from support.images import Blobs, layer
from support.judge import outside_of
from support.workspace import Workspace

from buildgraph.build.request import OutputSpec
from buildgraph.build.store import cache_verify
from buildgraph.digest import Digest
from buildgraph.errors import ContentError
from buildgraph.fs.remove import remove_tree
from buildgraph.image.assemble import assemble
from buildgraph.image.layout import write_layout
from buildgraph.image.source import ImageSource
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import LAYER
from buildgraph.store.base import Compressed

HUGE = {"many-entries", "bomb"}
"""What takes long for its size; other tests have these."""


@pytest.fixture
def space(tmp_path):
    require_root()
    space = Workspace.make(tmp_path)
    yield space
    remove_tree(space.home)  # deeper than pytest can remove


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "out" / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "canary").write_text("alive")
    return folder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "made" / "root"
    root.parent.mkdir()
    yield root
    if root.exists():
        remove_tree(root)


def whole(archive: bytes) -> bytes:
    """What the members of a gzip file hold, whatever their checksums say (RFC 1952, without optional fields)."""
    found = b""
    while archive[:2] == b"\x1f\x8b":
        member = decompressobj(-MAX_WBITS)
        found += member.decompress(archive[10:])
        archive = member.unused_data[8:]
    return found


def layered(archive: bytes, space: Workspace) -> None:
    blobs = Blobs()
    hostile = layer(blobs, archive)
    if archive[:2] == b"\x1f\x8b":
        form = Compressed(blobs.add(archive), len(archive), LAYER + "+gzip")
        hostile = type(hostile)(Digest.sha256(whole(archive)), form)
    made = assemble(Config.empty(Platform.of_machine(os.uname().machine)), [hostile])
    blobs.add(made.config_bytes)
    blobs.add(made.manifest_bytes)
    write_layout(space.folder / "image", ImageSource.of(made, blobs.open, "it"), ["image:latest"])


@pytest.mark.parametrize("way", ["rootfs", "layout"])
@pytest.mark.parametrize("name", [n for n in names() if n not in HUGE])
def test_base(name, way, space, outside, root):
    hostile = case(name, str(outside))
    if way == "rootfs":
        (space.folder / "r.tar").write_bytes(hostile.archive)
    else:
        layered(hostile.archive, space)
    base = 'rootfs = "r.tar"' if way == "rootfs" else 'layout = "image"'
    space.write(
        "Buildfile.toml",
        f'buildfile = 1\n[base.r]\n{base}\n[step.s]\nwrite = {{ "/etc/new" = "1" }}\n'
        '[image.i]\non = ["r", "s"]\n',
    )
    before = outside_of(outside / "none")
    output = OutputSpec("local", os.fspath(root))
    if hostile.expected is not None:
        space.build("i", outputs=(output,))
        assert (root / "etc/new").read_text() == "1"
    else:
        with pytest.raises(ContentError) as caught:
            space.build("i", outputs=(output,))
        assert caught.value.code in (hostile.code, "blob-damaged")
        assert not root.exists()
    assert outside_of(outside / "none") == before
    assert os.listdir(space.home / "tmp") == []
    assert cache_verify(space.home).damaged == ()
