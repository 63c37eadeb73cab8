"""Recipes: what a copy or write step lays down, whatever lies below it.

A recipe is a sorted tree of selected entries at their destinations, and where each file's bytes are. Parents that
were not selected are not in it: :mod:`buildgraph.fs.lay` finds out what the stack below makes of them. A selected
directory takes the attributes of a lower one, except the mode or owner that its part gave (``FIXED_DIRECTORY``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import NamedTuple, Self

from buildgraph.digest import Digest
from buildgraph.errors import ContentError, Location, UsageError, blaming
from buildgraph.fs import tree
from buildgraph.fs.mode import apply_mode
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.step import ContextFiles, CopyPart, CopyStep, Stack, StackFiles, WriteStep
from buildgraph.spec.model import Mode, Owner
from buildgraph.values import dataclass

_WHITEOUT = b"/.wh."


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


_FOLDER = Found(Entry(b"", tree.DIRECTORY, 0o755), Origin())


class Listed(NamedTuple):
    """A selection. Of ``names`` nothing is known but that they are files at ``above`` + name on the host."""

    found: Sequence[Found]
    names: Sequence[bytes] = ()
    above: bytes = b""


@dataclass(frozen=True)
class Recipe:
    """``origins`` has every regular file of ``tree``."""

    tree: Tree
    origins: Mapping[bytes, Origin]

    @cached_property
    def object(self) -> bytes:
        """The tree's object; kept, because it is hashed first and written later."""
        return tree.encode(self.tree)

    @classmethod
    def of_object(cls, entries: Tree, origins: Mapping[bytes, Origin], content: bytes) -> Self:
        """One whose tree's object is known."""
        made = cls(entries, origins)
        made.__dict__["object"] = content
        return made

    @cached_property
    def digest(self) -> Digest:
        return Digest.blake3(self.object)


def of_copy(
    step: CopyStep,
    selected: Callable[[ContextFiles | StackFiles], Listed],
    owner_ids: Callable[[Owner], tuple[int, int]],
) -> Recipe:
    """Later parts win over earlier ones at the same path; a file against a directory is an error."""
    laid = Laid()
    for part in step.parts:
        with blaming(part.where):
            found, names, above = selected(part.files)
        if (
            part.files.contents
        ):  # the folder itself is no part of it: its copy is a folder like any other
            found = [
                one if one.entry.path else one._replace(entry=_new(one.entry)) for one in found
            ]
        single = (
            len(found) == 1 and not found[0].entry.path and found[0].entry.kind != tree.DIRECTORY
        )
        shape = _Shape(step, part, owner_ids, single=single)
        if isinstance(part.files, ContextFiles) and not single and clean(part.to):
            # where it is new, as docker makes it; the folder that it is copied from is no part of what is found
            empty = not (found or names or part.files.include or part.files.exclude)
            found = [_FOLDER, *found] if part.owner is not None or empty else found
        entries, origins = zip(*found, strict=True) if found else ((), ())
        hosts = zip(map(above.__add__, names), *map(repeat, Origin()[1:]), strict=False)
        made = [*shape.all(entries), *shape.files(names)]
        _check_names(made, part.where)
        laid.add_all(made, [*origins, *map(_origin, hosts)], part.where)
    return laid.recipe()


def _check_names(made: Sequence[Entry], where: Location) -> None:
    """Raises ContentError ``whiteout-name``. All names at once: there may be very many."""
    if _WHITEOUT not in b"/" + b"\0/".join([entry.path for entry in made]):
        return
    path = next(entry.path for entry in made if _WHITEOUT in b"/" + entry.path)
    raise ContentError(
        "whiteout-name",
        f"/{printable(path)}: in a layer, a name that begins with .wh. takes a file away",
        hint="exclude it, or give it another name",
        where=where,
    )


def of_write(step: WriteStep) -> Recipe:
    """Files 0644, directories 0755, owned by root unless given."""
    laid = Laid()
    for item in step.items:
        path = clean(item.path)
        owner = item.owner or Owner(0, 0)
        uid, gid = int(owner.user), int(owner.group)
        match item.kind:
            case "file":
                data = item.value.encode()
                mode = apply_mode(0o644, item.mode, directory=False)
                entry = Entry(path, tree.FILE, mode, uid, gid, len(data), Digest.blake3(data).hex)
                laid.add(entry, Origin(data=data), step.where)
            case "dir":
                kind, given = _given(item.mode, item.owner)
                mode = apply_mode(0o755, item.mode, directory=True, given_as_is=True)
                laid.add(Entry(path, kind, mode, uid, gid, link=given), Origin(), step.where)
            case "link":
                link = item.value.encode()
                laid.add(
                    Entry(path, tree.SYMLINK, 0o777, uid, gid, link=link), Origin(), step.where
                )
    _check_names(list(laid.entries.values()), step.where)
    return laid.recipe()


def _given(mode: Mode | None, owner: Owner | None) -> tuple[str, bytes]:
    """The kind and ``link`` of a directory that is given these."""
    if mode is None and owner is None:
        return tree.DIRECTORY, b""
    alone = tree.MODE_ALONE if owner is None else tree.OWNER_ALONE if mode is None else b""
    return tree.FIXED_DIRECTORY, alone


class Laid:
    """A recipe while it is put together; what comes later wins. ``clash`` says what is wrong with a file where the same
    step has a directory, or the reverse."""

    def __init__(self, clash: Callable[[Entry, Location], UsageError] | None = None) -> None:
        self._clash = clash or _clash
        self.entries: dict[bytes, Entry] = {}
        self.origins: dict[bytes, Origin] = {}
        self.links: dict[bytes, list[bytes]] = {}
        """The hard links to a file, by its path."""
        self._mixed: Location | None = None
        """Set once entries came that do not belong to one selection: then one may lie below another."""

    def add(self, entry: Entry, origin: Origin, where: Location) -> None:
        if not entry.path and entry.kind not in "dD":
            return
        self._mixed = where
        before = self.entries.get(entry.path)
        directory = entry.kind in "dD"
        if before is not None and (before.kind in "dD") != directory:
            raise self._clash(entry, where)
        if before is not None and directory and before.kind == tree.FIXED_DIRECTORY != entry.kind:
            return
        if before is not None and entry.path in self.links:
            self._bequeath(before)
        self.entries[entry.path] = entry
        self.origins.pop(entry.path, None)
        if entry.kind == tree.HARDLINK:
            self.links.setdefault(entry.link, []).append(entry.path)
        if entry.kind == tree.FILE:
            self.origins[entry.path] = origin

    def add_all(self, entries: list[Entry], origins: list[Origin], where: Location) -> None:
        """A whole selection, whose paths are all different: nothing can clash with nothing."""
        found = zip(entries, origins, strict=True)
        if self.entries:
            for entry, origin in found:
                self.add(entry, origin, where)
            return
        self.entries = {entry.path: entry for entry in entries if entry.path or entry.kind in "dD"}
        self.origins = {entry.path: origin for entry, origin in found if entry.kind == tree.FILE}
        for entry in [entry for entry in entries if entry.kind == tree.HARDLINK]:
            self.links.setdefault(entry.link, []).append(entry.path)

    def clear(self, entry: Entry) -> None:
        """Take away a folder where ``entry`` is none, or the reverse."""
        before = self.entries.get(entry.path)
        if before is None or (before.kind in "dD") == (entry.kind in "dD"):
            return
        inside = entry.path + b"/"
        for path in [p for p in self.entries if p == entry.path or p.startswith(inside)]:
            if path in self.links:
                self._bequeath(self.entries[path])
            del self.entries[path]
            self.origins.pop(path, None)

    def _bequeath(self, file: Entry) -> None:
        """``file`` is about to be replaced: its other names stay what they are."""
        names = [n for n in self.links.pop(file.path) if self.entries[n].link == file.path]
        heirs = sorted(name for name in set(names) if self.entries[name].kind == tree.HARDLINK)
        if not heirs:
            return
        self.entries[heirs[0]] = file._replace(path=heirs[0])
        self.origins[heirs[0]] = self.origins[file.path]
        for name in heirs[1:]:
            self.entries[name] = self.entries[name]._replace(link=heirs[0])
        self.links[heirs[0]] = heirs[1:]

    def recipe(self) -> Recipe:
        if self._mixed is not None:
            self._check_parents(self._mixed)
        return Recipe(tree.sort(self.entries.values()), self.origins)

    def _check_parents(self, where: Location) -> None:
        """Nothing lies below a file or link of the same step."""
        todo = list({path.rpartition(b"/")[0] for path in self.entries})
        seen = {b""}
        while todo:
            folder = todo.pop()
            if folder in seen:
                continue
            seen.add(folder)
            found = self.entries.get(folder)
            if found is not None and found.kind not in "dD":
                raise self._clash(found, where)
            todo.append(folder.rpartition(b"/")[0])


def _new(entry: Entry) -> Entry:
    if entry.kind != tree.DIRECTORY:
        return entry
    return entry._replace(mode=0o755, uid=0, gid=0, xattrs=(), mtime=None)


def _clash(entry: Entry, where: Location) -> UsageError:
    name = printable(entry.path)
    return UsageError(
        "file-over-directory",
        f"/{name} would be a file and a directory in the same step",
        hint="end `to` with / to copy into a directory",
        where=where,
    )


def clean(path: str) -> bytes:
    """``path`` as trees have it: bytes, no slash at either end."""
    parts = [
        part
        for part in path.encode("utf-8", "surrogateescape").split(b"/")
        if part not in (b"", b".")
    ]
    return b"/".join(parts)


class _Shape:
    """Entries of one part at their destinations, with the mode, owner and times that the part gives them."""

    def __init__(
        self,
        step: CopyStep,
        part: CopyPart,
        owner_ids: Callable[[Owner], tuple[int, int]],
        *,
        single: bool,
    ) -> None:
        self._owner = owner_ids(part.owner) if part.owner else None
        self._mode = part.mode
        self._directory = _given(part.mode, part.owner)
        self._git = step.keep_mode is False
        self._keep_time = step.keep_time
        contents = part.files.contents or isinstance(part.files, ContextFiles)
        self._contents = contents and not single
        to = clean(part.to)
        if single and part.to.endswith("/"):
            name = part.files.path.rstrip("/").rpartition("/")[2]
            to = b"/".join(filter(None, (to, name.encode("utf-8", "surrogateescape"))))
        self._to = to
        self._above = to + b"/" if to else b""

    def all(self, entries: tuple[Entry, ...]) -> Iterable[Entry]:
        """Column by column where they are only moved, which takes a third of the time."""
        columns = list(zip(*entries, strict=True))
        given = self._owner or self._mode or self._git or self._keep_time
        if not columns or given or b"" in columns[0] or tree.HARDLINK in columns[1]:
            return map(self, entries)
        moved = map(self._above.__add__, columns[0])
        return map(_entry, zip(moved, *columns[1:-1], repeat(None), strict=False))

    def files(self, names: Sequence[bytes]) -> Iterable[Entry]:
        """Those of which nothing is known but the name: they differ in that alone."""
        _, *same = self(Entry(b"name", tree.FILE, 0o644))
        return map(_entry, zip(map(self._above.__add__, names), *map(repeat, same), strict=False))

    def __call__(self, entry: Entry) -> Entry:
        path, kind, mode, uid, gid, size, content, link, xattrs, device, mtime = entry
        path = self._above + path if path else self._to
        directory = kind == tree.DIRECTORY
        if self._owner:
            uid, gid = self._owner
        given = self._git or self._mode
        if kind != tree.SYMLINK and given and (entry.path or not self._contents):
            if self._git and kind in (tree.FILE, tree.HARDLINK, tree.DIRECTORY):
                mode = 0o755 if directory or mode & 0o111 else 0o644
            mode = apply_mode(mode, self._mode, directory=directory)
        if directory and entry.path:  # what is copied from is not selected itself
            kind, link = self._directory
        if kind == tree.HARDLINK:
            link = self._above + link
        if not self._keep_time:
            mtime = None
        return _entry((path, kind, mode, uid, gid, size, content, link, xattrs, device, mtime))


_entry = partial(tuple.__new__, Entry)
"""``Entry`` in a quarter of its time, of tuples alone."""

_origin = partial(tuple.__new__, Origin)
