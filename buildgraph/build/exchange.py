"""``cache export``, ``cache import``: all records of the store into a remote cache, or all of a cache into the store.

The same records as builds write and read (docs/technical/remote-cache.md), without a build: results of steps, and the
dirs indexes of bases in registries. What is there already is not moved again; one record that cannot be moved does not
keep others from it.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from buildgraph.build.blobs import Blobs
from buildgraph.build.observing import one_at_a_time
from buildgraph.build.registries import Access
from buildgraph.digest import Digest, StepKey
from buildgraph.errors import ContentError
from buildgraph.events import Observer
from buildgraph.execute.interrupt import interruptible
from buildgraph.execute.keeping import keep
from buildgraph.fs import dirs, tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.pack import Item, pack
from buildgraph.oci.config import Config
from buildgraph.oci.descriptor import Descriptor
from buildgraph.registry.stopping import Stop
from buildgraph.remote.caches import Caches, Member
from buildgraph.remote.folder import Folder
from buildgraph.remote.record import DIRS, TREE, Record, SharedLayer, dirs_name, parse, step_name
from buildgraph.remote.repository import RegistryCache
from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.spec.cacheurl import CacheURL
from buildgraph.store.actions import decode_result
from buildgraph.store.base import ActionResult, Compressed, LayerFacts
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.remote.base import RemoteCache

_AT_ONCE: Final = 6


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Records that the other side lacked, and those that it had; ``failed`` could not be moved, as warnings say."""

    moved: int
    there: int
    failed: int


def export_cache(
    home: Path, url: CacheURL, environ: Mapping[str, str], observer: Observer
) -> Exchanged:
    """Raises RemoteError when the cache cannot be used at all."""
    enter_private_mounts()
    with _open(home, url, environ, observer) as exchange:
        moves = {name: partial(exchange.export, name, made) for name, made in exchange.recorded()}
        moves |= {dirs_name(d): partial(exchange.export_dirs, d) for d in exchange.indexed()}
        return exchange.each(moves)


def import_cache(
    home: Path, url: CacheURL, environ: Mapping[str, str], observer: Observer
) -> Exchanged:
    """The same the other way, with the bytes of all layers."""
    with _open(home, url, environ, observer) as exchange:
        sorts = {"step": exchange.adopt, "dirs": exchange.adopt_dirs}
        names = list(exchange.member.cache.names())
        found = ((name, sorts.get(name.partition("-")[0])) for name in names)
        return exchange.each({name: partial(adopt, name) for name, adopt in found if adopt})


@contextmanager
def _open(
    home: Path, url: CacheURL, environ: Mapping[str, str], observer: Observer
) -> Iterator["_Exchange"]:
    observer = one_at_a_time(observer)
    stop = Stop()
    with ExitStack() as undo:
        store = undo.enter_context(LocalStore.open(home, observer))
        access = Access(store, environ, observer, undo, stop)
        cache: RemoteCache = Folder(url.place)
        if url.scheme == "registry":
            cache = RegistryCache(
                url.place, partial(access.repository, url.place), lambda _digest: ()
            )
        undo.enter_context(interruptible(stop.set))
        yield _Exchange(store, access, Member(url, cache), observer)


class _Exchange:
    def __init__(
        self, store: LocalStore, access: Access, member: Member, observer: Observer
    ) -> None:
        self._store = store
        self._access = access
        self._blobs = Blobs(store, access)
        self._caches = Caches([member], observer)
        self.member = member

    def each(self, moves: Mapping[str, Callable[[], bool]]) -> Exchanged:
        """By the names of records; False from one that had nothing to move."""

        def attempt(item: tuple[str, Callable[[], bool]]) -> bool | None:
            name, move = item
            return self._caches.attempt(self.member, move, name)

        with ThreadPoolExecutor(_AT_ONCE, "exchange") as pool:
            done = list(pool.map(attempt, moves.items()))
        return Exchanged(done.count(True), done.count(False), done.count(None))

    # -- out

    def recorded(self) -> Iterator[tuple[str, ActionResult]]:
        """Names and results of all that is recorded, by both keys."""
        index = self._store.index()
        results = {
            key[7:]: result
            for key in index.keys()  # noqa: SIM118 - no mapping
            if key.startswith("action:") and (result := decode_result(index.get(key)))
        }
        for action, result in results.items():
            yield step_name(action), result
        for key in index.keys():  # noqa: SIM118
            alias = index.get(key) if key.startswith("step:") else None
            if isinstance(alias, str) and alias in results:
                yield step_name(key[5:]), results[alias]

    def indexed(self) -> set[Digest]:
        """The layers of bases in registries whose directories and links are known."""
        index, layers = self._store.index(), self._store.layers
        prefix = "dirs:"
        keys = index.keys()
        found = {Digest(key.removeprefix(prefix)) for key in keys if key.startswith(prefix)}
        for config in self._store.origins.configs():
            if content := self._store.blobs.read(config):
                diff_ids = Config.parse(content, f"the config {config}").diff_ids
                found.update(one for one in diff_ids if layers.facts(one))
        return found

    def export_dirs(self, diff_id: Digest) -> bool:
        cache, layers, name = self.member.cache, self._store.layers, dirs_name(diff_id)
        if cache.has(name):
            return False
        facts = layers.facts(diff_id)
        made = self._store.blobs.read(facts.tree) if facts else None
        content = dirs.encode(diff_id, tree.decode(made)) if made else layers.dirs(diff_id)
        if content is None:
            raise ContentError("blob-missing", f"the store lacks the tree of {diff_id}")
        blob = Descriptor(DIRS, Digest.sha256(content), len(content))
        cache.put_blob(blob, partial(io.BytesIO, content))
        cache.put(name, Record(dirs=blob).to_bytes())
        return True

    def export(self, name: str, result: ActionResult) -> bool:
        cache = self.member.cache
        if cache.has(name):
            return False
        content = self._store.blobs.read(result.tree)
        if content is None:
            raise ContentError("blob-missing", f"the store lacks the tree {result.tree}")
        made = Descriptor(TREE, Digest.sha256(content), len(content))
        layer = self._layer(result, content) if result.diff_id and result.size else None
        record = Record(result, made, layer)
        for blob in record.blobs:
            opened = partial(io.BytesIO, content)
            cache.put_blob(blob, opened if blob == made else self._opener(blob))
        cache.put(name, record.to_bytes())
        return True

    def _opener(self, blob: Descriptor) -> Callable[[], BinaryIO]:
        return partial(self._blobs.open, blob.digest)

    def _layer(self, result: ActionResult, content: bytes) -> SharedLayer:
        """Its compressed forms; one is made if there is none."""
        assert result.diff_id is not None
        layers, facts = self._store.layers, self._store.layers.facts(result.diff_id)
        forms = dict(layers.known(result.diff_id)) or self._packed(result, content)
        if facts is None:
            raise ContentError("layer-missing", f"the store knows no layer {result.diff_id}")
        return SharedLayer(result.tree, result.diff_id, facts.size, forms)

    def _packed(self, result: ActionResult, content: bytes) -> dict[str, Compressed]:
        folder = self._store.snapshot(f"tree-{result.tree.hex}")
        if folder is None or result.diff_id is None:
            raise ContentError("layer-missing", f"no bytes of the layer {result.diff_id} are left")
        root, codec = os.fsencode(folder) + b"/", Codec()
        items = [
            Item(entry, root + entry.path) if entry.kind == tree.FILE else Item(entry)
            for entry in tree.decode(content)
        ]
        temp = self._store.blobs.temp()
        packed = pack(items, codec=codec, blob=temp)
        if packed.blob is None or packed.diff_id != result.diff_id:
            raise ContentError("layer-missing", f"the snapshot {folder.name} is not its layer")
        form = Compressed(packed.blob.digest, packed.blob.size, packed.blob.media_type)
        self._store.blobs.adopt(temp, form.digest)
        kept = self._store.layers.put_compressed(packed.diff_id, codec.identity, form)
        return {codec.identity: kept}

    # -- in

    def _record(self, name: str) -> Record:
        content = self.member.cache.get(name)
        return parse(content, name) if content is not None else Record()

    def adopt_dirs(self, name: str) -> bool:
        blob, layers = self._record(name).dirs, self._store.layers
        if blob is None:
            return False
        if blob.size > dirs.LARGEST:
            raise ContentError("bad-record", f"the record {name} has too big an index")
        with self.member.cache.open_blob(blob) as stream:
            content = stream.read(blob.size + 1)
        diff_id = dirs.layer_of(content)
        dirs.decode(diff_id, content)
        if name != dirs_name(diff_id):
            raise ContentError("bad-record", f"the record {name} has the index of another layer")
        if layers.facts(diff_id) or layers.dirs(diff_id):
            return False
        layers.put_dirs(diff_id, content)
        return True

    def adopt(self, name: str) -> bool:
        record = self._record(name)
        result, store = record.result, self._store
        if result is None or record.tree is None:
            return False  # what a build makes itself
        key = name.removeprefix("step-")
        known = store.records.by_action(result.action)
        if known is not None and (key == result.action or store.records.by_step([StepKey(key)])):
            return False
        self._fetch(record, result)
        with store.records.batch():
            if record.layer is not None:
                diff_id, layer = record.layer.diff_id, record.layer
                store.layers.put_recipe(layer.tree, "", diff_id)
                store.layers.put_facts(diff_id, LayerFacts(layer.tree, layer.size))
                for codec, form in layer.forms.items():
                    store.layers.put_compressed(diff_id, codec, form)
            store.records.put_if_absent(result.action, result)
            if key != result.action:
                store.records.alias({StepKey(key): result.action})
        return True

    def _fetch(self, record: Record, result: ActionResult) -> None:
        """All blobs of the record, checked."""
        for blob in record.blobs:
            if blob.media_type == TREE:
                with self.member.cache.open_blob(blob) as stream:
                    content = stream.read(blob.size + 1)
                if Digest.blake3(content) != result.tree:
                    raise ContentError("bad-record", "the record has the files of another step")
                self._store.blobs.put(content, "blake3")
            elif not self._store.blobs.has(blob.digest):
                form = Compressed(blob.digest, blob.size, blob.media_type)
                with (
                    self._access.fetch(self.member.cache.place, form) as stream,
                    keep(self._store, blob.digest) as kept,
                ):
                    kept.follow(stream).drain()
