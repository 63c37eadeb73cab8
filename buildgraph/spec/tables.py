"""The small tables: ``[workspace]``, ``[base.NAME]``, ``[secret.NAME]``, ``[group.NAME]``."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from buildgraph.errors import UsageError
from buildgraph.names import Platform, Reference
from buildgraph.spec.model import Base, Group, Ref, Secret
from buildgraph.spec.source import Source

BaseKind = Literal["image", "layout", "archive", "rootfs", "scratch"]
_BASES: tuple[BaseKind, ...] = ("image", "layout", "archive", "rootfs", "scratch")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LATEST = 253402300799
"""The last second of the year 9999, the last that RFC 3339 can write."""


def workspace_name(source: Source, folder: str) -> str:
    """The folder's name where none is written."""

    def check(name: str) -> str:
        if _NAME.fullmatch(name):
            return name
        raise UsageError(
            "bad-name",
            f"{name!r} cannot be the name of a workspace",
            hint="names are made of letters, digits, '.', '_' and '-'",
        )

    if "name" in source.table:
        return source.get("name", check) or "workspace"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder).lstrip(".-") or "workspace"


def workspace_platforms(source: Source) -> tuple[Platform, ...]:
    """Each once; none where none is written."""
    return tuple(dict.fromkeys(source.each("platforms", Platform.parse)))


def workspace_epoch(source: Source, git_time: Callable[[], str]) -> int | None:
    value = source.table.get("epoch")
    if value is None:
        return None
    if value == "git":
        time = git_time()
        return int(time) if time else None
    return source.get("epoch", _epoch)


def _epoch(value: Any) -> int:
    found: int | None = None
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(moment, datetime) and moment.tzinfo is not None:
        found = int(moment.timestamp())
    if found is None or not 0 <= found <= _LATEST:
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        raise UsageError(
            "bad-epoch",
            f"{shown[:60]} is not a time",
            hint='write seconds since 1970, "2024-05-01T12:00:00Z" (with its zone), or "git"',
        )
    return found


def lower_base(source: Source) -> Base | None:
    name = str(source.path[-1])
    platform = source.platform("platform")
    kinds = source.written(_BASES)
    if len(kinds) != 1 and (kinds or not source.has_riddles()):
        told = " and ".join(kinds) if kinds else "nothing"
        source.wrong(
            "two-kinds" if kinds else "no-kind",
            f"base {name!r} brings {told}",
            *kinds[-1:],
            hint=f"give it exactly one of {', '.join(_BASES)}",
        )
    places = [_place(source, kind) for kind in kinds if kind in source.table]
    if len(kinds) != 1 or not places or places[0] is None:
        return None
    path, reference = places[0]
    return Base(name, kinds[0], source.at(kinds[0]), path, reference, platform)


def _place(source: Source, kind: BaseKind) -> tuple[str, str] | None:
    """Path and reference; None where the reference is none, which is told."""
    path, reference = str(source.table[kind]), ""
    if kind == "scratch":
        if source.table[kind] is not True:
            told = "scratch is true or left out"
            source.wrong("wrong-value", told, "scratch", hint="write scratch = true")
        return "", ""
    if kind == "layout":
        path, reference = _layout(source, path)
    elif kind == "image":
        if source.get("image", Reference.parse) is None:
            return None
        path, reference = "", path
    if not path and not reference:
        source.wrong("wrong-value", f"{kind} is empty", kind, hint=f'write {kind} = "PATH"')
    return path, reference


def _layout(source: Source, text: str) -> tuple[str, str]:
    """``dir[:tag]``: a colon in a folder's name is only taken for one when a slash follows it."""
    folder, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, ""
    if not _TAG.fullmatch(tag):
        source.wrong("bad-reference", f"{tag!r} is not a tag", "layout", hint="write dir:tag")
    return folder, tag


def lower_secret(source: Source) -> Secret | None:
    name = str(source.path[-1])
    keys = [key for key in ("file", "env") if key in source]
    if len(keys) != 1:
        source.wrong(
            "two-kinds" if keys else "no-kind",
            f"secret {name!r} has {' and '.join(keys) or 'no source'}",
            hint="give it exactly one of file and env",
        )
        return None
    if keys[0] in source.table and not source.table[keys[0]]:
        what = "the path of a file" if keys[0] == "file" else "the name of a variable"
        source.wrong("wrong-value", f"{keys[0]} is empty", keys[0], hint=f"write {what}")
    return Secret(name, source.table.get("file", ""), source.table.get("env", ""))


def lower_group(source: Source) -> Group:
    name = str(source.path[-1])
    if "targets" not in source:
        source.wrong("missing-key", f"group {name!r} needs 'targets'", hint='targets = ["NAME"]')
    targets = expand_targets(source, "targets", without=Ref("group", name))
    return Group(name, targets, source.where, source.table.get("description", ""))


def expand_targets(source: Source, key: str, without: Ref | None = None) -> tuple[Ref, ...]:
    """Names and globs of targets, distinct, in order; a glob never means the group that it stands in."""
    found: dict[Ref, None] = {}
    for at, text in source.items(key):
        refs = source.around.names.expand(text, (*source.path, key, at))
        for ref in refs:
            if ref != without or len(refs) == 1:
                found[ref] = None
    return tuple(found)
