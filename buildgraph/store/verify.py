"""Is everything in the store what its name says?

Recomputes every blob, checks every record's checksum and references, every snapshot against its tree object, and
that the images are complete. What is damaged is named and dropped with the records that need it, so that it is made
again. Things that nothing refers to are no damage: a killed process leaves them, and gc takes them.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from buildgraph.digest import Digest, hasher
from buildgraph.store import reserve
from buildgraph.store.actions import decode_result
from buildgraph.store.blobs import ALGORITHMS, listed
from buildgraph.store.choose import spellings
from buildgraph.store.layers import decode_facts, decode_forms, encode_forms, parsed
from buildgraph.store.reach import blob_path, reached
from buildgraph.values import dataclass

if TYPE_CHECKING:
    from buildgraph.store.disk import Value
    from buildgraph.store.local import LocalStore

CheckSnapshot = Callable[[Path, bytes], str | None]
"""(snapshot folder, its tree object) -> what differs, in one sentence, or None."""

Sort = Literal["blob", "record", "snapshot", "image"]
_CHUNK: Final = 1 << 20
_WORKERS: Final = 2


class Finding(NamedTuple):
    """One damaged thing, already dropped unless the store is frozen."""

    sort: Sort
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """``unchecked`` are snapshots that no record describes, or that nobody could check."""

    findings: tuple[Finding, ...]
    blobs: int
    size: int
    records: int
    snapshots: int
    unchecked: int


def verify(store: "LocalStore", check_snapshot: CheckSnapshot | None = None) -> Verification:
    """Safe beside builds; waits for a collection, and lets one wait."""
    with store.lock("collect"), reserve.spent(store.home / "reserve"):
        return _Verifier(store, check_snapshot).run()


class _Verifier:
    def __init__(self, store: "LocalStore", check_snapshot: CheckSnapshot | None) -> None:
        self._store = store
        self._check_snapshot = check_snapshot
        self._findings: list[Finding] = []
        self._counts: Counter[str] = Counter()
        self._bereft: set[Digest] = set()
        """Layers and trees that lost a snapshot or a compressed form."""

    def run(self) -> Verification:
        self._blobs()
        self._index()
        self._snapshots()
        self._references()
        self._images()
        count = self._counts
        return Verification(
            tuple(self._findings),
            count["blobs"],
            count["size"],
            count["records"],
            count["snapshots"],
            count["unchecked"],
        )

    def _found(self, sort: Sort, name: str, problem: str) -> None:
        if not self._findings:
            self._store.raise_generation()
        self._findings.append(Finding(sort, name, problem))

    def _drop(self, path: Path) -> None:
        if not self._store.frozen:
            self._store.trash.remove(path)

    def _blobs(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        names = tuple(listed(self._store.home))
        with ThreadPoolExecutor(_WORKERS) as pool:
            for (digest, path), size in zip(names, pool.map(_hash, names), strict=True):
                self._counts["blobs"] += size is not None
                self._counts["size"] += max(size or 0, 0)
                if size is not None and size < 0:
                    self._found("blob", digest, "its bytes are not what its name says")
                    self._drop(path)
        for algorithm in ALGORITHMS:
            folder = self._store.home / "blobs" / algorithm
            known = {path.name for digest, path in names if digest.algorithm == algorithm}
            for name in _entries(folder):
                if name not in known and parsed(f"{algorithm}:{name}") is None:
                    self._found("blob", f"{algorithm}/{name}", "its name is no digest")
                    self._drop(folder / name)

    def _index(self) -> None:
        index = self._store.index()
        before = len(index.set_aside)
        damaged = index.damaged()
        for name in index.set_aside[before:]:
            self._found("record", "records", f"the index was damaged; it is kept as {name}")
        for key in damaged:
            self._found("record", key, "its checksum does not match")
        self._store.records.drop(damaged)
        self._counts["records"] = len(index.keys())

    def _snapshots(self) -> None:
        for name in sorted(_entries(self._store.snapshots_dir)):
            tree = self._tree_of(name)
            if tree is None or self._check_snapshot is None:
                self._counts["unchecked"] += 1
                continue
            self._counts["snapshots"] += 1
            path = self._store.snapshots_dir / name
            problem = self._check_snapshot(path, tree)
            if problem is not None and path.exists():
                self._found("snapshot", name, problem)
                self._drop(path)
                lost = parsed(spellings(name)[-1])
                self._bereft |= {lost} if lost else set()

    def _tree_of(self, name: str) -> bytes | None:
        sort, _, hex_ = name.partition("-")
        if sort == "tree":
            tree = parsed(f"blake3:{hex_}")
        else:
            facts = decode_facts(self._store.index().get(f"layer:{sort}:{hex_}"))
            tree = facts.tree if facts else None
        if tree is None:
            return None
        try:
            return blob_path(self._store.home, tree).read_bytes()
        except FileNotFoundError:
            return None

    def _references(self) -> None:
        """Compressed forms first: a layer may have lost its last bytes with them."""
        index = self._store.index()
        keys = index.keys()
        for key in keys:
            if key.startswith("compressed:"):
                self._forms(key, index.get(key))
        doomed = []
        for key in keys:
            value = index.get(key)
            trees, layers = _trees(key, value), _layers(key, value)
            missing = list(self._missing(trees))
            if self._bereft.intersection((*trees, *layers)):
                missing += [f"layer {layer}" for layer in layers if not self._bytes(layer, trees)]
            if missing:
                self._found("record", key, f"lacks {missing[0]}")
                doomed.append(key)
        self._store.records.drop(doomed)

    def _forms(self, key: str, value: "Value") -> None:
        forms = decode_forms(value)
        alive = {
            codec: form
            for codec, form in forms.items()
            if blob_path(self._store.home, form.digest).is_file()
            or self._store.origins.places(form.digest)
        }
        if alive != forms or not forms:
            lacking = ", ".join(sorted(f.digest for c, f in forms.items() if c not in alive))
            self._found("record", key, f"lacks {lacking or 'every form'}")
            self._store.records.drop([key])
            if alive:
                self._store.index().set(key, encode_forms(alive))
            layer = parsed(key.partition(":")[2])
            self._bereft |= {layer} if layer else set()

    def _bytes(self, layer: Digest, trees: list[Digest]) -> bool:
        """Whether the layer is still here in one form or another."""
        names = [f"{layer.algorithm}-{layer.hex}", *(f"tree-{tree.hex}" for tree in trees)]
        if any((self._store.snapshots_dir / name).is_dir() for name in names):
            return True
        return self._store.index().get(f"compressed:{layer}") is not None

    def _missing(self, trees: Iterable[Digest]) -> Iterator[str]:
        for tree in trees:
            if not blob_path(self._store.home, tree).is_file():
                yield f"the tree object {tree}"

    def _images(self) -> None:
        images = self._store.images
        roots = images.roots()
        missing: dict[int, Digest] = {}
        for at, digest, present in reached(self._store.home, roots):
            if not present and not self._store.origins.places(digest):
                missing.setdefault(at, digest)
        names: dict[Digest, list[str]] = defaultdict(list)
        for name, entry in images.list():
            names[entry.digest].append(name)
        broken = {roots[at].digest: digest for at, digest in missing.items()}
        for root, digest in broken.items():
            for name in names.get(root, [root]):
                self._found("image", name, f"lacks {digest}")
        images.remove([roots[at] for at in missing])


def _hash(blob: tuple[Digest, Path]) -> int | None:
    """The size of a whole blob, -1 of a damaged one, None of one that is gone."""
    digest, path = blob
    state = hasher(digest.algorithm)
    size = 0
    buffer = memoryview(bytearray(_CHUNK))
    try:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                state.update(buffer[:count])
                size += count
    except FileNotFoundError:
        return None
    except OSError:  # unreadable sectors, a directory
        return -1
    return size if state.hexdigest() == digest.hex else -1


def _trees(key: str, value: "Value") -> list[Digest]:
    """The blobs that a record needs: tree objects mostly."""
    match key.partition(":")[0]:
        case "action":
            result = decode_result(value)
            return [result.tree] if result else []
        case "pinned":
            return [digest for digest in (parsed(key.partition(":")[2]), parsed(value)) if digest]
        case "layer":
            facts = decode_facts(value)
            return [facts.tree] if facts else []
        case "recipe":
            tree = parsed(":".join(key.split(":")[1:3]))
            return [tree] if tree else []
        case _:
            return []


def _layers(key: str, value: "Value") -> list[Digest]:
    """The layers whose bytes a record promises."""
    match key.partition(":")[0]:
        case "action":
            result = decode_result(value)
            return [result.diff_id] if result and result.diff_id else []
        case "recipe":
            layer = parsed(value)
            return [layer] if layer else []
        case _:
            return []


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
