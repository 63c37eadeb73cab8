"""Recipes of a Dockerfile's steps: what COPY, ADD and WORKDIR lay down, whatever lies below.

As BuildKit does it: the contents of a folder go into the destination, which keeps its attributes if it is there;
folders inside carry their own and must meet folders (:data:`~buildgraph.fs.tree.STRICT`); a file goes into the
destination if that is a folder, else it becomes the destination (:data:`~buildgraph.fs.tree.HERE`). Of several files
the destination is a folder, where BuildKit keeps only the last of them. Made parents belong
to root, or to what ``--chown`` says, with mode 0755, or what an octal ``--chmod`` says, which holds for folders as
it is written.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from buildgraph.digest import Digest
from buildgraph.errors import Location, UsageError
from buildgraph.fs import tree
from buildgraph.fs.mode import apply_mode
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import Entry
from buildgraph.graph.recipe import Found, Laid, Origin, Recipe, clean
from buildgraph.graph.step import DockerCopyStep, DockerFiles, WorkdirStep
from buildgraph.spec.model import InlineFile, Owner


class Match(NamedTuple):
    """What one name that a source word means has to give.

    ``found`` is sorted; paths are below the match, which is itself first, with the empty path (of an archive it is not
    there, and folders say in their ``link`` how they meet what is there). ``way`` are folders of
    ``--parents`` that are there only because something in them is. ``name`` is the last part of the name.
    """

    kind: Literal["file", "folder", "archive"]
    name: bytes
    found: tuple[Found, ...]
    way: frozenset[bytes] = frozenset()


def of_docker_copy(
    step: DockerCopyStep,
    matches: Callable[[DockerFiles], Iterable[Match]],
    owner_ids: Callable[[Owner], tuple[int, int]],
) -> Recipe:
    """Raises UsageError ``file-over-directory`` where the sources themselves are in each other's way."""
    copying = _Copying(step, owner_ids(step.owner) if step.owner else None)
    for source in step.sources:
        if isinstance(source, InlineFile):
            copying.file(_inline(source))
            continue
        for match in matches(source):
            if match.kind == "file":
                copying.file(match)
            else:
                copying.folder(match)
    return copying.recipe()


def of_workdir(step: WorkdirStep, ids: tuple[int, int]) -> Recipe:
    laid = Laid()
    path = clean(step.path)
    for folder in (*_parents(path), path):
        if folder:
            entry = Entry(folder, tree.DIRECTORY, 0o755, *ids, link=tree.ENTER)
            laid.add(entry, Origin(), step.where)
    return laid.recipe()


def _inline(source: InlineFile) -> Match:
    data = source.content.encode("utf-8", "surrogateescape")
    entry = Entry(b"", tree.FILE, 0o644, size=len(data), content=Digest.blake3(data).hex)
    return Match("file", clean(source.name), (Found(entry, Origin(data=data)),))


class _Copying:
    def __init__(self, step: DockerCopyStep, owner: tuple[int, int] | None) -> None:
        self._step = step
        self._owner = owner
        self._to = clean(step.to)
        self._above = self._to + b"/" if self._to else b""
        self._into = step.to.endswith("/") or not self._to
        """Whether the destination is a folder for certain."""
        self._here: bytes | None = None
        """The file that becomes the destination, unless that is a folder; empty where there can be none such."""
        self._laid = Laid(_clash)
        self._made = False
        self._unpacked = False

    def file(self, match: Match) -> None:
        if not match.found:
            return
        entry, origin = match.found[0]
        if self._here:  # two files: what they go to is a folder
            self._into, self._here = True, None
        elif not self._into and self._here is None:
            self._here = match.name
        self._made = True
        self._laid.add(self._shape(entry, self._above + match.name), origin, self._step.where)

    def folder(self, match: Match) -> None:
        """Also an archive, whose folders keep what is there, and whose files replace it."""
        archive = match.kind == "archive"
        if self._here is not None:
            self._here = b""
        self._into = self._into or self._here is None
        self._made = True
        self._unpacked = self._unpacked or archive
        above = self._above
        shape = self._member if archive else self._shape
        inside = [
            (shape(entry, above + entry.path), origin)
            for entry, origin in match.found
            if entry.path
        ]
        if archive:
            for entry, _ in inside:
                self._laid.clear(entry)
        elif match.way:
            way = {above + path for path in match.way}
            inside = [
                (e._replace(kind=tree.DIRECTORY) if e.path in way else e, o) for e, o in inside
            ]
        entries, origins = [entry for entry, _ in inside], [origin for _, origin in inside]
        self._laid.add_all(entries, origins, self._step.where)

    def _member(self, entry: Entry, path: bytes) -> Entry:
        """A member of an archive keeps its mode; it replaces what is no folder."""
        uid, gid = self._owner or (entry.uid, entry.gid)
        link = entry.link
        if entry.kind == tree.DIRECTORY and self._step.link:
            link = tree.REPLACE
        elif entry.kind == tree.HARDLINK:
            link = self._above + link
        mtime = entry.mtime if self._step.keep_time else None
        return entry._replace(path=path, uid=uid, gid=gid, link=link, mtime=mtime)

    def _shape(self, entry: Entry, path: bytes) -> Entry:
        _, kind, mode, uid, gid, size, content, link, xattrs, device, mtime = entry
        if self._owner:
            uid, gid = self._owner
        directory = kind == tree.DIRECTORY
        if self._step.mode and kind != tree.SYMLINK:
            mode = apply_mode(mode, self._step.mode, directory=directory, given_as_is=True)
        if directory:
            kind = tree.FIXED_DIRECTORY
            link = tree.REPLACE if self._step.link else tree.STRICT
        elif kind == tree.HARDLINK:
            link = self._above + link
        mtime = mtime if self._step.keep_time else None
        return Entry(path, kind, mode, uid, gid, size, content, link, xattrs, device, mtime)

    def recipe(self) -> Recipe:
        if not self._made:
            return self._laid.recipe()
        if self._here is not None and self._step.link:
            self._decide()
        mode, ids = 0o755, self._owner or (0, 0)
        if self._step.mode and self._step.mode.octal is not None:
            mode = self._step.mode.octal
        how = tree.REPLACE if self._step.link else tree.ENTER
        plain = mode == 0o755 and ids == (0, 0) and not self._step.link
        if self._step.link:
            self._add(Entry(b"", tree.DIRECTORY, 0o755, link=tree.REPLACE))
        for path in () if plain else _parents(self._to):
            self._add(Entry(path, tree.DIRECTORY, mode, *ids, link=how))
        if self._here is not None:
            how = tree.HERE + self._here
        elif self._unpacked and not self._step.link:
            how = tree.FILL
        at_root = not self._to and how != tree.FILL
        if not at_root and not (self._here is not None and self._step.link):
            self._add(Entry(self._to, tree.DIRECTORY, mode, *ids, link=how))
        return self._laid.recipe()

    def _add(self, entry: Entry) -> None:
        self._laid.add(entry, Origin(), self._step.where)

    def _decide(self) -> None:
        """Without anything below, a file is the destination itself."""
        if not self._here:
            raise _clash(Entry(self._to, tree.DIRECTORY), self._step.where)
        last = self._above + self._here
        entry, origin = self._laid.entries[last], self._laid.origins.get(last, Origin())
        self._laid = Laid(_clash)
        self._laid.add(entry._replace(path=self._to), origin, self._step.where)


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _clash(entry: Entry, where: Location) -> UsageError:
    shown = "/" + printable(entry.path)
    return UsageError(
        "file-over-directory",
        f"cannot copy to non-directory: {shown}"
        if entry.kind in "dD"
        else f"cannot replace to directory {shown} with file",
        hint="two sources of this instruction have something else at the same place",
        where=where,
    )
