"""The whole filesystem of a stack of layers, as one tar or as a folder: the outputs ``tar`` and ``local``.

Both hold what a container would see: whiteouts applied, hard links kept, owners, modes, attributes and times exact.
The bytes of the tar depend on the trees alone.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from buildgraph.errors import UsageError
from buildgraph.fs import tree
from buildgraph.fs.compress import Codec
from buildgraph.fs.merge import merge, show
from buildgraph.fs.pack import Item, pack
from buildgraph.fs.remove import remove_tree
from buildgraph.fs.tree import Tree
from buildgraph.image.output import is_stream, reporting

Stack = Sequence[tuple[Tree, Path]]
"""Each layer's tree and its snapshot, bottom first."""


def items(stack: Stack) -> list[Item]:
    """The merged view, for packing."""
    roots = [os.fsencode(snapshot) + b"/" for _, snapshot in stack]
    return [
        Item(entry, roots[index] + entry.path if entry.kind == tree.FILE else b"")
        for entry, index in merge([layer for layer, _ in stack])
    ]


def items_below(folder: str, stack: Stack) -> list[Item]:
    """The same in a folder of the archive; an empty name is none."""
    found = items(stack)
    if not folder:
        return found
    name = os.fsencode(folder)
    first = (
        [] if found and not found[0].entry.path else [Item(tree.Entry(name, tree.DIRECTORY, 0o755))]
    )
    return first + [one._replace(entry=_below(name, one.entry)) for one in found]


def _below(folder: bytes, entry: tree.Entry) -> tree.Entry:
    path = folder + b"/" + entry.path if entry.path else folder
    linked = entry.kind == tree.HARDLINK
    return entry._replace(path=path, link=folder + b"/" + entry.link if linked else entry.link)


def write_tar(path: Path, stack: Stack) -> None:
    """Make or replace the archive at ``path``; UsageError ``output-refused``, MachineError ``no-space``."""
    write_tars(path, {"": stack})


def write_tars(path: Path, stacks: Mapping[str, Stack]) -> None:
    """The same of several filesystems, each in its folder."""
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        found = [one for name in sorted(stacks) for one in items_below(name, stacks[name])]
        if is_stream(path):
            with TemporaryDirectory() as folder, path.open("wb") as stream:
                made = Path(folder) / "tar"
                pack(found, codec=Codec("none"), blob=made)
                with made.open("rb") as content:
                    shutil.copyfileobj(content, stream)
            return
        path = Path(os.path.realpath(path))
        temp = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}"
        pack(found, codec=Codec("none"), blob=temp)
        try:
            os.chmod(temp, 0o644)
            os.rename(temp, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temp)
            raise


def write_local(path: Path, stack: Stack) -> None:
    """Put the filesystem into the folder ``path`` (made if missing), over what is there.

    Files and links are replaced, folders merge, and names that the stack lacks stay. No link that lies in ``path`` is
    followed. A folder where the stack has a file is UsageError ``output-conflict``; nothing is changed before all
    files are on the same disk.
    """
    with reporting(path):
        made = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        temp = path / f".buildgraph-{secrets.token_hex(8)}"
        temp.mkdir(0o700)
        try:
            pack(items(stack), snapshot=temp, tar=False)
            _check(os.fsencode(temp), os.fsencode(path))
            _lay(os.fsencode(temp), os.fsencode(path), attributes=made)
        except BaseException:
            with suppress(OSError):
                remove_tree(temp)
            if made:
                with suppress(OSError):
                    path.rmdir()
            raise


def _check(new: bytes, old: bytes) -> None:
    """Find every conflict before anything is moved."""
    pending = [(new, old)]
    while pending:
        new, old = pending.pop()
        for entry in list(os.scandir(new)):
            place = old + b"/" + entry.name
            if not _is_folder(place):
                continue
            if not entry.is_dir(follow_symlinks=False):
                raise UsageError(
                    "output-conflict",
                    f"{show(place)[1:]} is a folder, but the image has a file there",
                    hint="remove it, or choose an empty folder with dest=",
                )
            pending.append((entry.path, place))


def _lay(new: bytes, old: bytes, *, attributes: bool) -> None:
    """Move what is in ``new`` to ``old``, a folder; ``attributes``: and give it those of ``new``."""
    pending = [(new, old)]
    emptied = []
    while pending:
        new, old = pending.pop()
        emptied.append((new, old, os.stat(new)))
        for entry in list(os.scandir(new)):
            place = old + b"/" + entry.name
            folder = entry.is_dir(follow_symlinks=False)
            if folder and _is_folder(place):
                pending.append((entry.path, place))
                continue
            if folder:
                with suppress(FileNotFoundError):
                    os.unlink(place)
            os.rename(entry.path, place)
    top = emptied[0]
    for each in reversed(emptied):
        new, old, found = each
        keep = attributes or each is not top
        if keep:
            os.chown(old, found.st_uid, found.st_gid)
            shutil.copystat(new, old)
        os.rmdir(new)
        if (
            keep
        ):  # last, because moving out of ``new``, which may lie in ``old``, changed both times
            os.utime(old, ns=(found.st_atime_ns, found.st_mtime_ns))


def _is_folder(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
