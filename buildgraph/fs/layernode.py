"""What does one archive member become: a node of the layer's tree, with attributes that a file system can hold."""

from typing import Final

from buildgraph.errors import ContentError
from buildgraph.fs import tarheader, tree
from buildgraph.fs.membername import MOST_NAME, MOST_PATH, bad_link
from buildgraph.fs.rooted import shown
from buildgraph.fs.tarball import EPOCH_NS
from buildgraph.fs.tarheader import Member

_MOST_VALUE: Final = 1 << 16  # XATTR_SIZE_MAX
_FOREIGN: Final = (b"trusted.overlay.", b"user.overlay.", b"security.", b"system.nfs4_acl")
_CAPABILITY: Final = b"security.capability"
KINDS: Final = {
    tarheader.FILE: tree.FILE,
    tarheader.SYMLINK: tree.SYMLINK,
    tarheader.CHAR: tree.CHAR,
    tarheader.BLOCK: tree.BLOCK,
    tarheader.DIRECTORY: tree.DIRECTORY,
    tarheader.FIFO: tree.FIFO,
}
NOTHING: Final[set[bytes]] = set()


class Node:
    """A file of any type, under one name or, hard-linked, under several; ``children`` is None for non-directories."""

    __slots__ = (
        "children", "content", "device", "gid", "hidden", "implied", "kind", "link", "mode",
        "mtime", "names", "path", "size", "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, kind: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = 0
        self.content = ""
        self.link = b""
        self.xattrs: tuple[tuple[bytes, bytes], ...] = ()
        self.device = (0, 0)
        self.mtime = EPOCH_NS
        self.names = 1
        self.implied = False
        self.path = b""
        """Of directories, which never move; files may have several."""
        self.children: dict[bytes, Node] | None = None
        self.hidden: set[bytes] = NOTHING
        """Names in this directory that the layer whites out."""


def new_directory(parent: Node | None = None, name: bytes = b"") -> Node:
    node = Node(tree.DIRECTORY)
    node.children = {}
    if parent is not None:
        node.path = parent.path + b"/" + name if parent.path else name
        if name in parent.hidden:
            node.kind = tree.OPAQUE
    return node


def describe(node: Node, member: Member) -> None:
    """Give ``node`` the attributes of ``member``; a directory stays as opaque as it is."""
    node.mode = 0o777 if node.kind == tree.SYMLINK else member.mode
    node.uid = member.uid
    node.gid = member.gid
    node.size = member.size
    node.mtime = member.mtime
    node.device = member.device
    node.implied = False
    if node.kind == tree.SYMLINK:
        node.link = member.link
    node.xattrs = _xattrs(member) if member.xattrs else ()


def _xattrs(member: Member) -> tuple[tuple[bytes, bytes], ...]:
    """Those that are content. Overlayfs' own would change what a mount of the layer shows, and labels of security
    modules are the machine's."""
    kept = []
    for name, value in member.xattrs:
        if name.startswith(_FOREIGN) and name != _CAPABILITY:
            continue
        if not name or b"\0" in name or len(name) > MOST_NAME or len(value) > _MOST_VALUE:
            raise ContentError(
                "archive-xattr",
                f"{shown(member.name)} has an extended attribute that cannot be:"
                f" {ascii(name[:40])[1:]} of {len(value)} bytes",
            )
        kept.append((name, value))
    return tuple(kept)


def check_special(member: Member) -> None:
    """Raises for what no file system can hold, or what would be something else in an overlay."""
    if member.type == tarheader.CHAR and member.device == (0, 0):
        raise ContentError(
            "archive-device",
            f"{shown(member.name)} is the device 0,0, which overlayfs takes for a deletion",
        )
    if member.type == tarheader.SYMLINK and not 0 < len(member.link) <= MOST_PATH:
        raise bad_link(member.name, member.link, "nothing that a link can name", "symbolic")
