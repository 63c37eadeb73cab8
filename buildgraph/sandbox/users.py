"""Which ids does ``user[:group]`` mean inside a root filesystem?

``/etc/passwd`` and ``/etc/group`` of the root are read (image-spec, config.md "User"); numbers need no entry there.
Without a group, the user's primary group and the groups that list it hold; with one, only that.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from buildgraph.errors import UsageError
from buildgraph.fs.rooted import Rooted
from buildgraph.values import dataclass

_MAX_ID = 2**31 - 1
_LAST_ID = 2**32 - 1
_LIMIT = 16 << 20


@dataclass(frozen=True, slots=True)
class User:
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: frozenset[str]


def look_up(root: Path, user: str) -> User:
    """Raises UsageError ``unknown-user`` or ``unknown-group``, naming what the root has instead."""
    wanted, _, group = user.partition(":")
    with Rooted(root) as rooted:
        accounts = list(_accounts(rooted))
        groups = list(_groups(rooted))
    account = _account(accounts, wanted or "0")
    if group:
        return User(account.uid, _gid(groups, group), (), account.home)
    extra = tuple(sorted({g.gid for g in groups if account.name in g.members} - {account.gid}))
    return User(account.uid, account.gid, extra if account.name else (), account.home)


def home_of(root: Path, uid: int) -> str:
    """What ``/etc/passwd`` says; without an entry ``/root`` for root and ``/`` for others."""
    with Rooted(root) as rooted:
        homes = (account.home for account in _accounts(rooted) if account.uid == uid)
        return next(homes, "") or ("/" if uid else "/root")


def _account(accounts: Sequence[_Account], wanted: str) -> _Account:
    for account in accounts:
        if account.name == wanted:
            return account
    number = _number(wanted)
    if number is not None:
        for account in accounts:
            if account.uid == number:
                return account
        return _Account("", number, 0, "/root" if wanted == "0" else "/")
    if wanted == "root":
        return _Account("root", 0, 0, "/root")
    raise UsageError(
        "unknown-user",
        f"there is no user {wanted!r} in /etc/passwd of this filesystem",
        hint=_known("users", [account.name for account in accounts]),
    )


def _gid(groups: Sequence[_Group], wanted: str) -> int:
    for group in groups:
        if group.name == wanted:
            return group.gid
    number = _number(wanted)
    if number is not None:
        return number
    if wanted == "root":
        return 0
    raise UsageError(
        "unknown-group",
        f"there is no group {wanted!r} in /etc/group of this filesystem",
        hint=_known("groups", [group.name for group in groups]),
    )


def _number(text: str, most: int = _MAX_ID) -> int | None:
    """None for what is no id; files of images may say anything, at any length."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < 11 and int(digits) <= most else None


def _known(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:12])
    return f"{what} there: {shown}" if names else f"it has no {what}; use numbers"


def _accounts(rooted: Rooted) -> Iterator[_Account]:
    for fields in _lines(rooted, b"etc/passwd", 6):
        uid, gid = _number(fields[2], _LAST_ID), _number(fields[3], _LAST_ID)
        if uid is not None and gid is not None:
            yield _Account(fields[0], uid, gid, fields[5])


def _groups(rooted: Rooted) -> Iterator[_Group]:
    for fields in _lines(rooted, b"etc/group", 4):
        gid = _number(fields[2], _LAST_ID)
        if gid is not None:
            yield _Group(fields[0], gid, frozenset(fields[3].split(",")))


def _lines(rooted: Rooted, path: bytes, least: int) -> Iterator[list[str]]:
    content = rooted.read(path, _LIMIT) or b""
    for line in content.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= least and fields[0]:
            yield fields
