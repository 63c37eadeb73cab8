"""Why does a key differ? A structural comparison of two key documents, down to the file.

Where a component is the digest of a tree and both tree objects are at hand, the files that differ are named instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from buildgraph.digest import Digest, Document
from buildgraph.fs import tree
from buildgraph.fs.printable import printable
from buildgraph.fs.tree import Entry, Tree
from buildgraph.graph.step import BindFiles, PackagesStep, RunStep, Step, StepMount
from buildgraph.plan.plan import Change

TreeReader = Callable[[Digest], Tree | None]
"""The tree object with this digest, None when it is gone."""

_MOST_TEXT = 60


def explain(
    step: Step, before: Mapping[str, Document], after: Mapping[str, Document], trees: TreeReader
) -> tuple[Change, ...]:
    """The components that differ, in the order of the document; empty when the documents are equal."""
    found: list[Change] = []
    for name in dict.fromkeys((*after, *before)):
        found += _differences(_Path(step, (name,)), before.get(name), after.get(name), trees)
    return tuple(found)


class _Path:
    """Where in the document we are, told in the Buildfile's words."""

    def __init__(self, step: Step, parts: tuple[str | int, ...]) -> None:
        self.step = step
        self.parts = parts

    def __truediv__(self, part: str | int) -> "_Path":
        return _Path(self.step, (*self.parts, part))

    def file(self, name: str) -> str:
        """A file of the selection that this component is: from the context as it is there, else as it is laid down."""
        mount = self._mount()
        if mount is None or not isinstance(mount, BindFiles):
            return f"/{name}"
        return "/".join(filter(None, (mount.files.path.rstrip("/"), name)))

    def _mount(self) -> StepMount | None:
        if isinstance(self.step, RunStep) and self.parts[0] == "mounts" and len(self.parts) > 1:
            at = self.parts[1]
            if isinstance(at, int) and at < len(self.step.mounts):
                return self.step.mounts[at]
        return None

    def __str__(self) -> str:
        head, *rest = self.parts
        if isinstance(self.step, RunStep) and rest and isinstance(rest[0], int):
            stack = {"stack": self.step.stack, "with": self.step.tools}.get(str(head), ())
            if rest[0] < len(stack):
                return f"input {stack[rest[0]].partition(':')[2]}"
            mount = self._mount()
            if mount is not None:
                more = "".join(f" {part}" for part in rest[1:] if part != "files")
                return f"mount {mount.target}{more}"
        return ".".join(str(part) for part in self.parts)


def _differences(
    path: _Path, before: Document, after: Document, trees: TreeReader
) -> Iterator[Change]:
    if before == after or _as_list(before) == _as_list(after) is not None:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _differences(path / name, before.get(name), after.get(name), trees)
        return
    old, new = _as_list(before), _as_list(after)
    if old is not None and new is not None and str(path.parts[0]) not in ("argv", "pins"):
        for index in range(max(len(old), len(new))):
            one = old[index] if index < len(old) else None
            two = new[index] if index < len(new) else None
            yield from _differences(path / index, one, two, trees)
        return
    if old is not None and new is not None and isinstance(path.step, PackagesStep):
        if str(path) == "pins" and not new:
            yield Change("pins", "", "what Buildfile.lock lacks")
            return
        yield from _sets(path, old, new)
        return
    files = tuple(_files(path, before, after, trees))
    if files:
        yield from files
    else:
        yield Change(str(path), _short(before), _short(after))


def _as_list(value: Document) -> list[Document] | None:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return None


def _sets(path: _Path, before: list[Document], after: list[Document]) -> Iterator[Change]:
    for gone in sorted({str(b) for b in before} - {str(a) for a in after}):
        yield Change(str(path), gone, "")
    for new in sorted({str(a) for a in after} - {str(b) for b in before}):
        yield Change(str(path), "", new)


def _files(path: _Path, before: Document, after: Document, trees: TreeReader) -> Iterator[Change]:
    """The paths that differ when both values are digests of trees that are still here."""
    if not (_is_tree(before) and _is_tree(after)):
        return
    old, new = trees(Digest(str(before))), trees(Digest(str(after)))
    if old is None or new is None:
        return
    one, two = _by_name(old), _by_name(new)
    where = "" if str(path) == "tree" else f"{path}: "
    for name in sorted(one.keys() | two.keys()):
        a, b = one.get(name), two.get(name)
        if a == b:
            continue
        shown = where + path.file(printable(name))
        if a is None or b is None:
            yield Change(shown, "file" if a else "", "file" if b else "")
        else:
            yield from _attributes(shown, a, b)


def _by_name(listing: Tree) -> dict[bytes, Entry]:
    """A file that may be the destination itself (:data:`~buildgraph.fs.tree.HERE`) is called by that."""
    here = {e.path: e.link.removeprefix(tree.HERE) for e in listing if e.link.startswith(tree.HERE)}
    inside = {b"%s/%s" % (path, name): path for path, name in here.items() if name}
    return {
        inside.get(entry.path, entry.path): entry for entry in listing if not here.get(entry.path)
    }


def _attributes(shown: str, a: Entry, b: Entry) -> Iterator[Change]:
    names = {
        tree.FILE: "file",
        tree.SYMLINK: "link",
        tree.HARDLINK: "hard link",
        tree.DIRECTORY: "directory",
        tree.FIXED_DIRECTORY: "directory",
    }
    if a.kind != b.kind:
        yield Change(shown, names.get(a.kind, a.kind), names.get(b.kind, b.kind))
    elif (a.content, a.link) != (b.content, b.link):
        one, two = (
            (a.link.decode(errors="replace"), b.link.decode(errors="replace"))
            if a.link
            else (a.content, b.content)
        )
        yield Change(f"{shown} content", one[:12], two[:12])
    elif a.mode != b.mode:
        yield Change(f"{shown} mode", f"{a.mode:04o}", f"{b.mode:04o}")
    elif (a.uid, a.gid) != (b.uid, b.gid):
        yield Change(f"{shown} owner", f"{a.uid}:{a.gid}", f"{b.uid}:{b.gid}")
    elif a.mtime != b.mtime:
        yield Change(f"{shown} time", _time(a.mtime), _time(b.mtime))
    else:
        yield Change(shown, "other attributes", "changed")


def _time(nanoseconds: int | None) -> str:
    return "" if nanoseconds is None else f"{nanoseconds / 1e9:.9f}".rstrip("0").rstrip(".")


def _is_tree(value: Document) -> bool:
    return isinstance(value, str) and value.startswith("blake3:")


def _short(value: Document) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.partition(":")[2][:12] if value.startswith(("blake3:", "sha256:")) else value
    elif (items := _as_list(value)) is not None:
        text = " ".join(str(item) for item in items)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
