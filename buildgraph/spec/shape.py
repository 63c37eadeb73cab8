"""Which keys may a table have, and what is each? The shapes of the language, one class per table.

Decoding is strict (no ``"1"`` for 1) and refuses unknown keys. What pydantic cannot say (one kind in a step, a
destination is absolute, a name exists) is checked after decoding, where it can be said well. pydantic is imported for
the first table about which something has to be said; one that ``fits`` is taken as it is.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter
    from pydantic_core import CoreSchema

_STRICT: "Final[ConfigDict]" = {"extra": "forbid", "strict": True}


class AsItIs:
    """A string that may hold ``${env.NAME}`` (a ``Holed``, which pydantic's own ``str`` would flatten)."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, _handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(source)


class ByForm:
    """A union whose member is chosen by what is written: text, array or table. Mistakes are then told of one member."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        members = {_form(member): handler.generate_schema(member) for member in get_args(source)}
        return core_schema.tagged_union_schema(members, _written_as)


def _form(member: Any) -> str:
    if getattr(member, "__origin__", None) is list:
        return "array"
    return "table" if hasattr(member, "__total__") else "text"


def _written_as(value: object) -> str | None:
    match value:
        case str():
            return "text"
        case list():
            return "array"
        case dict():
            return "table"
        case _:
            return None


Str = Annotated[str, AsItIs]

ArgvOrShell = Annotated[Str | list[Str], ByForm]
Duration = str | int
Size = str | int
ModeValue = str | int


class ScriptTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    file: str
    args: list[Str]


Command = Annotated[Str | list[Str] | ScriptTable, ByForm]

CopyTable = TypedDict(
    "CopyTable",
    {
        "from": str,
        "path": str,
        "include": list[str],
        "exclude": list[str],
        "to": str,
        "owner": str,
        "mode": ModeValue,
        "follow": bool,
    },
    total=False,
)


class FileTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    text: str
    mode: ModeValue
    owner: str


class DirTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    mode: ModeValue
    owner: str


FileValue = Annotated[str | FileTable, ByForm]


class PackagesTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    packages: list[str]
    suite: str
    mode: Literal["full", "direct"]
    mirror: str
    keyring: str


class MountTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    bind: str
    cache: str
    tmpfs: bool
    secret: str
    ssh: str
    include: list[str]
    exclude: list[str]
    path: str
    target: Str
    write: bool
    sharing: Literal["shared", "private", "locked"]
    size: Size
    env: str
    required: bool
    owner: str
    mode: ModeValue


class RetryTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    attempts: int
    on: list[str | int]


ReuseTable = TypedDict("ReuseTable", {"max-age": Duration}, total=False)

ReuseValue = Annotated[Literal["always", "never"] | ReuseTable, ByForm]


class NormalizeTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    mode: Literal["git", "keep"]
    time: Literal["epoch", "keep"]


StepTable = TypedDict(
    "StepTable",
    {
        "description": str,
        "when": str,
        "on": list[str],
        "platforms": list[str],
        "platform": Literal["build"],
        "normalize": NormalizeTable,
        "merge": Literal["strict", "warn"],
        "run": Command,
        "copy": list[CopyTable],
        "write": dict[str, FileValue],
        "dirs": dict[str, DirTable],
        "links": dict[str, str],
        "packages": PackagesTable,
        "env": dict[str, Str],
        "workdir": Str,
        "user": Str,
        "shell": list[str],
        "with": list[str],
        "network": Literal["none", "host", "private"],
        "mounts": list[MountTable],
        "outputs": list[str],
        "discard": list[str],
        "timeout": Duration,
        "retry": RetryTable,
        "cpus": float,
        "memory": Size,
        "pool": str,
        "reuse": ReuseValue,
        "hosts": dict[str, str],
    },
    total=False,
)

HealthcheckTable = TypedDict(
    "HealthcheckTable",
    {
        "test": ArgvOrShell,
        "interval": Duration,
        "timeout": Duration,
        "start-period": Duration,
        "start-interval": Duration,
        "retries": int,
    },
    total=False,
)


class UnsetTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    env: list[str]
    labels: list[str]
    volumes: list[str]
    expose: list[str]
    entrypoint: bool
    cmd: bool
    healthcheck: bool
    user: bool
    workdir: bool
    onbuild: bool


class TagTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tag: Str
    when: str


TagValue = Annotated[Str | TagTable, ByForm]

ImageTable = TypedDict(
    "ImageTable",
    {
        "description": str,
        "when": str,
        "on": list[str],
        "user": Str,
        "workdir": Str,
        "env": dict[str, Str],
        "entrypoint": ArgvOrShell,
        "cmd": ArgvOrShell,
        "expose": list[int | str],
        "volumes": list[str],
        "labels": dict[str, Str],
        "stop-signal": str,
        "shell": list[str],
        "onbuild": list[str],
        "healthcheck": HealthcheckTable,
        "unset": UnsetTable,
        "annotations": dict[str, str],
        "repository": Str,
        "tags": list[TagValue],
        "platforms": list[str],
        "checks": list[str],
        "squash": bool,
        "compression": Literal["gzip", "zstd", "none"],
        "level": int,
        "merge": Literal["strict", "warn"],
        "dockerfile": str,
        "context": str,
        "target": str,
        "args": dict[str, str],
        "contexts": dict[str, str],
    },
    total=False,
)


class BaseTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    image: str
    layout: str
    archive: str
    rootfs: str
    scratch: bool
    platform: str


class GroupTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    description: str
    when: str
    targets: list[str]


class SecretTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    file: str
    env: str


class VariableTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    default: str
    env: str
    description: str
    choices: list[str]


class WorkspaceTable(TypedDict, total=False):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    name: str
    default: list[str]
    platforms: list[str]
    ignore: list[str]
    epoch: Any
    ca: str
    cache: list[str]
    defaults: dict[str, Any]


for _table in (CopyTable, ReuseTable, StepTable, HealthcheckTable, ImageTable):
    # The functional form, for keys that are no identifiers, takes its configuration afterwards.
    setattr(_table, "__pydantic_config__", _STRICT)  # noqa: B010

VariableValue = Annotated[str | VariableTable, ByForm]

SHAPES: Final[dict[str, Any]] = {
    "workspace": WorkspaceTable,
    "vars": dict[str, VariableValue],
    "secret": SecretTable,
    "base": BaseTable,
    "step": StepTable,
    "image": ImageTable,
    "group": GroupTable,
}
"""By the word that opens the table's header."""

NOT_YET: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"fragment"}),
    "workspace": frozenset({"members"}),
    "step": frozenset(
        {"fetch", "git", "extends", "matrix", "exclude", "include", "override", "name"}
    ),
    "image": frozenset(
        {
            *("extends", "matrix", "exclude", "include", "override", "name"),
        }
    ),
    "group": frozenset({"extends", "matrix", "exclude", "include", "override", "name"}),
    "mount": frozenset({"rekey"}),
}
"""Keys of the language that this version refuses, so that nobody thinks they had an effect."""


@cache
def adapter(table: str) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(SHAPES[table])


@cache
def keys(table: str) -> frozenset[str]:
    """Every key that the language knows in ``[table.NAME]``, whether supported or not."""
    shape = SHAPES[table]
    known = frozenset(getattr(shape, "__annotations__", {}))
    return known | NOT_YET.get(table, frozenset())


def keys_below(table: str, place: Iterable[str | int]) -> frozenset[str]:
    """The keys of the table that stands at ``place`` inside ``[table.NAME]``; empty where they are free."""
    shape = SHAPES[table]
    for part in place:
        shape = _inner(shape, part)
    return frozenset(getattr(shape, "__annotations__", {}))


def _inner(shape: Any, part: str | int) -> Any:
    options = [shape, *_flat(shape)]
    for option in options:
        annotations = getattr(option, "__annotations__", {})
        if part in annotations:
            return next(
                (found for found in _flat(annotations[part]) if hasattr(found, "__annotations__")),
                annotations[part],
            )
    return next((found for found in _flat(shape) if hasattr(found, "__annotations__")), shape)


def _flat(shape: Any) -> list[Any]:
    """The alternatives and items inside unions, arrays and maps."""
    found: list[Any] = []
    for argument in get_args(shape):
        if argument in (AsItIs, ByForm):
            continue
        found += [argument, *_flat(argument)]
    return found
