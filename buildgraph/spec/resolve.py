"""Which table does a name mean? One namespace for bases, steps, images and groups of a file.

``deps``, ``step:deps`` and ``//:deps`` are the same thing here; ``//folder:deps`` belongs to members. A name that a
condition switched off is remembered, so that a reference to it says so.
"""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import get_args

from buildgraph.spec.model import Ref, RefKind
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems, either, mean
from buildgraph.values import dataclass, field

KINDS: tuple[RefKind, ...] = get_args(RefKind)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHOWN = 8
_GLOB = re.compile(r"[*?\[]")


@dataclass(slots=True)
class Names:
    """``open_ended``: some names come from what is not understood, so an unknown one is no mistake of its own.

    ``lost``: names that are written, but of tables that are not what they should be: who refers to one is told nothing.
    """

    problems: Problems
    refs: dict[str, Ref] = field(default_factory=dict)
    places: dict[str, Path] = field(default_factory=dict)
    off: dict[str, Path] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    open_ended: bool = False

    def declare(self, kind: RefKind, name: str) -> bool:
        """False, and reported, when the name is no name or is taken."""
        path: Path = (kind, name)
        if name in self.refs or not NAME.fullmatch(name):
            self.lost.add(name)
        if not NAME.fullmatch(name):
            self.problems.add(
                "bad-name",
                f"{name!r} cannot be a name",
                path,
                hint="names are made of letters, digits, '.', '_' and '-'",
            )
            return False
        if name in self.refs:
            other = self.refs[name]
            line = self.problems.location(self.places[name]).line
            self.problems.add(
                "duplicate-name",
                f"{name!r} is the name of {an(kind)} and of {an(other.kind)}",
                path,
                hint=f"bases, steps, images and groups share their names; the {other.kind} is in line {line}",
            )
            return False
        self.refs[name] = Ref(kind, name)
        self.places[name] = path
        return True

    def resolve(self, text: str, path: Path, kinds: Collection[RefKind], what: str) -> Ref | None:
        """``what`` says which place wants one of ``kinds``; anything else is reported and yields None."""
        wanted, name = self._split(text, path)
        if name is None:
            return None
        ref = self.refs.get(name)
        if ref is None:
            self._missing(name, path, kinds)
            return None
        if (wanted and ref.kind != wanted) or ref.kind not in kinds:
            if name in self.lost:
                return None
            takes = either([str(kind) for kind in KINDS if kind in kinds], quote="")
            message = f"{text!r} is {an(ref.kind)}; {what} takes {an(takes)}"
            if wanted and ref.kind != wanted:
                message = f"{name!r} is {an(ref.kind)}, not {an(wanted)}"
            self.problems.add("wrong-kind", message, path, hint=self._instead(ref, kinds))
            return None
        return ref

    def expand(self, text: str, path: Path) -> tuple[Ref, ...]:
        """A target or a glob over targets: of images and groups, or where it matches none, of steps."""
        kinds: tuple[RefKind, ...] = ("step", "image", "group")
        wanted, name = self._split(text, path)
        if name is None:
            return ()
        if name in self.refs or not _GLOB.search(name):
            ref = self.resolve(text, path, kinds, "a target")
            return (ref,) if ref else ()
        found = [ref for ref in self.refs.values() if fnmatchcase(ref.name, name)]
        for choice in ((wanted,),) if wanted else (("image", "group"), ("step",)):
            chosen = tuple(ref for ref in found if ref.kind in choice)
            if chosen:
                return chosen
        if not self.open_ended and not any(fnmatchcase(one, name) for one in self.lost):
            message, hint = f"no target matches {text!r}", self._known(kinds)
            self.problems.add("unknown-name", message, path, hint=hint)
        return ()

    def _split(self, text: str, path: Path) -> tuple[str, str | None]:
        if text.startswith("//"):
            folder, _, name = text[2:].partition(":")
            if folder:
                hint = "what comes from another folder is copied from its files, or from its image"
                told = f"{text!r}: members are not supported yet"
                self.problems.add("unsupported", told, path, hint=hint)
                return "", None
            return "", name
        prefix, colon, name = text.partition(":")
        if not colon:
            return "", text
        if prefix not in KINDS:
            near = [f"{kind}:{name}" for kind in self.problems.near(prefix, KINDS)]
            hint = mean(near) or f"prefixes are {either(KINDS)}"
            self.problems.add("unknown-name", f"{text!r} names nothing", path, hint=hint)
            return "", None
        return prefix, name

    def _instead(self, ref: Ref, kinds: Collection[RefKind]) -> str:
        """What to write for one that is none of ``kinds``, or was called something else."""
        if ref.kind in kinds:
            return f'write "{ref}"'
        if ref.kind == "group":
            return "name what is in the group, one by one"
        return self._known(kinds)

    def _known(self, kinds: Collection[RefKind]) -> str:
        """A few of the names there are of ``kinds``."""
        known = [ref.name for ref in self.refs.values() if ref.kind in kinds]
        more = ", …" if len(known) > _SHOWN else ""
        return (
            f"there are {', '.join(known[:_SHOWN])}{more}" if known else f"add [{min(kinds)}.NAME]"
        )

    def _missing(self, name: str, path: Path, kinds: Collection[RefKind]) -> None:
        if name in self.off:
            line = self.problems.location(self.off[name]).line
            self.problems.add(
                "switched-off",
                f"{name!r} is switched off by its condition in line {line}",
                path,
                hint="give this table the same condition, or leave the name out",
            )
        elif name.partition("[")[0] in self.refs:
            hint = "write a table for each, and its name"
            told = f"{name!r}: matrix is not supported yet"
            self.problems.add("unsupported", told, path, hint=hint)
        elif not self.open_ended and name not in self.lost:
            known = [ref.name for ref in self.refs.values() if ref.kind in kinds]
            what = either([str(kind) for kind in KINDS if kind in kinds], quote="")
            hint = mean(self.problems.near(name, known)) or self._known(kinds)
            self.problems.add("unknown-name", f"there is no {what} named {name!r}", path, hint=hint)


def an(noun: str) -> str:
    return f"{'an' if noun.startswith('image') else 'a'} {noun}"
