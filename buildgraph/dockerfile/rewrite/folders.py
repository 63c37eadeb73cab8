"""Which folders does a stack surely have? A copy of a file goes into such a folder, and none is made for it.

What bases have is told where it is known; of others it is what every distribution has. Commands are read for ``mkdir``
and for paths that they name, which may be folders, and for words that give folders owners and modes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import dirname, normpath
from typing import Literal, NamedTuple

from buildgraph.dockerfile.convert import Converted
from buildgraph.spec import model as m
from buildgraph.values import dataclass, replace

_EVERYWHERE = """
/bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/lib
/usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/local/share /usr/sbin /usr/share /var /var/cache /var/lib
/var/log /var/tmp
"""
_MADE = re.compile(r"\bmkdir\b([^;&|\n]*)")
_PATH = re.compile(r"(?<![\w.$}/])/[\w.@+-]+(?:/[\w.@+-]+)*")
_OWNED = re.compile(
    r"\b(?:ch(?:mod|own|grp)|umask|(?:bsd)?tar|cpio|unzip|rsync|install\s+-\w*[dmog]|cp\s+-"
    r"|(?:user|group)add|adduser|mkdir\s+-\w*m|mkdir\s+--mode)\b"
)
_LINKS = frozenset(["/bin", "/sbin", "/lib", "/lib64", "/var/run", "/var/lock"])
"""What is a link in many bases."""
_SOMEBODYS = frozenset(["/home/somebody", "/var/somebody"])
"""What stands for files that are not root's in a base that nobody looked at."""
_SYSTEM = ("/etc/", "/home/", "/root/", "/srv/", "/usr/", "/var/")
"""Where commands make folders that they do not name."""


class Listed(NamedTuple):
    """Absolute paths of a base."""

    folders: frozenset[str]
    links: frozenset[str]
    owned: frozenset[str] = frozenset()
    """Those that are not root's."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths, with all folders above them. ``perhaps`` are there, too, or may be, and so are ``links``.

    ``ran`` says whether commands may have made others, ``loose`` whether with owners and modes of their own; ``owned``
    whether any folder may have these.
    """

    sure: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    ran: bool = False
    owned: bool = False
    loose: bool = False
    somebodys: frozenset[str] = frozenset()
    """What is not root's in bases."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not self.ran and self.perhaps <= {"/"}

    def may_hold(self, folder: str) -> bool:
        """Whether folders may lie in ``folder`` whose owner or mode is not what a copy gives them."""
        inside = folder.rstrip("/") + "/"
        if self.loose or (self.ran and inside.startswith(_SYSTEM)):
            return True
        return any(path.startswith(inside) and path != inside for path in self.perhaps | self.links)

    def owned_in(self, folder: str) -> bool:
        """Whether something in it, or it itself, may be somebody's."""
        whole = "/" + folder.strip("/")
        inside = whole.rstrip("/") + "/"
        return self.owned or any(p == whole or p.startswith(inside) for p in self.somebodys)

    def may_be(self, folder: str) -> bool:
        """Whether it may be there, and may be missing."""
        if folder in self.sure:
            return False
        return folder in self.perhaps | self.links or (self.ran and folder.startswith(_SYSTEM))

    def kind(self, path: str) -> Literal["folder", "file", ""]:
        """Of what surely exists; empty where only a build could tell."""
        path = normpath("/" + path.strip("/"))
        if {path, *above(path)} & self.links:
            return ""
        if path in self.sure:
            return "folder"
        return "" if self.ran or path in self.perhaps else "file"

    def crosses(self, path: str) -> bool:
        """Whether a link may lie on the way to ``path``, or at it."""
        return bool({path, *above(path)} & self.links)


class Known:
    """``bases`` is what bases have, as far as it is known."""

    def __init__(self, found: Converted, bases: Mapping[m.Ref, Listed]) -> None:
        self._found = found
        self._bases = bases
        self._of: dict[m.Ref, Folders] = {}
        self._before: dict[m.Ref, tuple[m.Ref, ...]] = {}
        stacks = [found.on, *(i.on for i in found.images.values())]
        for stack in (*stacks, *(s.on for s in found.steps.values())):
            for at, ref in enumerate(stack):
                self._before.setdefault(ref, stack[:at])

    def under(self, step: m.Ref) -> Folders:
        """Of what lies below a step, whether or not it looks there."""
        return self.below(self._before.get(step, ()))

    def of(self, ref: m.Ref) -> Folders:
        """Of the whole filesystem of a stage or image."""
        return self.below((ref,))

    def made(self, step: m.Ref, folders: Sequence[str] | None, *, owned: bool = False) -> None:
        """What became of a copy, told before anybody asks what stands on it: nothing, or copies into these folders."""
        known = self._one(step) if folders is not None else Folders()
        more = frozenset(_closed(folders or ()))
        self._of[step] = replace(
            known,
            sure=known.sure | more,
            perhaps=known.perhaps | more,
            owned=known.owned or owned,
        )

    def below(self, refs: Iterable[m.Ref]) -> Folders:
        parts = [self._one(ref) for ref in refs]
        sure = frozenset({"/"}).union(*(part.sure for part in parts))
        return Folders(
            sure,
            sure.union(*(part.perhaps for part in parts)),
            frozenset[str]().union(*(part.links for part in parts)),
            any(part.ran for part in parts),
            any(part.owned for part in parts),
            any(part.loose for part in parts),
            frozenset[str]().union(*(part.somebodys for part in parts)),
        )

    def _one(self, ref: m.Ref) -> Folders:
        if ref not in self._of:
            self._of[ref] = self._look(ref)
        return self._of[ref]

    def _look(self, ref: m.Ref) -> Folders:
        if ref.kind == "image" and ref.name in self._found.images:
            return self.below(self._found.images[ref.name].on)
        if ref.kind == "base":
            return self._base(ref)
        step = self._found.steps.get(ref.name)
        if step is None:
            return Folders()
        run = isinstance(step.kind, m.Run)
        below = self.below(step.on) if run else Folders()
        made, named = frozenset(_closed(_made(step.kind))), frozenset(_closed(_named(step.kind)))
        sure = made | below.sure
        return Folders(
            sure,
            sure | named | below.perhaps,
            below.links,
            below.ran or run,
            below.owned or _owns(step.kind),
            below.loose or (run and _owns(step.kind)),
            below.somebodys,
        )

    def _base(self, ref: m.Ref) -> Folders:
        base = self._found.bases.get(ref.name)
        if base is not None and base.kind == "scratch":
            return Folders()
        known = self._bases.get(ref)
        if known is not None:
            return Folders(known.folders, known.folders, known.links, somebodys=known.owned)
        usual = frozenset(_EVERYWHERE.split())
        return Folders(usual, usual, _LINKS, ran=True, somebodys=_SOMEBODYS)


def above(path: str) -> Iterator[str]:
    """The folders above an absolute path, the nearest first, without the root."""
    while (path := dirname(path)) not in ("/", ""):
        yield path


def _closed(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        clean = normpath(path)
        yield clean
        yield from above(clean)


def _made(kind: object) -> Iterator[str]:
    match kind:
        case m.Workdir(path=path):
            yield path
        case m.DockerCopy(to=to):
            yield to if to.endswith("/") else dirname(to)
        case m.Run(command=command, workdir=workdir) if isinstance(command, tuple):
            if workdir is not None:
                yield workdir.fill({})
            for words in _MADE.findall(" ".join(text.fill({}) for text in command)):
                yield from _PATH.findall(words)


def _named(kind: object) -> Iterator[str]:
    match kind:
        case m.DockerCopy(to=to):
            yield to
        case m.Run(command=command) if isinstance(command, tuple):
            yield from _PATH.findall(" ".join(text.fill({}) for text in command))


def _owns(kind: object) -> bool:
    """Whether folders may get other owners and modes than root's 0755."""
    match kind:
        case m.Run(command=command, user=user) if isinstance(command, tuple):
            root = user is None or user.fill({}).partition(":")[0] in ("", "root", "0")
            words = " ".join(text.fill({}) for text in command)
            return not root or _OWNED.search(words) is not None
        case m.DockerCopy(owner=owner, mode=mode):
            return owner is not None or mode is not None
        case m.Workdir(user=user):
            return user.partition(":")[0] not in ("", "root", "0")
        case _:
            return False
