"""How does a run step's layer lie in a stack with layers that its command did not see?

A sibling may have brought files below a directory that the command deleted: then the deletion holds for the names that
the command's own stack had there, never for the sibling's (:func:`spare`). It may have changed the attributes of a
directory that the command left alone: then the sibling's hold (:func:`give_way`).
"""

from collections.abc import Iterable, Sequence

from buildgraph.fs import tree
from buildgraph.fs.lay import DIRECTORIES, Below, Listing, prefixes
from buildgraph.fs.tree import Entry, Tree


def spare(layer: Tree, own: Below, siblings: Iterable[Listing]) -> Tree:
    """A run step's layer over a stack in which ``siblings`` lie that it did not see: what they brought below a
    directory that it deleted stays. ``own`` is the stack that the step really ran on."""
    brought = {
        entry.path
        for sibling in siblings
        for entry in sibling.values()
        if entry.kind != tree.WHITEOUT
    }
    parents = {parent for path in brought for parent in prefixes(path)}
    out: list[Entry] = []
    for entry in layer:
        if entry.kind == tree.WHITEOUT and entry.path in parents:
            out += _expanded(entry.path, own, brought, parents)
        else:
            out.append(entry)
    return tree.sort(out) if len(out) != len(layer) else layer


def give_way(layer: Tree, own: Below, below: Below, siblings: Sequence[Listing]) -> Tree:
    """A run step's layer in which the directories that it left as ``own`` has them are as ``below``, the stack that it
    lies on, has them: what a sibling made of them stays."""
    out = list(layer)
    for at, entry in enumerate(layer):
        if entry.kind != tree.DIRECTORY:
            continue
        theirs = (sibling.get(entry.path) for sibling in siblings)
        if all(one is None or _attributes(one) == _attributes(entry) for one in theirs):
            continue
        was, now = own.lookup(entry.path), below.lookup(entry.path)
        if was and now and now.kind in DIRECTORIES and _attributes(was) == _attributes(entry):
            mode, uid, gid, xattrs = _attributes(now)
            out[at] = entry._replace(mode=mode, uid=uid, gid=gid, xattrs=xattrs)
    return tuple(out)


def _attributes(entry: Entry) -> tuple[int, int, int, tuple[tuple[bytes, bytes], ...]]:
    return entry.mode, entry.uid, entry.gid, entry.xattrs


def _expanded(path: bytes, own: Below, brought: set[bytes], parents: set[bytes]) -> list[Entry]:
    """Whiteouts for all that the step's own stack had at ``path``, the way to the siblings' files left open."""
    found = own.lookup(path)
    attributes = found if found is not None and found.kind in DIRECTORIES else None
    mode = attributes.mode if attributes else 0o755
    uid, gid = (attributes.uid, attributes.gid) if attributes else (0, 0)
    out = [Entry(path, tree.DIRECTORY, mode, uid, gid)]
    for name in own.names(path):
        child = path + b"/" + name
        if child in parents:
            out += _expanded(child, own, brought, parents)
        elif child not in brought:
            out.append(Entry(child, tree.WHITEOUT))
    return out
