"""RUN --mount: what its ``key=value`` options ask for (Dockerfile reference, "RUN --mount").

Two readings: before anything is expanded only ``from`` matters, because it decides which stages are needed; when the
RUN is reached, every other value is expanded with the stage's variables and the mount is checked as a whole.
"""

from collections.abc import Callable
from typing import Any

from buildgraph.dockerfile.flags import MOUNT_TYPES
from buildgraph.dockerfile.instructions import MountFlag
from buildgraph.dockerfile.numbers import natural
from buildgraph.errors import UsageError
from buildgraph.spec.problems import mean, near
from buildgraph.values import dataclass, field, replace

SHARINGS = ("shared", "private", "locked")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_ALIASES |= {"rw": "readwrite"}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}

Expand = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One ``--mount``, expanded. None and empty mean "not given"."""

    type: str = "bind"
    origin: str = ""
    """``from``: a stage, image or named context."""
    source: str = ""
    target: str = ""
    id: str = ""
    sharing: str = ""
    read_only: bool | None = None
    required: bool = False
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False)


def mount_origin(flag: MountFlag) -> str:
    """The stage, image or named context that a mount takes files from; empty for the build context."""
    kind = (flag.get("type") or "bind").lower()
    return "" if kind == "tmpfs" else flag.get("from") or ""


def read_mount(flag: MountFlag, expand: Expand) -> MountSpec:
    """Raises UsageError ``bad-mount``."""
    found = MountSpec()
    for option in flag.options:
        key = _ALIASES.get(option.key, option.key)
        value = "true" if option.value is None else option.value
        if key != "from":
            value = expand(value)
        found = _with(found, key, value, f"{option.key}={value}")
    _check(found)
    if found.read_only is None:
        found = replace(found, read_only=found.type not in ("cache", "tmpfs"))
    return found


def _with(found: MountSpec, key: str, value: str, name: str) -> MountSpec:
    given = found.given | {key}
    match key:
        case "type":
            change: dict[str, Any] = {"type": _choice(value.lower(), MOUNT_TYPES, "mount type")}
        case "sharing":
            change = {"sharing": _choice(value.lower(), SHARINGS, "sharing mode")}
        case "readonly" | "readwrite":
            if given >= {"readonly", "readwrite"}:
                raise _wrong("a mount is readonly or readwrite, not both")
            change = {"read_only": _boolean(value, name) == (key == "readonly")}
        case "required":
            change = {"required": _boolean(value, name)}
        case "size":
            change = {"size": _size(value, name)}
        case "mode":
            change = {"mode": _number(value, 8, name)}
        case "uid" | "gid":
            change = {key: _number(value, 10, name)}
        case "from":
            change = {"origin": value}
        case _:
            change = {key: value}
    return replace(found, given=given, **change)


_ALLOWED = {
    "size": ("tmpfs",),
    "sharing": ("cache",),
    "required": ("secret", "ssh"),
    "env": ("secret",),
    "mode": ("secret", "ssh", "cache"),
    "uid": ("secret", "ssh", "cache"),
    "gid": ("secret", "ssh", "cache"),
}


def _check(found: MountSpec) -> None:
    for key, types in _ALLOWED.items():
        if key in found.given and found.type not in types:
            raise _wrong(f"a mount of type {found.type} has no {key}")
    if found.type != "secret":
        return
    if found.origin:
        raise _wrong("a secret mount has no from")
    if found.source and found.id:
        raise _wrong("a secret mount has an id or a source, not both")
    if not (found.source or found.target or found.id):
        raise _wrong("a secret mount needs an id or a target", "write --mount=type=secret,id=NAME")


def _choice(value: str, known: tuple[str, ...], what: str) -> str:
    if value in known:
        return value
    raise _wrong(
        f"there is no {what} {value!r}", mean(near(value, known)) or f"there are {', '.join(known)}"
    )


def _boolean(value: str, name: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise _wrong(f"{name!r} of --mount is neither true nor false")


def _number(value: str, base: int, name: str) -> int:
    number = natural(value, (1 << 32) - 1, base=base)
    if number is not None:
        return number
    raise _wrong(f"{name!r} of --mount is no number", "mode is octal, uid and gid are decimal")


def memory_size(value: str) -> int | None:
    """Bytes, from such as ``64m``, ``1.5GiB`` or ``1024`` (docker's ``RAMInBytes``); None for anything else."""
    text = value.strip().lower().removesuffix("b").removesuffix("i")
    unit = text[-1:] if text[-1:].isalpha() else ""
    number = text.removesuffix(unit).strip() if unit else text
    if unit not in _UNITS or number[:1] not in tuple("0123456789."):
        return None
    try:
        size = float(number)
    except ValueError:
        return None
    return int(size * _UNITS[unit]) if size < 1 << 62 else None


def _size(value: str, name: str) -> int:
    size = memory_size(value)
    if size is None:
        raise _wrong(f"{name!r} is no size", "write it in bytes, or with k, m or g")
    return size


def _wrong(message: str, hint: str = "") -> UsageError:
    return UsageError("bad-mount", message, hint=hint)
