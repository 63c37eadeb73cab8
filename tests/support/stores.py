"""Small stores with known content."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildgraph.digest import ActionKey, Digest, StepKey
from buildgraph.oci.descriptor import CONFIG, LAYER, MANIFEST, Descriptor
from buildgraph.oci.manifest import Manifest
from buildgraph.store.base import ActionResult, Compressed, LayerFacts
from buildgraph.store.local import LocalStore

CODEC = "none"
KIB = 1024


class Made(NamedTuple):
    """A step's result with its layer in all forms."""

    result: ActionResult
    layer: Digest
    form: Compressed
    snapshot: Path


def make(
    store: LocalStore,
    name: str,
    *,
    below: tuple[str, ...] = (),
    seconds=1.0,
    size=8 * KIB,
    made=1000,
) -> Made:
    """Record step `name` with a tree, a layer blob and a snapshot of `size` bytes each."""
    tree = store.blobs.put(f"tree of {name}".encode(), "blake3")
    layer = Digest.sha256(f"tar of {name}".encode())
    content = (name.encode() * size)[:size]
    form = Compressed(store.blobs.put(content), size, LAYER)
    snapshot = store.snapshots_dir / f"sha256-{layer.hex}"
    store.lease.name(snapshot.name)
    filling = store.temp()
    filling.mkdir()
    (filling / "file").write_bytes(content)
    with suppress(OSError):  # there is one already
        filling.rename(snapshot)
    store.layers.put_facts(layer, LayerFacts(tree, size))
    store.layers.put_compressed(layer, CODEC, form)
    result = ActionResult("run", ActionKey(f"a-{name}"), below, tree, layer, size, seconds, made)
    store.records.put_if_absent(result.action, result)
    store.records.alias({StepKey(f"s-{name}"): result.action})
    store.records.put_document(result.action, f"document of {name}".encode())
    return Made(result, layer, form, snapshot)


def image(store: LocalStore, *made: Made) -> Descriptor:
    """A manifest over the layers, put but not named."""
    config = store.blobs.put(b"{}")
    layers = tuple(Descriptor(LAYER, one.form.digest, one.form.size) for one in made)
    content = Manifest(Descriptor(CONFIG, config, 2), layers).to_bytes()
    return Descriptor(MANIFEST, store.blobs.put(content), len(content))


def check_by_file(path: Path, tree: bytes) -> str | None:
    """A snapshot check for what :func:`make` makes."""
    name = tree.removeprefix(b"tree of ")
    content = (path / "file").read_bytes()
    return None if content == (name * len(content))[: len(content)] else "file has other bytes"


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)
