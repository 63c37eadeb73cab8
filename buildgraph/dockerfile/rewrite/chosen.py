"""What the words of a COPY choose, as the selections and modes of a Buildfile."""

from posixpath import normpath

from buildgraph.dockerfile.rewrite.ignore import Chosen, Rule, below, parts_of, selections
from buildgraph.dockerfile.rewrite.place import Around, Context, mode_text, owner_text
from buildgraph.dockerfile.rewrite.toml import Value
from buildgraph.errors import Location, UsageError
from buildgraph.spec import model as m

Item = dict[str, Value]

_AS_IT_IS = "u=u"
"""A mode that changes none, yet holds for folders that are there."""


def narrowed(context: Context, folder: str, include: tuple[str, ...] = ()) -> list[Chosen]:
    """What the ignore file leaves of it; without ``!`` the workspace's own ``ignore`` says so."""
    if context.takes_back:
        return selections(below(context.rules, folder)) or [Chosen()]
    if not folder and not include and context.whole:
        return [Chosen(("*", *context.whole))]
    return [Chosen(include)]


def narrow(item: Item, chosen: Chosen) -> Item:
    made = dict(item)
    if chosen.include:
        made["include"] = list(chosen.include)
    if chosen.exclude:
        made["exclude"] = list(chosen.exclude)
    return made


def within(
    include: tuple[str, ...], rules: tuple[Rule, ...], where: Location, around: Around
) -> Chosen:
    """A wildcard where the ignore file takes things back, and nobody knows what is there."""
    found = one_of(include, rules)
    if found is not None:
        return found
    around.problems.add(
        where,
        f"the wildcard {include[0]!r} meets an ignore file with '!' in a way that no globs say",
        "name the files, or write the ignore file without '!'",
    )
    return Chosen(include)


def one_of(include: tuple[str, ...], rules: tuple[Rule, ...]) -> Chosen | None:
    """What a wildcard takes of what the rules leave, if that is one selection."""
    match selections(rules):
        case [chosen] if not chosen.include or set(include) <= set(chosen.include):
            return Chosen(include, chosen.exclude)
        case _:
            return None


def parts_glob(pattern: str) -> tuple[str, ...]:
    path = normpath(pattern) if pattern else "."
    return ("/".join(parts_of(path)),) if path != "." else ()


def at_pivot(pattern: str) -> tuple[str, str, str]:
    above, pivot, rest = pattern.partition("/./")
    return (above, pivot, rest) if pivot else ("", "", pattern)


def symbolic(octal: int) -> str:
    """The same for files and folders."""
    shifts = {"u": 6, "g": 3, "o": 0}
    bits = {
        who: "".join(c for c, b in zip("rwx", (4, 2, 1), strict=True) if octal >> at & b)
        for who, at in shifts.items()
    }
    bits["u"] += "s" * bool(octal & 0o4000)
    bits["g"] += "s" * bool(octal & 0o2000)
    sticky = "t" * bool(octal & 0o1000)
    people: dict[str, str] = {}
    for who, letters in bits.items():
        people[letters] = people.get(letters, "") + who
    return ",".join(f"{who}={letters}{sticky}" for letters, who in people.items())


def unsayable(pattern: str) -> UsageError:
    return UsageError(
        "cannot-convert",
        f"{pattern} has wildcards in its folders, and docker copies what matches without them",
        hint="name the folders, one COPY each",
    )


def both(given: Item) -> None:
    """A folder that is there takes what is given of it, so both are."""
    given.setdefault("owner", "0:0")
    given.setdefault("mode", _AS_IT_IS)


def attributes(copy: m.DockerCopy, *, file: bool = False, special: bool = False) -> Item:
    """``file``: no folder gets the mode, of which docker's holds for folders as it is written.

    ``special``: what is copied may have setuid, setgid and sticky bits, which no mode without them leaves.
    """
    found = Item()
    if copy.owner is not None:
        found["owner"] = owner_text(copy.owner)
    if copy.mode is not None:
        octal = copy.mode.octal
        plain = file or octal is None or octal | (octal & 0o444) >> 2 == octal
        found["mode"] = mode_text(copy.mode) if plain else "a-st," * special + symbolic(octal or 0)
    return found
