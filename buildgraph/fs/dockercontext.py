"""What does a Dockerfile's build context hold? A folder as its COPY and ADD see it.

Unlike a Buildfile's context (:mod:`buildgraph.fs.context`): modes are those of the files, an ignore file decides what
is there at all, links that are named lead wherever they lead inside the context (an absolute one starts at its root,
``..`` stops there), and sockets are empty files. Nothing outside the root is ever reached. Everything looked at is
remembered as a fact, by its absolute path.
"""

import os
import threading
from collections.abc import Callable, Collection
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG
from typing import Final, NamedTuple

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache, show, unreadable
from buildgraph.fs.folder import Folder
from buildgraph.fs.ignore import Globs
from buildgraph.fs.moby import Patterns
from buildgraph.fs.rows import Row, prove_bytes, row_of
from buildgraph.fs.tree import Entry

Keep = Callable[[bytes], tuple[bool, bool]]
"""Of a path below what is selected: is it taken, and if it is a folder, is it worth looking into?"""

_MOST_LINKS: Final = 40
_EVERYTHING: Final = Globs.compile(()).root


class Seen(NamedTuple):
    """``source`` is the file on the host; empty for what has no bytes to read."""

    entry: Entry
    source: bytes = b""


class _Walked:
    """What a walk has found, folders by path; those on the way to something taken are taken, too."""

    def __init__(self) -> None:
        self.folders: dict[bytes, Row] = {}
        self.files: list[tuple[bytes, Folder, list[bytes]]] = []
        self.others: list[tuple[bytes, bytes]] = []
        """Path and full path of what is no file and no folder."""
        self.places: dict[bytes, Row] = {}

    def reach(self, path: bytes) -> None:
        while path and path not in self.folders:
            self.folders[path] = self.places[path]
            path = path.rpartition(b"/")[0]

    def __bool__(self) -> bool:
        return bool(self.folders or self.files or self.others)


class DockerContext:
    """``hidden`` are absolute paths that are not there, whatever the ignore file says. Threads may share a context."""

    def __init__(
        self,
        root: bytes,
        cache: StatCache,
        facts: Facts,
        ignore: Patterns,
        hidden: Collection[bytes] = (),
    ) -> None:
        self._root = os.path.realpath(root)
        self._cache = cache
        self._ignore = ignore
        self._hidden = frozenset(hidden)
        self._folders: dict[bytes, Folder] = {}
        self._lock = threading.RLock()
        self.facts = facts

    def resolve(self, path: bytes) -> bytes | None:
        """Where ``path`` leads, every link in it followed; None if nothing is there, or nothing that is not ignored.

        Raises UsageError ``source-loop``, ``source-unreadable``.
        """
        at, links = b"", 0
        todo = path.split(b"/")[::-1]
        while todo:
            name = todo.pop()
            if name == b"..":
                at = at.rpartition(b"/")[0]
            elif name not in (b"", b"."):
                here = at + b"/" + name if at else name
                row = self._lstat(here)
                if row is None:
                    return None
                if not S_ISLNK(row[3]):
                    at = here
                    continue
                links += 1
                if links > _MOST_LINKS:
                    raise UsageError("source-loop", f"the link {show(path)} leads back to itself")
                target = self._target(here, row)
                at = b"" if target.startswith(b"/") else at
                todo += target.split(b"/")[::-1]
        return at if self._shows(at) else None

    def names(self, folder: bytes) -> list[tuple[bytes, bool]]:
        """The names in a folder, sorted, and whether each is a folder itself."""
        with self._lock:
            names = self._folder(folder).names
        above = folder + b"/" if folder else b""
        found = [(name, True) for name in names.folders]
        found += [
            (name, False) for part in (names.files, names.links, names.others) for name in part
        ]
        return sorted((name, is_dir) for name, is_dir in found if self._shows(above + name))

    def is_folder(self, path: bytes) -> bool:
        row = self._lstat(path)
        return row is not None and S_ISDIR(row[3])

    def below(self, path: bytes, keep: Keep | None = None) -> list[Seen]:
        """What is at ``path`` (which :meth:`resolve` gave), with the empty path, and all below it; sorted."""
        with self._lock:
            row = self._lstat(path)
            if row is None:
                return []
            if not S_ISDIR(row[3]):
                return self._single(path, row)
            walked = self._walk(path, keep)
            found = [Seen(Entry(b"", tree.DIRECTORY, row[3] & 0o7777))]
            found += [
                Seen(Entry(name, tree.DIRECTORY, row[3] & 0o7777))
                for name, row in walked.folders.items()
            ]
            found += self._files(walked)
            found += [self._other(name, full) for name, full in walked.others]
        return sorted(found)

    # -- one path

    def _full(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root

    def _lstat(self, path: bytes) -> Row | None:
        full = self._full(path)
        try:
            return row_of(os.lstat(full))
        except (FileNotFoundError, NotADirectoryError):
            self.facts.missing(full)
            return None
        except OSError as error:
            raise unreadable(show(path), error) from error

    def _target(self, path: bytes, row: Row) -> bytes:
        try:
            target = os.readlink(self._full(path))
        except OSError as error:
            raise unreadable(show(path), error) from error
        self.facts.add(self._full(path), row, prove_bytes(target))
        return target

    def _shows(self, path: bytes) -> bool:
        """Whether ``path``, which exists, is part of the context; an ignored folder is if something below it is."""
        if not path:
            return True
        if self._full(path) in self._hidden:
            return False
        if not self._ignore.matches(os.fsdecode(path)):
            return True
        return self._ignore.reopens and self.is_folder(path) and bool(self._walk(path, None))

    def _single(self, path: bytes, row: Row) -> list[Seen]:
        full = self._full(path)
        if not S_ISREG(row[3]):
            return [self._other(b"", full)]
        rows = [row]
        [content] = self._cache.digest([full], rows)
        self.facts.add(full, rows[0], content)
        return [Seen(Entry(b"", tree.FILE, rows[0][3] & 0o7777, 0, 0, rows[0][2], content), full)]

    def _other(self, name: bytes, full: bytes) -> Seen:
        try:
            found = os.lstat(full)
        except OSError as error:
            raise unreadable(show(full), error) from error
        mode, row = found.st_mode & 0o7777, row_of(found)
        if S_ISLNK(found.st_mode):
            target = os.readlink(full)
            self.facts.add(full, row, prove_bytes(target))
            return Seen(Entry(name, tree.SYMLINK, 0o777, link=target))
        device = (os.major(found.st_rdev), os.minor(found.st_rdev))
        if S_ISFIFO(found.st_mode):
            return Seen(Entry(name, tree.FIFO, mode))
        if S_ISCHR(found.st_mode):
            return Seen(Entry(name, tree.CHAR, mode, device=device))
        if S_ISBLK(found.st_mode):
            return Seen(Entry(name, tree.BLOCK, mode, device=device))
        return Seen(Entry(name, tree.FILE, mode, content=prove_bytes(b"")))

    # -- folders

    def _folder(self, path: bytes) -> Folder:
        found = self._folders.get(path)
        if found is None:
            found = self._folders[path] = Folder(self._root, path, _EVERYTHING, frozenset())
            self.facts.add(found.full, found.row, found.proof)
        return found

    def _walk(self, path: bytes, keep: Keep | None) -> _Walked:
        walked = _Walked()
        todo = [(b"", self._folder(path))]
        while todo:
            below, folder = todo.pop()
            test = self._tester(folder.path, below, keep)
            names, above = folder.names, below + b"/" if below else b""
            files = names.files if test is None else [n for n in names.files if test(n)[0]]
            if files:
                walked.files.append((above, folder, files))
            others = [n for n in (*names.links, *names.others) if test is None or test(n)[0]]
            walked.others += [(above + name, folder.full + b"/" + name) for name in others]
            if files or others:
                walked.reach(below)
            for name in names.folders:
                taken, entered = (True, True) if test is None else test(name)
                if not (taken or entered):
                    continue
                inner = self._folder(folder.path + b"/" + name if folder.path else name)
                walked.places[above + name] = inner.row
                if taken:
                    walked.reach(above + name)
                if entered:
                    todo.append((above + name, inner))
        return walked

    def _tester(self, folder: bytes, below: bytes, keep: Keep | None) -> Keep | None:
        """Which names of a folder a walk takes and which it enters; None if all."""
        if not self._ignore and not self._hidden and keep is None:
            return None
        here, above = folder + b"/" if folder else b"", below + b"/" if below else b""
        ignore = self._ignore

        def test(name: bytes) -> tuple[bool, bool]:
            if self._full(here + name) in self._hidden:
                return False, False
            out = ignore.matches(os.fsdecode(here + name))
            taken, entered = not out, not out or ignore.reopens
            if keep is not None and entered:
                wanted, further = keep(above + name)
                taken, entered = taken and wanted, further
            return taken, entered

        return test

    def _files(self, walked: _Walked) -> list[Seen]:
        """Their contents, learned at once."""
        names: list[bytes] = []
        fulls: list[bytes] = []
        rows: list[Row] = []
        for above, folder, files in walked.files:
            names += map(above.__add__, files)
            fulls += map((folder.full + b"/").__add__, files)
            rows += folder.stat(files)
        contents = self._cache.digest(fulls, rows)
        self.facts.add_many(fulls, rows, contents)
        return [
            Seen(Entry(name, tree.FILE, row[3] & 0o7777, 0, 0, row[2], content), full)
            for name, full, row, content in zip(names, fulls, rows, contents, strict=True)
        ]
