"""Snapshots: one unpacked layer each, and the stacks of them that commands run on.

A snapshot is a directory ``<dir>/<name>`` (``sha256-<hex>`` of a layer's diff ID, ``tree-<hex>`` of a bind), written
once, complete as soon as it is visible, never changed. Whiteouts in it are character devices 0:0.

    prepare(parents) ─► Active: root is writable ─► quiesce() ─► upper is read, normalized ─► commit(name)
                                                └► leaving the block without commit throws everything away

Whatever is under way lives in ``<tmp>/active-<pid>-…``, a left-over once that process is dead; a snapshot that has to
go is renamed there first, so that a half-deleted one is never taken for anything.

**Power cuts.** Nothing is synced while a command runs or when it is committed. A mark ``<dir>.unsynced/<name>``
(holding the boot ID) is set before a snapshot becomes visible; :meth:`Snapshots.settle` syncs the file system once
and takes the marks away. A mark of an earlier boot means that the snapshot may be torn: it is dropped when the
folder is opened, and whoever needs it makes it again. Marks that are a minute old are settled then: by that time the
kernel has written nearly everything anyway.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from buildgraph.fs.remove import remove_tree
from buildgraph.sandbox import syscalls
from buildgraph.sandbox.flatten import flatten
from buildgraph.sandbox.mounts import Bind, Overlay, attached, detach, most_lowers
from buildgraph.sandbox.stubs import (
    RootAttributes,
    Stub,
    make_stubs,
    missing_stubs,
    root_attributes,
)

_WRITTEN_BACK = 60.0
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Snapshots:
    """``dir`` and ``tmp`` exist and are on one file system. Any number of processes may share ``dir``.

    ``claim`` is told the name of every snapshot that is used without the caller having named it. With ``lazy`` the
    emptied workplaces of what was committed stay until :meth:`sweep`, and cleared ones until :meth:`close`.
    """

    def __init__(
        self,
        dir: Path,  # noqa: A002 - the noun of the layout
        tmp: Path,
        claim: Callable[[str], object] = lambda _: None,
        *,
        lazy: bool = False,
    ) -> None:
        self.dir = dir
        self.tmp = tmp
        self._claim = claim
        self._lazy = lazy
        self._used: deque[Path] = deque()
        self._cleared: deque[Path] = deque()
        self._empty: dict[Path, bool] = {}
        self._unsynced = dir.with_name(dir.name + ".unsynced")
        self._boot = Path(_BOOT_ID).read_text(encoding="ascii").strip()
        self._look_at_marks()

    def path(self, name: str) -> Path | None:
        path = self.dir / name
        return path if path.is_dir() else None

    @contextmanager
    def create(self, name: str) -> Iterator[Path]:
        """An empty directory to fill; it becomes the snapshot ``name`` when the block ends without an exception.

        Where another was first, its snapshot stays and this one is thrown away.
        """
        work = self._workplace()
        fresh = work / "fresh"
        try:
            _make_directory(fresh)
            yield fresh
            self._publish(fresh, name)
        finally:
            _delete(work)

    @contextmanager
    def view(self, parents: Sequence[Path]) -> Iterator[Path]:
        """``parents`` (bottom first) as one read-only file system."""
        work = self._workplace()
        try:
            with ExitStack() as stack:
                at = _make_directory(work / "view")
                stack.enter_context(_view(self._lowers(parents), at, work))
                yield at
        finally:
            _delete(work)

    @contextmanager
    def prepare(
        self, parents: Sequence[Path], stubs: Sequence[Stub] = (), *, view: bool = True
    ) -> Iterator["Active"]:
        """A writable file system on top of ``parents`` (bottom first), in which the mount points ``stubs`` exist.

        Stubs that had to be made are below the upper directory, so they are no change that a command made. Without
        ``view`` nothing is mounted to compare with, and no stubs are made: the caller knows what is in ``parents``.
        """
        work = self._roomy()
        active = None
        try:
            with ExitStack() as stack:
                active = Active(self, work, self._lowers(parents), stubs if view else None, stack)
                yield active
        finally:
            if self._lazy and active is not None and active.committed:
                self._used.append(work)
            else:
                _delete(work)

    def sweep(self) -> None:
        """Clear the workplaces that nobody needs any more, for whoever needs one next; from any thread."""
        for _ in range(len(self._used)):
            try:
                work = self._used.popleft()
            except IndexError:  # another thread was faster
                return
            if _clear(work):
                self._cleared.append(work)
            else:
                _delete(work)

    def close(self) -> None:
        """Delete what ``lazy`` left; idempotent."""
        for works in (self._used, self._cleared):
            while works:
                _delete(works.popleft())

    def settle(self) -> None:
        """Make every snapshot that exists now safe against a power cut; cheap when nothing is new."""
        with suppress(FileNotFoundError):
            names = os.listdir(self._unsynced)
            if not names:
                return
            fd = os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                syscalls.syncfs(fd)
            finally:
                os.close(fd)
            for name in names:
                with suppress(FileNotFoundError):
                    os.unlink(self._unsynced / name)

    def drop(self, name: str) -> None:
        """Delete the snapshot ``name``; idempotent."""
        work = self._workplace()
        with suppress(FileNotFoundError):
            os.rename(self.dir / name, work / "fresh")
        _delete(work)

    def _publish(self, fresh: Path, name: str) -> Path:
        final = self.dir / name
        if final.is_dir():
            return final
        self._unsynced.mkdir(exist_ok=True)
        mark = self._unsynced / name
        mark.write_text(self._boot, encoding="ascii")
        try:
            os.rename(fresh, final)
        except NotADirectoryError:  # a file that somebody put there
            os.unlink(final)
            os.rename(fresh, final)
        except OSError:
            if not final.is_dir():
                mark.unlink(missing_ok=True)
                raise
        return final

    def _look_at_marks(self) -> None:
        oldest = time.time()
        with suppress(FileNotFoundError), os.scandir(self._unsynced) as marks:
            for entry in marks:
                mark = Path(entry.path)
                if mark.read_text(encoding="ascii", errors="replace").strip() == self._boot:
                    oldest = min(oldest, mark.stat().st_mtime)
                    continue
                self.drop(entry.name)
                mark.unlink(missing_ok=True)
        if oldest < time.time() - _WRITTEN_BACK:
            self.settle()

    def _workplace(self) -> Path:
        path = self.tmp / f"active-{os.getpid()}-{os.urandom(6).hex()}"
        os.mkdir(path, 0o700)
        return path

    def _roomy(self) -> Path:
        try:
            return self._cleared.pop()
        except IndexError:
            return self._workplace()

    def _lowers(self, parents: Sequence[Path]) -> tuple[Path, ...]:
        """Without empty layers, each directory once (its topmost place decides), few enough for the kernel."""
        unique = dict.fromkeys(reversed(parents))
        lowers = [path for path in reversed(unique) if not self._is_empty(path)]
        room = most_lowers() - 2  # stubs, and what the merged ones become
        if len(lowers) > room:
            cut = len(lowers) - room
            lowers[:cut] = [self._merged(lowers[:cut])]
        return tuple(lowers)

    def _is_empty(self, path: Path) -> bool:
        """Remembered, because snapshots never change."""
        if path not in self._empty:
            with os.scandir(path) as entries:
                self._empty[path] = next(entries, None) is None
        return self._empty[path]

    def _merged(self, parents: Sequence[Path]) -> Path:
        from buildgraph.digest import key_of

        name = "merged-" + key_of([os.fsencode(path.name) for path in parents])
        self._claim(name)
        if found := self.path(name):
            return found
        with self.create(name) as fresh:
            flatten(parents, fresh)
        return self.dir / name


class Active:
    """A stack under a running command.

    ``root`` is the writable file system, ``upper`` receives its changes, ``below`` is a read-only view of everything
    under ``upper`` (stubs included; None when there is nothing), which is what changes are compared with.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        work: Path,
        lowers: tuple[Path, ...],
        stubs: Sequence[Stub] | None,
        stack: ExitStack,
    ) -> None:
        self._snapshots = snapshots
        self.committed = False
        self.below: Path | None = None
        self.root, self.upper = work / "root", work / "upper"
        attributes = root_attributes(lowers)
        if stubs is not None:
            lowers = self._stubbed(work, lowers, stubs, attributes, stack)
        for path in (self.root, self.upper, work / "work"):
            _make_directory(path)
        attributes.apply(self.upper)
        lowers = lowers or (_make_directory(work / "none"),)
        Overlay(lowers, self.upper, work / "work").attach(self.root)
        self._mounted = True
        stack.callback(self.quiesce)

    def _stubbed(
        self,
        work: Path,
        lowers: tuple[Path, ...],
        stubs: Sequence[Stub],
        attributes: RootAttributes,
        stack: ExitStack,
    ) -> tuple[Path, ...]:
        """Mount the view below; on top of ``lowers`` comes a layer of stubs if one is needed."""
        at = _make_directory(work / "below")
        if lowers:
            self.below = stack.enter_context(_view(lowers, at, work))
        missing = missing_stubs(at, stubs)
        if not missing and (not lowers or root_attributes(lowers[-1:]) == attributes):
            return lowers
        extra = _make_directory(work / "stubs")
        attributes.apply(extra)
        make_stubs(at, extra, missing)
        if lowers:
            detach(at)
            Overlay((*lowers, extra)).attach(at)  # in its place; the stack detaches it
        else:
            self.below = stack.enter_context(attached(Bind(extra), at))
        return (*lowers, extra)

    def quiesce(self) -> None:
        """Take ``root`` away; ``upper`` may be read and rewritten from now on. Idempotent."""
        if self._mounted:
            self._mounted = False
            detach(self.root)

    def commit(self, name: str) -> Path:
        """Make ``upper`` the snapshot ``name`` (or find that it exists already) and return its path."""
        self.quiesce()
        made = self._snapshots._publish(self.upper, name)  # noqa: SLF001 - one noun in two classes
        self.committed = True
        return made


def _view(lowers: Sequence[Path], at: Path, work: Path) -> AbstractContextManager[Path]:
    """An overlay without upper directory needs two lower ones; one directory alone would show its whiteouts."""
    if not lowers:
        return attached(Bind(_make_directory(work / "none")), at)
    if len(lowers) == 1:
        lowers = (_make_directory(work / "none"), lowers[0])
    return attached(Overlay(tuple(lowers)), at)


def _make_directory(path: Path) -> Path:
    """Whatever the umask; there already: fine."""
    with suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103 - the store itself is 0700; commands see this as /
    return path


_SCRATCH = os.path.join("work", "work")
"""What the kernel keeps in an overlay's work directory; a volatile one leaves a mark in it."""

_VOLATILE_MARK = f"{_SCRATCH}/incompat/volatile/dirty"

_OWN_DIRECTORIES = (
    *(f"{_SCRATCH}/incompat/volatile", f"{_SCRATCH}/incompat", _SCRATCH, "work"),
    *("upper", "root", "below", "stubs", "none", "view", "fresh"),
)


def _clear(path: Path) -> bool:
    """Whether it is now as good as new; making and removing directories waits for the disk's journal."""
    try:
        with suppress(FileNotFoundError):
            os.unlink(f"{path}/{_VOLATILE_MARK}")
        for name in _OWN_DIRECTORIES[:3]:
            with suppress(FileNotFoundError):
                os.rmdir(f"{path}/{name}")
        for name in os.listdir(path):
            if name not in ("root", "work"):
                os.rmdir(f"{path}/{name}")
        return not os.listdir(f"{path}/work")
    except OSError:
        return False


def _delete(path: Path) -> None:
    """What is nearly always nearly empty goes without a walk."""
    with suppress(OSError):
        os.unlink(f"{path}/{_VOLATILE_MARK}")
    for name in _OWN_DIRECTORIES:
        with suppress(OSError):
            os.rmdir(f"{path}/{name}")
    try:
        os.rmdir(path)
    except OSError:
        with suppress(OSError):
            remove_tree(path)
