"""Taking things out of the store: a rename into ``trash/``, which can be undone, and then the deletion.

Deleting takes long (a snapshot has 50,000 files) and can meet anything a container wrote: directories without
permissions, thousands deep. It runs without recursion and with three open descriptors at most: subdirectories are
renamed up into one flat folder before they are emptied.

Names, both below ``trash/``::

    SESSION.RANDOM               is being deleted
    SESSION.RANDOM~FOLDER~NAME   whole, from FOLDER/NAME of the store (``~`` for ``/``); its session may yet restore it,
                                 and if that dies, whoever cleans up does: others may rely on it already
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from buildgraph.errors import MachineError
from buildgraph.store.lease import Lease, abandoned

_SLASH = "~"
_RIGHTS = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW


class Trash:
    """``folder`` is on the file system of everything that is thrown into it.

    Names begin with the session that threw, so that nobody else deletes what a live session may yet restore.
    """

    def __init__(self, folder: Path, lease: Lease) -> None:
        self._folder = folder
        self._lease = lease

    def throw(self, path: Path, *, on_trial: bool = False) -> Path | None:
        """Rename ``path`` away; where it is now, None when it was gone. Nothing is deleted yet.

        ``on_trial``: should this process die before it deletes or restores it, others restore it.
        """
        with suppress(
            MachineError
        ):  # on a full disk, others may empty the trash while we could still restore
            self._lease.hold()
        home = self._folder.parent
        origin = str(path.relative_to(home)).replace("/", _SLASH) if on_trial else ""
        there = self._fresh(self._lease.path.stem, _SLASH + origin if origin else "")
        try:
            _move(path, there)
        except FileNotFoundError:
            return None
        return there

    def restore(self, thrown: Path, path: Path) -> None:
        """Undo :meth:`throw`; where something was made at ``path`` meanwhile, that stays."""
        with suppress(OSError):
            if not os.path.lexists(path):
                _move(thrown, path)

    def _fresh(self, session: str, origin: str = "") -> Path:
        return self._folder / f"{session}.{os.urandom(8).hex()}{origin}"

    def remove(self, path: Path) -> bool:
        """Throw ``path`` away and delete it; True when nothing of it is left."""
        thrown = self.throw(path)
        return thrown is None or self.delete(thrown)

    def empty(self) -> bool:
        """Delete what dead sessions threw away; what was on trial comes back. True when nothing is left."""
        done = True
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            with abandoned(self._lease.path.with_name(f"{name.partition('.')[0]}.lease")) as dead:
                if dead:
                    self._acquit(name)
                    done &= self.delete(self._folder / name)
        return done

    def _acquit(self, name: str) -> None:
        """Whoever threw it may have died before asking who relies on it; the next collection asks again."""
        _, _, origin = name.partition(_SLASH)
        if origin:
            self.restore(self._folder / name, self._folder.parent.joinpath(*origin.split(_SLASH)))

    def delete(self, thrown: Path) -> bool:
        """Delete what lies in the trash; False where this user may not (files of other ids stay for a later try)."""
        session = thrown.name.partition(".")[0]
        if _SLASH in thrown.name:  # from now on it is no longer whole
            sentenced = self._fresh(session)
            with suppress(FileNotFoundError):
                _move(thrown, sentenced)
            thrown = sentenced
        folder = os.open(self._folder, _RIGHTS)
        try:
            pending = [thrown.name]
            failed = False
            while pending:
                name = pending.pop()
                found, ok = _delete_one(folder, name, session)
                if found:
                    pending += [name, *found]
                failed |= not ok
            return not failed
        finally:
            os.close(folder)


def _move(path: Path, there: Path) -> None:
    """Rename it, with its mode, also where it is a directory that its owner may not write to."""
    try:
        os.rename(path, there)
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        os.chmod(path, 0o700)
        os.rename(path, there)
        os.chmod(there, mode)


def _delete_one(folder: int, name: str, session: str) -> tuple[list[str], bool]:
    """Delete a file or an empty directory; of a full one, delete the files and return its subdirectories' new names."""
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
            return [], True
        lifted, ok = _flatten(folder, name, session)
        if ok and not lifted:
            os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return [], True
    except OSError:
        return [], False
    return lifted, ok


def _flatten(folder: int, name: str, session: str) -> tuple[list[str], bool]:
    os.chmod(name, 0o700, dir_fd=folder)
    fd = os.open(name, _RIGHTS, dir_fd=folder)
    lifted = []
    ok = True
    try:
        with os.scandir(fd) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in found:
            try:
                if is_directory:
                    os.chmod(child, 0o700, dir_fd=fd)
                    up = f"{session}.{os.urandom(8).hex()}"
                    os.rename(child, up, src_dir_fd=fd, dst_dir_fd=folder)
                    lifted.append(up)
                else:
                    os.unlink(child, dir_fd=fd)
            except FileNotFoundError:
                pass
            except OSError:
                ok = False
    finally:
        os.close(fd)
    return lifted, ok
