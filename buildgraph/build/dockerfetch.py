"""A context that is no folder of this machine: fetched into one for as long as the build lasts.

* A git repository at a branch, tag or commit, or a folder in it: what is checked out, ``.git`` only if asked for.
* An address of anything else: an archive, compressed or not, which is unpacked, or else a Dockerfile alone.
* A stream: the same.

The time of a context is that of its commit, the server's Last-Modified, or that of the newest file in an archive.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from email.utils import mktime_tz, parsedate_tz
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from buildgraph.dockerfile.options import Folder, NamedContext
from buildgraph.dockerfile.remote import remote_source
from buildgraph.errors import ContentError, UsageError
from buildgraph.events import Observer
from buildgraph.execute.archive import Surroundings
from buildgraph.execute.fetching import Fetching, shown
from buildgraph.execute.repository import Repository
from buildgraph.execute.waiting import Waiting
from buildgraph.fs.compress import open_decompressor
from buildgraph.fs.unpack import unpack
from buildgraph.registry.stopping import Stop
from buildgraph.spec.docker import GitTree, RemoteFile
from buildgraph.values import dataclass

_GITHUB = "github.com/"
_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Context:
    """``text`` is a Dockerfile that came alone; ``time`` counts seconds since 1970, None where nothing says it."""

    root: Path
    text: bytes | None = None
    time: int | None = None


def fetch_context(
    address: str,
    around: Surroundings,
    observer: Observer,
    undo: ExitStack,
    *,
    keep_git: bool = False,
) -> Context:
    """Raises UsageError, RemoteError, ContentError; ``undo`` removes what was fetched."""
    if address.startswith(_GITHUB):
        head, mark, rest = address.partition("#")
        address = f"https://{head.removesuffix('.git')}.git{mark}{rest}"
    match remote_source(address):
        case GitTree() as tree:
            keep = keep_git or tree.keep_git_dir
            return _checked_out(tree, around, observer, undo, keep=keep)
        case RemoteFile(url=url):
            return _downloaded(url, around, observer, undo)
        case None:
            raise UsageError(
                "no-context",
                f"the context {address!r} is no address",
                hint="name a folder, a git repository or an archive",
            )


def read_context(content: bytes, undo: ExitStack, name: str = "standard input") -> Context:
    """An archive's files, or a Dockerfile alone in an empty folder."""
    root = _folder(undo)
    if not (content.startswith(_MAGICS) or content[257:262] == b"ustar"):
        return Context(root, content)
    _unpack(BytesIO(content), root, name)
    return Context(root, time=_newest(root))


def _checked_out(
    tree: GitTree, around: Surroundings, observer: Observer, undo: ExitStack, *, keep: bool
) -> Context:
    top = _folder(undo)
    repository = Repository(tree.url, around, top)
    folder = top / "clone"
    folder.mkdir()
    with Waiting(observer, repository.shown, "is fetched"):
        found = repository.find(tree.ref, tree.checksum)
        repository.check_out(tree.ref, found, folder, submodules=tree.submodules, keep=keep)
    time = repository.time(folder)
    root = (folder / tree.subdir).resolve()
    if not root.is_relative_to(folder.resolve()) or not root.is_dir():
        raise UsageError(
            "no-context", f"{repository.shown} has no folder {tree.subdir} at {found.commit[:12]}"
        )
    if not keep:
        for each in (*root.rglob(".git"), root / ".git"):
            _remove(each)
    return Context(root, time=time)


def _downloaded(url: str, around: Surroundings, observer: Observer, undo: ExitStack) -> Context:
    fetching = Fetching(around, Stop())
    undo.callback(fetching.close)
    file = _folder(undo) / "file"
    with Waiting(observer, shown(url), "is fetched"):
        found = fetching.fetch(url, "", file)
    made = read_context(file.read_bytes(), undo, url)
    file.unlink()
    modified = parsedate_tz(found.modified) if found.modified else None
    return Context(made.root, made.text, mktime_tz(modified) if modified else made.time)


def _unpack(stream: BinaryIO, root: Path, name: str) -> None:
    try:
        with open_decompressor(stream) as plain:
            unpack(plain, root, whiteouts=False)
    except ContentError as error:
        raise ContentError(
            "bad-context",
            f"the context of {name} cannot be unpacked: {error.message}",
            hint=error.hint,
        ) from error


def _newest(root: Path) -> int | None:
    files = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    seen = (os.lstat(file) for file in files)
    return max((int(one.st_mtime) for one in seen if stat.S_ISREG(one.st_mode)), default=None)


def _folder(undo: ExitStack) -> Path:
    return Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="buildgraph-context-")))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


class NamedContexts(Mapping[str, NamedContext]):
    """``known``, and those of ``addresses``, which are fetched when they are first looked at."""

    def __init__(
        self,
        known: Mapping[str, NamedContext],
        addresses: Mapping[str, str],
        around: Surroundings,
        observer: Observer,
        undo: ExitStack,
    ) -> None:
        self._known = dict(known)
        self._addresses = addresses
        self._around = around
        self._observer = observer
        self._undo = undo

    def __getitem__(self, name: str) -> NamedContext:
        if name not in self._known:
            fetched = fetch_context(self._addresses[name], self._around, self._observer, self._undo)
            self._known[name] = Folder(os.fspath(fetched.root), fetched.time)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._addresses

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._addresses})

    def __len__(self) -> int:
        return len({**self._known, **self._addresses})


def source_time(
    source: GitTree | RemoteFile, around: Surroundings, observer: Observer, undo: ExitStack
) -> int | None:
    """When a source of ADD was changed last; None where nothing says it. Raises what fetching it raises."""
    match source:
        case GitTree():
            return _checked_out(source, around, observer, undo, keep=False).time
        case RemoteFile(url=url):
            return _downloaded(url, around, observer, undo).time
