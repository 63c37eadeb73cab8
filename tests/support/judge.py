"""Was an archive applied as said, and nothing else touched? Found out by other code than the product's."""

import os
import stat
from pathlib import Path

from blake3 import blake3
from support.layers import listing

from buildgraph.fs import tree
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.unpack import Unpacked

FORMATS = {
    tree.DIRECTORY: stat.S_IFDIR,
    tree.OPAQUE: stat.S_IFDIR,
    tree.FILE: stat.S_IFREG,
    tree.SYMLINK: stat.S_IFLNK,
    tree.CHAR: stat.S_IFCHR,
    tree.BLOCK: stat.S_IFBLK,
    tree.FIFO: stat.S_IFIFO,
    tree.WHITEOUT: stat.S_IFCHR,
}


def same_on_disk(done: Unpacked, root: Path) -> None:
    """The tree says what is there, found out by other code."""
    found = listing(root)
    first = {entry.path: entry for entry in done.tree}
    assert set(found) - {b""} == set(first) - {b""}
    for entry in done.tree:
        mode, uid, gid, mtime, same, content, xattrs = found[entry.path]
        file = first[entry.link] if entry.kind == tree.HARDLINK else entry
        assert mode == oct(FORMATS[file.kind] | entry.mode)
        assert (uid, gid) == (entry.uid, entry.gid)
        assert mtime == (EPOCH_NS if entry.kind == tree.WHITEOUT else entry.mtime)
        expected = dict(entry.xattrs)
        if entry.kind == tree.OPAQUE:
            expected[b"trusted.overlay.opaque"] = b"y"
        assert {os.fsencode(name): value for name, value in xattrs.items()} == expected
        if file.kind == tree.FILE:
            assert blake3(content).hexdigest() == entry.content
            assert len(content) == entry.size
        elif file.kind == tree.SYMLINK:
            assert content == file.link
        elif file.kind in (tree.CHAR, tree.BLOCK):
            assert content == os.makedev(*file.device)
        if entry.kind == tree.HARDLINK:
            assert same == entry.link


def outside_of(root: Path) -> dict[str, tuple[object, ...]]:
    """All that lies beside the root, with everything that a change of it would show."""
    found = {}
    for folder, folders, files in os.walk(root.parent):
        if root.name in folders:
            folders.remove(root.name)
        for name in (*files, *folders, "."):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as stream:
                    content = stream.read()
            found[path] = (
                status.st_ino,
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_nlink,
                status.st_mtime_ns,
                status.st_ctime_ns,
                content,
            )
    return found
