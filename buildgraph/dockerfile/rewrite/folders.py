"""Which folders does a stack surely have? A copy of a file goes into such a folder, and none is made for it.

What bases have is told where it is known; of others it is what every distribution has. Commands are read for ``mkdir``
and for paths that they name, which may be folders.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import dirname, normpath

from buildgraph.dockerfile.convert import Converted
from buildgraph.spec import model as m
from buildgraph.values import dataclass

_EVERYWHERE = """
/bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/lib
/usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/local/share /usr/sbin /usr/share /var /var/cache /var/lib
/var/log /var/tmp
"""
_MADE = re.compile(r"\bmkdir\b([^;&|\n]*)")
_PATH = re.compile(r"(?<![\w.$}/])/[\w.@+-]+(?:/[\w.@+-]+)*")


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths, with all folders above them. ``perhaps`` are there, too, or may be."""

    sure: frozenset[str]
    perhaps: frozenset[str]


class Known:
    """``bases`` are the folders of bases, as far as those are known."""

    def __init__(self, found: Converted, bases: Mapping[m.Ref, frozenset[str]]) -> None:
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

    def made(self, step: m.Ref, folders: Sequence[str]) -> None:
        """What became of a copy, told before anybody asks what stands on it: nothing, or copies into these folders."""
        known = self._one(step) if folders else Folders(frozenset(), frozenset())
        more = frozenset(_closed(filter(None, folders)))
        self._of[step] = Folders(known.sure | more, known.perhaps | more)

    def below(self, refs: Iterable[m.Ref]) -> Folders:
        parts = [self._one(ref) for ref in refs]
        sure: frozenset[str] = frozenset({"/"}).union(*(part.sure for part in parts))
        return Folders(sure, sure.union(*(part.perhaps for part in parts)))

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
            return Folders(frozenset(), frozenset())
        below = self.below(step.on) if isinstance(step.kind, m.Run) else None
        made, named = frozenset(_closed(_made(step.kind))), frozenset(_closed(_named(step.kind)))
        sure = made | below.sure if below else made
        return Folders(sure, sure | named | (below.perhaps if below else frozenset()))

    def _base(self, ref: m.Ref) -> Folders:
        base = self._found.bases.get(ref.name)
        if base is not None and base.kind == "scratch":
            return Folders(frozenset(), frozenset())
        known = self._bases.get(ref)
        usual = frozenset(_EVERYWHERE.split())
        return Folders(known, known) if known is not None else Folders(usual, usual)


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
