"""Which flags does an instruction take, and with what values?

``--name=value`` before the arguments; yes-or-no flags may leave the value out; a flag stands once, but for those that
are lists. ``--mount`` holds CSV: ``key=value`` fields, one of them in quotes if it has a comma.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import Final

from buildgraph.dockerfile.instructions import MountFlag, MountOption
from buildgraph.dockerfile.source import Lines, Source
from buildgraph.dockerfile.split import Flag
from buildgraph.errors import UsageError
from buildgraph.spec.problems import mean, near


class Kind(Enum):
    TEXT = auto()
    TEXTS = auto()
    YES_NO = auto()


_COPY: Final = {
    "chown": Kind.TEXT,
    "chmod": Kind.TEXT,
    "link": Kind.YES_NO,
    "exclude": Kind.TEXTS,
}
FLAGS: Final = {
    "FROM": {"platform": Kind.TEXT},
    "RUN": {
        "mount": Kind.TEXTS,
        "network": Kind.TEXT,
        "security": Kind.TEXT,
        "device": Kind.TEXTS,
    },
    "COPY": {**_COPY, "from": Kind.TEXT, "parents": Kind.YES_NO},
    "ADD": {
        **_COPY,
        "checksum": Kind.TEXT,
        "keep-git-dir": Kind.YES_NO,
        "unpack": Kind.YES_NO,
    },
    "HEALTHCHECK": {
        "interval": Kind.TEXT,
        "timeout": Kind.TEXT,
        "start-period": Kind.TEXT,
        "start-interval": Kind.TEXT,
        "retries": Kind.TEXT,
    },
}
_NONE: Final[dict[str, Kind]] = {}

NETWORKS: Final = ("default", "none", "host")
SECURITIES: Final = ("sandbox", "insecure")
MOUNT_TYPES: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
MOUNT_KEYS: Final = (
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "id",
    "sharing",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
)
_ALONE: Final = frozenset(("readonly", "ro", "readwrite", "rw", "required"))
_SHARINGS: Final = ("shared", "private", "locked")


class Flags:
    """The flags of one instruction, each checked against what the instruction takes."""

    __slots__ = ("_found", "_known", "_line_at", "_source", "_where")

    def __init__(
        self,
        keyword: str,
        flags: Sequence[Flag],
        source: Source,
        where: Lines,
        line_at: Callable[[int], int],
    ) -> None:
        """Raises :class:`UsageError`: ``unknown-flag``, ``duplicate-flag``, ``bad-flag-value``."""
        self._source, self._where, self._line_at = source, where, line_at
        self._known = FLAGS.get(keyword, _NONE)
        self._found: dict[str, list[Flag]] = {}
        for flag in flags:
            self._take(flag, keyword)

    def _take(self, flag: Flag, keyword: str) -> None:
        kind = self._known.get(flag.name)
        if kind is None:
            raise self._error(
                "unknown-flag",
                f"{keyword} has no flag --{flag.name}",
                mean([f"--{name}" for name in near(flag.name, self._known)])
                or _these(f"--{name}" for name in self._known),
            )
        if flag.name in self._found and kind is not Kind.TEXTS:
            message = f"the flag --{flag.name} stands here twice"
            raise self._error("duplicate-flag", message, "remove one of them")
        if kind is Kind.YES_NO:
            if flag.value is not None and flag.value.lower() not in ("true", "false"):
                message = f"--{flag.name} is true or false, not '{flag.value}'"
                raise self._error("bad-flag-value", message, f"write --{flag.name} alone for true")
        elif flag.value is None:
            message = f"the flag --{flag.name} has no value"
            raise self._error("bad-flag-value", message, f"write --{flag.name}=…")
        self._found.setdefault(flag.name, []).append(flag)

    def text(self, name: str) -> str:
        return self._found[name][0].value or "" if name in self._found else ""

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(flag.value or "" for flag in self._found.get(name, ()))

    def yes(self, name: str) -> bool | None:
        """None where the flag is not given."""
        if name not in self._found:
            return None
        return (self._found[name][0].value or "true").lower() == "true"

    def choice(self, name: str, options: Sequence[str]) -> str:
        """One of ``options``; empty where the flag is not given."""
        value = self.text(name)
        if name in self._found and value not in options:
            hint = mean(near(value, options)) or _these(options)
            raise self._error("bad-flag-value", f"--{name} cannot be '{value}'", hint)
        return value

    def mounts(self) -> tuple[MountFlag, ...]:
        return tuple(self._mount(flag) for flag in self._found.get("mount", ()))

    def _mount(self, flag: Flag) -> MountFlag:
        fields = csv(flag.value or "")
        if fields is None:
            raise self._error(
                "bad-mount",
                f"--mount={flag.value} is no list of key=value",
                "a field with a comma stands in quotes, which the flag must quote as well",
            )
        options = tuple(self._option(field) for field in fields)
        return MountFlag(options, self._line_at(flag.offset))

    def _option(self, field: str) -> MountOption:
        name, equals, value = field.partition("=")
        key = name.lower()
        if key not in MOUNT_KEYS:
            raise self._error(
                "unknown-mount-key",
                f"--mount has no key '{name}' (in '{field}')",
                mean(near(key, MOUNT_KEYS)) or _these(MOUNT_KEYS),
            )
        if not equals and key not in _ALONE:
            message = f"'{field}' in --mount has no value"
            raise self._error("bad-mount", message, f"write {key}=…")
        if key == "from" and "$" in value[:-1]:
            raise self._error(
                "variable-in-from",
                f"variables are not expanded in from={value}",
                "give a stage that name: FROM ${…} AS name; then from=name",
            )
        if "$" not in value:
            self._check_value(key, value)
        return MountOption(key, value if equals else None)

    def _check_value(self, key: str, value: str) -> None:
        options = {"type": MOUNT_TYPES, "sharing": _SHARINGS}.get(key)
        if options and value.lower() not in options:
            raise self._error(
                "bad-mount",
                f"--mount has no {key} '{value}'",
                mean(near(value, options)) or _these(options),
            )

    def _error(self, code: str, message: str, hint: str) -> UsageError:
        return self._source.error(self._where, code, message, hint=hint)


def csv(line: str) -> list[str] | None:
    """The fields of one line (RFC 4180), or None where quotes stand in the wrong place."""
    fields, at = [], 0
    while True:
        if line.startswith('"', at):
            end = at + 1
            while (end := line.find('"', end)) >= 0 and line.startswith('""', end):
                end += 2
            if end < 0 or line[end + 1 : end + 2] not in ("", ","):
                return None
            fields.append(line[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = line.find(",", at)
            end = len(line) if end < 0 else end
            if '"' in line[at:end]:
                return None
            fields.append(line[at:end])
            at = end
        if at >= len(line):
            return fields
        at += 1


def _these(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"there are {listed}" if listed else "it takes no flags"
