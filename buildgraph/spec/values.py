"""What do the small notations mean? Durations, sizes, modes, owners, ports, paths: text → value.

Every function raises :class:`UsageError` without a place; who called it knows the place.
"""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from buildgraph.errors import UsageError
from buildgraph.spec.model import Mode, Owner

T = TypeVar("T")

SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
    "w": 7 * 86400 * SECOND,
}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_NUMBER = re.compile(r"\d{1,10}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_LARGEST_ID = 2**32 - 2
"""2^32 - 1 is the kernel's "no change"."""


def duration(value: str | int) -> int:
    """Nanoseconds, of ``"1m30s"`` or whole seconds."""
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if parts and "".join(number + unit for number, unit in parts) == value:
            return sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    elif 0 <= value < 10**9:
        return value * SECOND
    raise UsageError(
        "bad-duration",
        f"{_shown(value)} is not a duration",
        hint='write it with units, as in "90s", "10m" or "1h30m"',
    )


def seconds(value: str | int) -> int:
    """Whole seconds, at least one."""
    return max(1, -(-duration(value) // SECOND))


def size(value: str | int) -> int:
    """Bytes, of ``"512M"`` (units of 1024, as docker reads them) or a number of bytes."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match:
            power = " kmgt".index(match[2].lower() or " ")
            found = int(float(match[1]) * 1024**power)
            if 0 < found < 2**63:
                return found
    elif 0 < value < 2**63:
        return value
    raise UsageError(
        "bad-size", f"{_shown(value)} is not a size", hint='write it as in "512M" or "2G"'
    )


def mode(value: str | int, raw: str) -> Mode:
    """``raw`` is the value's text in the file, which alone tells ``0o755`` from ``755``."""
    if isinstance(value, int):
        if raw[:2] == "0o":
            if value <= 0o7777:
                return Mode(octal=value)
            raise UsageError(
                "bad-mode",
                f"the mode {raw} has more bits than there are",
                hint='write it as "0755" or as "u=rwX,go=rX"',
            )
        written = str(value) if re.fullmatch(r"[0-7]{3,4}", str(value)) else "0755"
        raise UsageError(
            "bad-mode",
            f"the mode {raw or value} is a decimal integer",
            hint=f'write it as a string, "{written.zfill(4)}", or as 0o{written.lstrip("0") or 0}',
        )
    if re.fullmatch(r"(?:0o?)?[0-7]{1,4}", value) and int(value.removeprefix("0o"), 8) <= 0o7777:
        return Mode(octal=int(value.removeprefix("0o"), 8))
    if value and all(_SYMBOLIC.fullmatch(clause) for clause in value.split(",")):
        return Mode(symbolic=value)
    raise UsageError(
        "bad-mode", f'"{value}" is not a mode', hint='write it as "0755" or as "u=rwX,go=rX"'
    )


def owner(value: str) -> Owner:
    """A user without group takes the group of the same number, or (a name) its own group: ``group`` is then empty."""
    user, colon, group = value.partition(":")
    first = _identity(user)
    second = _identity(group) if colon else (first if isinstance(first, int) else "")
    if first is None or second is None:
        raise UsageError(
            "bad-owner",
            f'"{value}" is not an owner',
            hint='write it as "uid:gid", as in "1000:1000"',
        )
    return Owner(first, second)


def has_names(value: Owner) -> bool:
    return isinstance(value.user, str) or isinstance(value.group, str)


def _identity(text: str) -> int | str | None:
    if text == "root":
        return 0
    if _NUMBER.fullmatch(text):
        return int(text) if int(text) <= _LARGEST_ID else None
    return text if _USER.fullmatch(text) else None


def ports(value: int | str) -> tuple[str, ...]:
    """``"8080/tcp"`` for each port of a range."""
    match = _PORT.fullmatch(str(value))
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if 0 < first <= last <= 65535:
            return tuple(f"{port}/{match[3] or 'tcp'}" for port in range(first, last + 1))
    raise UsageError(
        "bad-port",
        f"{_shown(value)} is not a port",
        hint='write 8080, "8080/udp" or "8000-8010/tcp"',
    )


def source_path(value: str) -> str:
    """Relative to the workspace, normalized, ``.`` for the root itself."""
    if value.startswith("/"):
        raise UsageError(
            "absolute-source",
            f'"{value}" is absolute: what a build reads must lie in the workspace',
            hint="write it relative to the folder of the Buildfile, or copy the file there",
        )
    parts = _parts(value)
    if parts is None:
        raise UsageError(
            "escaping-source",
            f'"{value}" leads out of the workspace',
            hint="what a build reads must lie in the folder of the Buildfile, or below it",
        )
    return "/".join(parts) or "."


def source_glob(value: str) -> str:
    """Relative to what is selected from."""
    path = value.removeprefix("!")
    if path.startswith("/"):
        raise UsageError(
            "absolute-source",
            f'"{value}" is absolute, and globs are relative to what is selected from',
            hint=f'write "{path.lstrip("/")}"',
        )
    if not path or ".." in path.split("/"):
        raise UsageError(
            "escaping-source",
            f'"{value}" leads out of what is selected from',
            hint="a glob selects below that: take the .. out, or select from the folder above",
        )
    return value


def image_path(value: str, what: str = "a path in the image") -> str:
    """Absolute, normalized; a trailing slash is kept."""
    if not value.startswith("/"):
        raise UsageError(
            "relative-destination",
            f'"{value}" is relative, and {what} begins with /',
            hint=f'write "/{value.removeprefix("./")}"' if value else "",
        )
    parts = _parts(value[1:])
    if parts is None:
        raise UsageError(
            "escaping-destination",
            f'"{value}" leads out of the root',
            hint=f'write "/{"/".join(part for part in value.split("/") if part not in ("", "..", "."))}"',
        )
    path = "/" + "/".join(parts)
    return path + "/" if value.endswith("/") and parts else path


def _parts(path: str) -> list[str] | None:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def glob_in_image(value: str) -> str:
    """A glob over paths of a layer: begins with ``/``, or with ``**`` for any folder."""
    if value.startswith(("/", "**/")):
        return value
    raise UsageError(
        "relative-glob",
        f'"{value}" is relative, and paths of a layer begin with /',
        hint=f'write "/{value}", or "**/{value}" for any folder',
    )


def variable_name(value: str) -> str:
    if value and "=" not in value and "\0" not in value:
        return value
    raise UsageError(
        "bad-env-name",
        f'"{value}" cannot be the name of an environment variable',
        hint="write env = { NAME = \"VALUE\" }; a name has no '='",
    )


def each(parse: Callable[[str], T], values: Iterable[str]) -> tuple[T, ...]:
    return tuple(parse(value) for value in values)


def _shown(value: str | int) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
