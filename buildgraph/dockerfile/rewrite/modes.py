"""Docker keeps the modes that files of the context have; a Buildfile takes git's. What must a copy say of modes, then?

One clause where all files differ in the same way, as the umask of a checkout makes them; what is left is copied once
more, each with its own mode. Folders of their own mode are chosen alone: by their name, without what is in them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from posixpath import basename, dirname, join
from typing import NamedTuple

from buildgraph.dockerfile.rewrite.chosen import Item, symbolic
from buildgraph.dockerfile.rewrite.place import Inside
from buildgraph.fs.mode import apply_mode, git_mode
from buildgraph.spec import model as m

MOST_ODD = 100
"""Of files with modes of their own in one copy; a page of them is not readable."""

_UMASKS = ("", "g+w", "go+w", "o=", "go=", "g+w,o=")
_GLOB = re.compile(r"[*?\[\]{}\\!]")


class Modes(NamedTuple):
    """``clause`` is for the whole copy; ``odd`` have other modes than it makes."""

    clause: str
    odd: tuple[Inside, ...]


def told(entries: Sequence[Inside], given: m.Mode | None, written: str) -> Modes:
    """``given`` is docker's mode, which a Buildfile has as ``written``; without it a clause may be found."""
    entries = [each for each in entries if each.kind != "link"]
    wanted = [each._replace(mode=_wanted(each, given)) for each in entries]
    made = [
        (clause, tuple(_odd(entries, wanted, clause)))
        for clause in ((written,) if given is not None else _UMASKS)
    ]
    clause, odd = min(made, key=lambda one: len(one[1]))
    return Modes(clause, odd)


def items(odd: Iterable[Inside], folder: str, to: str, attributes: Item) -> list[Item]:
    """Copies of these alone, from ``folder`` into ``to``."""
    return [
        (_folder_alone(one, folder, to) if one.kind == "folder" else _file(one, folder, to))
        | attributes
        | {"mode": symbolic(one.mode) if one.kind == "folder" else f"{one.mode:04o}"}
        for one in sorted(odd)
    ]


def many(odd: Sequence[Inside], folder: str) -> tuple[str, str]:
    """What to say, and to do, where there are too many."""
    return (
        f"{len(odd)} files and folders of {folder} have modes that a Buildfile would have to list",
        "exclude them with .dockerignore, or change their modes",
    )


def _wanted(one: Inside, given: m.Mode | None) -> int:
    return apply_mode(one.mode, given, directory=one.kind == "folder", given_as_is=True)


def _odd(entries: Iterable[Inside], wanted: Iterable[Inside], clause: str) -> Iterator[Inside]:
    octal = int(clause, 8) if clause.isdecimal() else None
    mode = m.Mode(octal, "" if octal is not None else clause) if clause else None
    for own, want in zip(entries, wanted, strict=True):
        folder = own.kind == "folder"
        git = 0o755 if folder else git_mode(own.mode)
        if apply_mode(git, mode, directory=folder) != want.mode:
            yield want


def _file(one: Inside, folder: str, to: str) -> Item:
    return {"from": join(folder, one.path), "to": join(to, one.path)}


def _folder_alone(one: Inside, folder: str, to: str) -> Item:
    name = _GLOB.sub(r"\\\g<0>", basename(one.path))
    return {
        "from": join(folder, dirname(one.path)).rstrip("/"),
        "include": [name],
        "exclude": [f"{name}/**"],
        "to": join(to, dirname(one.path), ""),
    }
