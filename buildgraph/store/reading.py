"""A store that is only looked at: for commands that ask and change nothing.

A store that this user may write to is opened as it is, for leases keep collections off what is looked at, and what was
hashed stays known. Where none is yet, the command sees an empty one, and none is made. A store that takes no writes
(a read-only mount, another's) is seen through a folder of its own::

    TMPDIR/buildgraph-reading-RANDOM/    locked by who looks; gone at the end, or by the next who looks
        store/
            blobs/ snapshots records …   links into the store, of each algorithm's blobs too
            index.json store.json …      copies
            leases/ tmp/ trash/ made/    new; ``made`` are blobs that the store lacks

There it has no lease: what a collection of the store's owner takes meanwhile is a miss. What is damaged is told and
stays.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from buildgraph.errors import MachineError
from buildgraph.events import Observer
from buildgraph.store.faults import translated
from buildgraph.store.local import FOLDERS, LocalStore, refuse_strange, silent

_PREFIX: Final = "buildgraph-reading-"
_OWN: Final = frozenset({"leases", "tmp", "trash"})


@contextmanager
def reading(home: Path, observer: Observer = silent, *, make: bool = False) -> Iterator[LocalStore]:
    """The store at ``home``, or what stands for it. Raises :class:`MachineError` as ``LocalStore.open`` does.

    ``make``: a store that is missing is made where it can be, for what was fetched is worth keeping.
    """
    with translated(home):
        missing = not home.exists() or not os.listdir(home)
        if not missing:
            refuse_strange(home)
    opened = None
    if not missing and _is_writable(home):
        opened = LocalStore.open(home, observer)
    elif missing and make:
        with suppress(MachineError):
            opened = LocalStore.open(home, observer)
    if opened is not None:
        with opened as store:
            yield store
        return
    with _own_folder() as folder:
        view = folder / "store"
        with translated(view):
            view.mkdir(0o700)
            if not missing:
                _mirror(home, view)
        with LocalStore.open(view, observer, frozen=True) as store:
            yield store


def _is_writable(home: Path) -> bool:
    there = [home, *(home / folder for folder in FOLDERS if (home / folder).exists())]
    return all(os.access(path, os.W_OK | os.X_OK, effective_ids=True) for path in there)


def _mirror(home: Path, view: Path) -> None:
    import shutil

    for name in sorted(os.listdir(home)):
        file = home / name
        if name in _OWN:
            continue
        if name == "blobs":
            (view / name).mkdir(0o700)
            for folder in file.iterdir():
                (view / name / folder.name).symlink_to(folder.absolute())
        elif file.is_dir():
            (view / name).symlink_to(file.absolute())
        elif name != "reserve":
            shutil.copyfile(file, view / name)


@contextmanager
def _own_folder() -> Iterator[Path]:
    import shutil
    from tempfile import gettempdir

    try:
        parent = Path(gettempdir())
        _sweep(parent)
        folder, fd = _locked_folder(parent)
    except OSError as error:
        raise MachineError(
            "no-temporary-folder",
            f"cannot make a temporary folder: {error}",
            hint="free some space there, or name another folder with TMPDIR",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Who sweeps may be faster than the lock of a folder that is new."""
    from tempfile import mkdtemp

    while True:
        folder = Path(mkdtemp(prefix=_PREFIX, dir=parent))
        with suppress(FileNotFoundError, BlockingIOError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.stat(folder), os.fstat(fd)):
                    return folder, fd
            except OSError:
                os.close(fd)
                raise
            os.close(fd)


def _sweep(parent: Path) -> None:
    """Remove the folders of those that were killed."""
    import shutil

    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX)]
    for name in names:
        with suppress(OSError):
            fd = os.open(parent / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_uid == os.geteuid():
                    shutil.rmtree(parent / name, ignore_errors=True)
            finally:
                os.close(fd)
