"""COPY and ADD → a copy step: its sources, its destination, what its files are to be."""

import re
from posixpath import normpath

from buildgraph.dockerfile.heredoc import Heredoc
from buildgraph.dockerfile.instructions import Add, Copy
from buildgraph.dockerfile.numbers import natural
from buildgraph.dockerfile.origins import Origin
from buildgraph.dockerfile.remote import remote_source
from buildgraph.dockerfile.state import StageState, checked_path
from buildgraph.errors import UsageError
from buildgraph.spec import model as m
from buildgraph.values import dataclass

_LAST_ID = (1 << 32) - 1
_CLAUSE = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+")

_Source = m.DockerSource | m.InlineFile | m.RemoteFile | m.GitTree


@dataclass(frozen=True, slots=True)
class Copying:
    """``line`` is what history says."""

    kind: m.DockerCopy
    line: str


def copy_of(copy: Copy | Add, state: StageState, escape: str, origin: Origin) -> Copying:
    """``origin`` is where paths are looked for. Raises UsageError."""
    reading = _Reading(copy, state, escape, origin)
    to = reading.word(copy.to)
    owner, mode = reading.word(copy.chown), reading.word(copy.chmod)
    sources = reading.sources()
    kind = m.DockerCopy(
        sources=sources,
        to=state.path(to),
        add=isinstance(copy, Add),
        owner=_owner(owner) if owner else None,
        mode=_mode(mode) if mode else None,
        link=copy.link,
        parents=isinstance(copy, Copy) and copy.parents,
        exclude=tuple(map(reading.word, copy.exclude)),
        unpack=copy.unpack if isinstance(copy, Add) else None,
    )
    flags = ["--parents"] if kind.parents else []
    flags += [f"--chown={owner}"] if owner else []
    flags += [f"--chmod={mode}"] if mode else []
    line = " ".join((copy.name, *flags, *reading.told, *reading.told_documents, to))
    return Copying(kind, line)


class _Reading:
    """``told`` are the sources as history has them, paths before documents."""

    def __init__(self, copy: Copy | Add, state: StageState, escape: str, origin: Origin) -> None:
        self._copy, self._state, self._escape, self._origin = copy, state, escape, origin
        self.told: list[str] = []
        self.told_documents: list[str] = []

    def word(self, text: str) -> str:
        return self._state.word(text, self._escape)

    def sources(self) -> tuple[_Source, ...]:
        return tuple(
            self._document(source) if isinstance(source, Heredoc) else self._named(source)
            for source in self._copy.sources
        )

    def _document(self, document: Heredoc) -> m.InlineFile:
        self.told_documents.append(f"<<{document.name}")
        body = document.body
        if document.expand:
            body = self._state.body(body)
        return m.InlineFile(checked_path(document.name), body)

    def _named(self, source: str) -> _Source:
        source = self.word(source)
        self.told.append(source)
        copy = self._copy
        checksum = self.word(copy.checksum) if isinstance(copy, Add) else ""
        if checksum and len(copy.sources) != 1:
            raise UsageError(
                "bad-checksum", "--checksum is for one source", hint="add each with its own"
            )
        keep = copy.keep_git_dir if isinstance(copy, Add) else None
        remote = remote_source(source, checksum, keep_git_dir=keep)
        if remote is not None and isinstance(copy, Copy):
            raise UsageError(
                "remote-copy", f"COPY takes no address such as {source}", hint="use ADD"
            )
        if remote is not None:
            return remote
        if checksum:
            raise UsageError(
                "bad-checksum",
                f"--checksum is for files of the network, and {source} is a path",
                hint="leave it out: what is copied is always compared by content",
            )
        return self._path(source)

    def _path(self, source: str) -> m.DockerSource:
        parents = isinstance(self._copy, Copy) and self._copy.parents
        checked_path(source)
        path = source.removeprefix("./") if parents else normpath(f"/{source}")
        pattern = "/" + path.lstrip("/")  # a leading ./ is no pivot, one between two folders is
        return m.DockerSource(pattern, self._origin.ref, self._origin.folder)


def _owner(text: str) -> m.Owner:
    """A number alone is the group's number too; a name alone has the group that its passwd entry says."""
    user, colon, group = text.partition(":")
    first = _identity(user)
    if not colon:
        return m.Owner(first, first if isinstance(first, int) else "")
    return m.Owner(first, _identity(group))


def _identity(text: str) -> int | str:
    """What is too large for the number of a user or group is a name."""
    number = natural(text, _LAST_ID)
    return text if number is None else number


def _mode(text: str) -> m.Mode:
    if text[:1] not in "ugoa-+=":
        number = natural(text, 0o7777, base=8)
        if number is not None:
            return m.Mode(number)
        raise UsageError(
            "bad-mode",
            f"--chmod={text} is no mode",
            hint="write it in octal, 0 to 07777, or as u=rwX,go=rX",
        )
    for clause in text.split(","):
        if not _CLAUSE.fullmatch(clause):
            raise UsageError(
                "bad-mode",
                f"--chmod={text}: {clause!r} is no clause of a mode",
                hint="write it in octal, 0 to 07777, or as u=rwX,go=rX",
            )
    return m.Mode(symbolic=text)
