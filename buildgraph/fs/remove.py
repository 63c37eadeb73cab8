"""Deleting what a command or an archive left: folders thousands deep, without permissions, with any names.

Without recursion, and with three open descriptors at most: subfolders are renamed up into the topmost folder before
they are emptied. Nothing on another file system is touched, and no link is followed.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(path: Path | bytes) -> None:
    """Delete the folder ``path`` with all below it; as much as can be, and then raise OSError if some is left."""
    top = os.open(path, _FOLDER)
    try:
        pending = _emptied(top, top, lift=False)
        while pending:
            name = pending.pop()
            with suppress(OSError):
                fd = os.open(name, _FOLDER, dir_fd=top)
                try:
                    pending += _emptied(fd, top, lift=True)
                finally:
                    os.close(fd)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _emptied(folder: int, top: int, *, lift: bool) -> list[str]:
    """Delete the files in ``folder``; the names that its subfolders have in ``top`` now."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    lifted = []
    for name, is_folder in found:
        with suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=folder)
                continue
            with suppress(PermissionError):
                os.chmod(name, 0o700, dir_fd=folder)
            up = os.urandom(8).hex() if lift else name
            if lift:
                os.rename(name, up, src_dir_fd=folder, dst_dir_fd=top)
            lifted.append(up)
    return lifted
