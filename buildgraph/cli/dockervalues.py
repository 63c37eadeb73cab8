"""What docker's options say: each word as a value."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from buildgraph.cli.quantity import parse_pair
from buildgraph.errors import UsageError

if TYPE_CHECKING:
    from buildgraph.build.request import Annotation, Place
    from buildgraph.spec.docker import Limits

_PLACED = re.compile(r"([a-z,-]+)(?:\[([A-Za-z0-9_/-]+)\])?:(\S+)")
_PLACES = ("manifest", "index", "manifest-descriptor", "index-descriptor")


class Exported(NamedTuple):
    """What ``-o type=image`` and ``type=registry`` mean: ``outputs`` as they are written here, names, and a push."""

    outputs: tuple[str, ...]
    tags: tuple[str, ...]
    push: bool


def exported(outputs: Sequence[str]) -> Exported:
    found, tags, push = [], list[str](), False
    for text in outputs:
        fields = dict(part.partition("=")[::2] for part in next(csv.reader([text]), ()))
        kind = fields.pop("type", "")
        if kind not in ("image", "registry"):
            found.append(text)
            continue
        tags += filter(None, fields.pop("name", "").split(","))
        wanted = fields.pop("push", "false") == "true"
        push = push or wanted or kind == "registry"
        if fields.get("oci-mediatypes") == "true":
            del fields["oci-mediatypes"]
        found.append(",".join(("type=store", *(f"{n}={v}" for n, v in fields.items()))))
    return Exported(tuple(found), tuple(tags), push)


def arguments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those with a value."""
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(
                "bad-option-value",
                f"--build-arg {word!r} has no name",
                hint="write it as --build-arg NAME=VALUE, or --build-arg NAME for the environment's value",
            )
        if equals:
            yield name, value


def label(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name:
        raise UsageError(
            "bad-option-value", f"--label {word!r} has no name", hint="write --label NAME=VALUE"
        )
    return name, value


def annotations(word: str) -> "Iterator[Annotation]":
    """buildx's form: ``[PLACE[PLATFORM]:]NAME=VALUE``, several places with commas between."""
    from buildgraph.build.request import Annotation

    name, value = parse_pair("--annotation", word)
    match = _PLACED.fullmatch(name)
    places, platform, name = match.groups() if match else ("manifest", "", name)
    for place in places.split(","):
        if place not in _PLACES:
            raise UsageError(
                "bad-option-value",
                f"--annotation {word!r}: {place!r} is no place for annotations",
                hint=f"the places are {', '.join(_PLACES)}",
            )
        yield Annotation(cast("Place", place), platform or "", name, value)


def for_all(annotation: "Annotation") -> bool:
    return annotation.place == "manifest" and not annotation.platform


def host(word: str) -> tuple[str, str]:
    name, separator, address = word.partition("=" if "=" in word else ":")
    if not (name and separator and address):
        raise UsageError(
            "bad-option-value",
            f"--add-host {word!r} is not understood",
            hint="write it as --add-host NAME:ADDRESS",
        )
    return name, address.removeprefix("[").removesuffix("]")


def size(text: str, option: str = "--shm-size") -> int:
    """Docker's sizes: ``64m`` is 64 MiB."""
    from buildgraph.dockerfile.mounts import memory_size

    size = memory_size(text) if text else 0
    if size is None:
        raise UsageError(
            "bad-option-value", f"{option} {text!r} is no size", hint="write 64m or 1g"
        )
    return size


def limit(word: str) -> tuple[str, tuple[int, int]]:
    name, _, value = word.partition("=")
    soft, _, hard = value.partition(":")
    try:
        return name, (int(soft), int(hard or soft))
    except ValueError as error:
        raise UsageError(
            "bad-option-value",
            f"--ulimit {word!r} is not understood",
            hint="write it as --ulimit nofile=1024:2048",
        ) from error


_LIST = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
_PARENT = re.compile(r"/?[A-Za-z0-9_.:@-]+(?:/[A-Za-z0-9_.:@-]+)*/?")


def limits(given: Mapping[str, Any]) -> "Limits":
    """``memory`` is docker's, too, where it is given."""
    from buildgraph.spec.docker import Limits

    swap = given["memory_swap"]
    parent = _matched("--cgroup-parent", given["cgroup_parent"], _PARENT, "a group's path")
    if ".." in parent.split("/"):
        raise _bad("--cgroup-parent", parent, "leaves the root of all groups")
    return Limits(
        memory=size(given.get("memory") or "", "--memory"),
        memory_swap=-1 if swap == "-1" else size(swap, "--memory-swap"),
        cpu_period=_count("--cpu-period", given["cpu_period"]),
        cpu_quota=_count("--cpu-quota", given["cpu_quota"]),
        cpu_shares=_count("--cpu-shares", given["cpu_shares"]),
        cpuset_cpus=_matched("--cpuset-cpus", given["cpuset_cpus"], _LIST, "0-2,4"),
        cpuset_mems=_matched("--cpuset-mems", given["cpuset_mems"], _LIST, "0-1"),
        cgroup_parent=parent,
    )


def _count(option: str, text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise _bad(option, text, "is no number")
    return int(text or 0)


def _matched(option: str, text: str, pattern: re.Pattern[str], example: str) -> str:
    if text and not pattern.fullmatch(text):
        raise _bad(option, text, f"is nothing like {example}")
    return text


def _bad(option: str, text: str, why: str) -> UsageError:
    return UsageError("bad-option-value", f"{option} {text!r} {why}", hint="leave it out for none")
