"""Modes as people give them: octal, or symbolic clauses such as ``u=rwX,go=rX`` (chmod(1))."""

import re
from typing import Protocol

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


class GivenMode(Protocol):
    """One of the two is set."""

    @property
    def octal(self) -> int | None: ...

    @property
    def symbolic(self) -> str: ...


def git_mode(mode: int) -> int:
    """The mode of a file of that mode where git keeps it: its owner may execute it, or not."""
    return 0o755 if mode & 0o100 else 0o644


def apply_mode(
    mode: int, given: GivenMode | None, *, directory: bool, given_as_is: bool = False
) -> int:
    """``mode`` changed as ``given`` says. An octal mode on a selection holds for files; directories get x where r.

    ``given_as_is``: the octal mode was written for this very directory.
    """
    if given is None:
        return mode
    if given.octal is not None:
        octal = given.octal
        return octal | ((octal & 0o444) >> 2) if directory and not given_as_is else octal
    for clause in given.symbolic.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(clause)
        mode = _clause(mode, match[1] or "a", match[2], directory=directory)
    return mode


def is_symbolic(text: str) -> bool:
    return all(_CLAUSE.fullmatch(clause) for clause in text.split(","))


def _clause(mode: int, who: str, actions: str, *, directory: bool) -> int:
    people = "ugo" if "a" in who else who
    for action in _ACTION.finditer(actions):
        bits, mask = _bits(mode, people, action[2], directory=directory)
        if action[1] == "+":
            mode |= bits
        elif action[1] == "-":
            mode &= ~bits
        else:
            mode = (mode & ~mask) | bits
    return mode


def _bits(mode: int, people: str, letters: str, *, directory: bool) -> tuple[int, int]:
    bits = mask = 0
    for person in people:
        shift = _SHIFTS[person]
        mask |= 0o7 << shift
        for letter in letters:
            if letter in _SHIFTS:  # as these have it
                bits |= (mode >> _SHIFTS[letter] & 0o7) << shift
            elif letter in _BITS:
                bits |= _BITS[letter] << shift
            elif letter == "X" and (directory or mode & 0o111):
                bits |= 1 << shift
    if "s" in letters:
        bits |= (0o4000 if "u" in people else 0) | (0o2000 if "g" in people else 0)
    if "t" in letters:
        bits |= 0o1000
    return bits, mask
