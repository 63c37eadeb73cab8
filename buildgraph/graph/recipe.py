"""Recipes: what a copy or write step lays down, whatever lies below it.

A recipe is a sorted tree of selected entries at their destinations, and where each file's bytes are. Parents that
were not selected are not in it: :mod:`buildgraph.fs.lay` finds out what the stack below makes of them. A selected
directory takes the attributes of a lower one unless its part gave a mode or an owner (``FIXED_DIRECTORY``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import Location, UsageError
from buildgraph.fs import tree
from buildgraph.fs.mode import apply_mode
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.step import ContextFiles, CopyPart, CopyStep, Stack, StackFiles, WriteStep
from buildgraph.spec.model import Owner


class Origin(NamedTuple):
    """Where a file's bytes are: a host path, the bytes themselves, or ``path`` in layer ``layer`` of ``stack``."""

    host: bytes = b""
    data: bytes | None = None
    stack: Stack = ()
    layer: int = 0
    path: bytes = b""


class Found(NamedTuple):
    """One selected entry; ``path`` is relative to the selection's root, empty when a single file was named."""

    entry: Entry
    origin: Origin


@dataclass(frozen=True, slots=True)
class Recipe:
    """``origins`` has every regular file of ``tree``."""

    tree: Tree
    origins: Mapping[bytes, Origin]

    def digest(self) -> Digest:
        return tree.digest(self.tree)


def of_copy(
    step: CopyStep,
    selected: Callable[[ContextFiles | StackFiles], Iterable[Found]],
    owner_ids: Callable[[Owner], tuple[int, int]],
) -> Recipe:
    """Later parts win over earlier ones at the same path; a file against a directory is an error."""
    laid = _Laid()
    for part in step.parts:
        found = tuple(selected(part.files))
        single = (
            len(found) == 1 and not found[0].entry.path and found[0].entry.kind != tree.DIRECTORY
        )
        for entry, origin in found:
            path = _destination(part, entry, single=single)
            if path or entry.kind == tree.DIRECTORY:
                laid.add(_shaped(step, part, entry, path, owner_ids), origin, part.where)
    return laid.recipe()


def of_write(step: WriteStep) -> Recipe:
    """Files 0644, directories 0755, owned by root unless given."""
    laid = _Laid()
    for item in step.items:
        path = _clean(item.path)
        owner = item.owner or Owner(0, 0)
        uid, gid = int(owner.user), int(owner.group)
        match item.kind:
            case "file":
                data = item.value.encode()
                mode = apply_mode(0o644, item.mode, directory=False)
                entry = Entry(path, tree.FILE, mode, uid, gid, len(data), Digest.blake3(data).hex)
                laid.add(entry, Origin(data=data), step.where)
            case "dir":
                fixed = item.mode is not None or item.owner is not None
                kind = tree.FIXED_DIRECTORY if fixed else tree.DIRECTORY
                mode = apply_mode(0o755, item.mode, directory=True, given_as_is=True)
                laid.add(Entry(path, kind, mode, uid, gid), Origin(), step.where)
            case "link":
                link = item.value.encode()
                laid.add(
                    Entry(path, tree.SYMLINK, 0o777, uid, gid, link=link), Origin(), step.where
                )
    return laid.recipe()


class _Laid:
    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.origins: dict[bytes, Origin] = {}

    def add(self, entry: Entry, origin: Origin, where: Location) -> None:
        before = self.entries.get(entry.path)
        directory = entry.kind in "dD"
        if before is not None and (before.kind in "dD") != directory:
            raise _clash(entry.path, where)
        if before is not None and directory and before.kind == tree.FIXED_DIRECTORY != entry.kind:
            return
        self.entries[entry.path] = entry
        self.origins.pop(entry.path, None)
        if entry.kind == tree.FILE:
            self.origins[entry.path] = origin

    def recipe(self) -> Recipe:
        return Recipe(tree.sort(self.entries.values()), self.origins)


def _clash(path: bytes, where: Location) -> UsageError:
    name = path.decode("utf-8", "backslashreplace")
    return UsageError(
        "file-over-directory",
        f"/{name} would be a file and a directory in the same step",
        hint="end `to` with / to copy into a directory",
        where=where,
    )


def _clean(path: str) -> bytes:
    parts = [
        part
        for part in path.encode("utf-8", "surrogateescape").split(b"/")
        if part not in (b"", b".")
    ]
    return b"/".join(parts)


def _destination(part: CopyPart, entry: Entry, *, single: bool) -> bytes:
    to = _clean(part.to)
    if single:
        if not part.to.endswith("/"):
            return to
        name = part.files.path.rstrip("/").rpartition("/")[2].encode("utf-8", "surrogateescape")
        return b"/".join(filter(None, (to, name)))
    return b"/".join(filter(None, (to, entry.path)))


def _shaped(
    step: CopyStep,
    part: CopyPart,
    entry: Entry,
    path: bytes,
    owner_ids: Callable[[Owner], tuple[int, int]],
) -> Entry:
    """``entry`` at its destination, with the mode, owner and times that the part gives it."""
    directory = entry.kind == tree.DIRECTORY
    uid, gid = owner_ids(part.owner) if part.owner else (entry.uid, entry.gid)
    mode = entry.mode
    if step.keep_mode is False and entry.kind in (tree.FILE, tree.HARDLINK, tree.DIRECTORY):
        mode = 0o755 if directory or mode & 0o111 else 0o644
    if entry.kind != tree.SYMLINK:
        mode = apply_mode(mode, part.mode, directory=directory)
    fixed = directory and (part.mode is not None or part.owner is not None)
    kind = tree.FIXED_DIRECTORY if fixed else entry.kind
    link = entry.link
    if entry.kind == tree.HARDLINK:
        link = b"/".join(filter(None, (_clean(part.to), entry.link)))
    mtime = entry.mtime if step.keep_time else None
    return entry._replace(path=path, kind=kind, mode=mode, uid=uid, gid=gid, link=link, mtime=mtime)
