"""Every archive of tests/support/hostile.py as a source of ADD: laid down inside the root, copied as it is, or refused."""

from functools import partial
from pathlib import Path

import pytest
from blake3 import blake3
from support.capability import require_root
from support.hostile import case, names
from support.judge import outside_of

from buildgraph.errors import ContentError, Location
from buildgraph.execute import archives
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, listing, place
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.rooted import Rooted
from buildgraph.fs.tree import Entry
from buildgraph.fs.unpack import Limits
from buildgraph.graph.dockerrecipe import Match, of_docker_copy
from buildgraph.graph.recipe import Found, Origin
from buildgraph.graph.step import DockerCopyStep, DockerFiles, StepId
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.local import LocalStore

HERE = Location("Dockerfile", 1)


class Files:
    def item(self, entry, origin):
        return Item(entry, origin.host)


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "out" / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "canary").write_text("alive")
    (folder.parent / "root").mkdir()
    yield folder
    cleared(folder.parent / "root")


@pytest.fixture
def store(tmp_path):
    require_root()
    with LocalStore.open(tmp_path / "home", lambda _: None) as store:
        yield store
        cleared(store.snapshots_dir)


def cleared(folder: Path) -> None:
    """Deeper folders than shutil can remove."""
    with Rooted(folder) as at:
        at.clear()


def added(archive: Path, store: LocalStore):
    content = archive.read_bytes()
    entry = Entry(b"", tree.FILE, 0o644, size=len(content), content=blake3(content).hexdigest())
    match = Match("file", b"a.tar", (Found(entry, Origin(bytes(archive))),))
    snapshots = Snapshots(store.snapshots_dir, store.tmp, store.lease.name)
    unpacking = archives.Archives(store, snapshots, Files())
    words = (DockerFiles("a.tar", unpack=True),)
    step = DockerCopyStep(
        StepId("step:add"), words, "/", None, None, link=False, names=(), where=HERE
    )
    opened = unpacking.opened([match])
    return opened[0].kind, of_docker_copy(step, lambda _: opened, lambda _: (0, 0))


@pytest.mark.parametrize("name", [n for n in names() if n != "many-entries"])
def test_added(name, tmp_path, outside, store, monkeypatch):
    limited = partial(archives.unpack, limits=Limits(stream=1 << 24))
    monkeypatch.setattr(archives, "unpack", limited)
    hostile = case(name, str(outside))
    archive = tmp_path / "a.tar"
    archive.write_bytes(hostile.archive)
    root = outside.parent / "root"
    before = outside_of(root)
    try:
        kind, recipe = added(archive, store)
    except ContentError as error:
        assert name.startswith("wh-") or error.code == hostile.code  # noqa: PT017
        assert [n for n in store.snapshots_dir.iterdir() if n.name.startswith("archive-")] == []
    else:
        assert kind == "file" or hostile.expected is not None
        laid(recipe, str(outside), root)
    assert outside_of(root) == before


def laid(recipe, outside, root):
    """Over a root full of links that lead out."""
    below = tree.sort(
        Entry(name, tree.SYMLINK, 0o777, link=outside.encode())
        for name in (b"a", b"d", b"first", b"l")
    )
    placed = place(recipe.tree, Below([listing(below)]))
    items = [
        Item(e, recipe.origins[placed.moved[e.path]].host) if e.kind == tree.FILE else Item(e)
        for e in placed.tree
    ]
    pack(items, snapshot=root, tar=False)
