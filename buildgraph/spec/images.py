"""An ``[image.NAME]`` table → an image of the model: its config, tags, and what is published of it."""

import re
from collections.abc import Callable
from typing import Any

from buildgraph.errors import UsageError
from buildgraph.names import Platform, Reference
from buildgraph.spec.dockerimages import lower_dockerfile
from buildgraph.spec.expand import Holed
from buildgraph.spec.model import Healthcheck, Image, ImageConfig, Text, Unset
from buildgraph.spec.source import Source
from buildgraph.spec.values import duration, image_path, ports, variable_name

_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9]*(?:[+-]\d{1,2})?|\d{1,2}")
_LEVELS = {"gzip": (0, 9), "zstd": (1, 22)}
KEY = "${key}"
"""Stays in a tag: the image's content key is known only once its inputs are."""

_NO_NAME = "wrong.invalid/repository"
"""Stands for a repository that is wrong: what is appended to it may be wrong by itself."""

Holds = Callable[[object, tuple[str | int, ...]], bool | None]
"""Does a condition hold? None, and reported at the path, if nobody can tell."""


def lower_image(source: Source, holds: Holds) -> Image | None:
    table = source.table
    on = source.refs("on", ("base", "step", "image"))
    dockerfile = lower_dockerfile(source)
    if dockerfile is None and not table.get("on") and not source.is_broken("on"):
        source.wrong(
            "no-root",
            "an image needs a stack",
            hint='add on = ["NAME"]; [base.NAME] with scratch = true is the empty one',
        )
    compression = table.get("compression", "gzip")
    return Image(
        name=str(source.path[-1]),
        on=on,
        where=source.where,
        config=_config(source),
        description=table.get("description", ""),
        annotations=dict(table.get("annotations", {})),
        tags=_tags(source, holds),
        platforms=tuple(dict.fromkeys(source.each("platforms", Platform.parse))),
        checks=source.refs("checks", ("step",)),
        squash=table.get("squash", False),
        compression=compression,
        level=_level(source, compression),
        merge_strict=table.get("merge") == "strict",
        fields=source.fields(),
        source=dockerfile,
        late=source.late,
    )


def _level(source: Source, compression: str) -> int | None:
    level: int | None = source.table.get("level")
    if level is None or source.is_broken("compression"):
        return level
    if compression not in _LEVELS:
        told = f'compression = "{compression}" has no level'
        source.wrong("wrong-value", told, "level", hint="leave the level out")
        return level
    low, high = _LEVELS[compression]
    if not low <= level <= high:
        message = f"the level is {level}; for {compression} it is {low} to {high}"
        source.wrong(
            "wrong-value", message, "level", hint=f"write {low} to {high}, or leave it out"
        )
    return level


def _tags(source: Source, holds: Holds) -> tuple[str, ...]:
    repository: str = source.table.get("repository", "")
    late = isinstance(repository, Holed)
    if not late and source.get("repository", _repository) is None and "repository" in source:
        repository = _NO_NAME
    tags: dict[str, None] = {}
    for at, value in source.items("tags"):
        text: Any = value
        held: bool | None = True
        if isinstance(value, dict):
            if "tag" not in value and (*source.path, "tags", at, "tag") not in source.broken:
                hint = 'write { tag = ":latest", when = "…" }'
                source.wrong(
                    "missing-key", "a tag with a condition needs 'tag'", "tags", at, hint=hint
                )
            text = value.get("tag")
            held = holds(value.get("when"), (*source.path, "tags", at, "when"))
            if source.inside("tags", at).is_broken("when"):
                held = None
        if isinstance(text, Holed) or (late and text and text.startswith(":")):
            continue
        if held is not False and (tag := _tag(source, at, text, repository)) and held:
            tags[tag] = None
    return tuple(tag for tag in tags if not tag.startswith(_NO_NAME))


def _tag(source: Source, at: int, text: Any, repository: str) -> str | None:
    if text == "":
        source.wrong("bad-reference", "a tag is empty", "tags", at, hint='write it as ":TAG"')
    return source.parse(text, lambda name: _whole(name, repository), "tags", at) if text else None


def _repository(value: str) -> str:
    found = Reference.parse(value)
    if found.tag or found.digest:
        raise UsageError(
            "bad-reference",
            f"the repository {value!r} has a tag",
            hint='write it in tags, as ":TAG"',
        )
    return value


def _whole(value: str, repository: str) -> str:
    if value.startswith(":"):
        if not repository:
            raise UsageError(
                "no-repository",
                f'the tag "{value}" is to be appended to a repository, and there is none',
                hint='add repository = "host/name", or write the whole reference',
            )
        value = repository + value
    found = Reference.parse(value.replace(KEY, "0" * 64))
    if found.digest:
        raise UsageError(
            "bad-reference",
            f"{value!r} has a digest, which a tag cannot have",
            hint="leave the digest out: it is known only when the image is made",
        )
    return value if found.tag else f"{value}:latest"


def _config(source: Source) -> ImageConfig:
    table = source.table
    for name in table.get("env", {}):
        source.parse(name, variable_name, "env", name)
    return ImageConfig(
        user=source.filled("user"),
        workdir=source.absolute("workdir", "workdir"),
        env=source.texts("env"),
        entrypoint=source.command("entrypoint"),
        cmd=source.command("cmd"),
        expose=tuple(
            dict.fromkeys(port for found in source.each("expose", ports) for port in found)
        ),
        volumes=tuple(dict.fromkeys(source.each("volumes", _volume))),
        labels=source.texts("labels"),
        stop_signal=source.get("stop-signal", _signal) or "",
        shell=source.shell(),
        onbuild=tuple(table.get("onbuild", ())),
        healthcheck=_healthcheck(source) if "healthcheck" in table else None,
        unset=_unset(source),
    )


def _volume(value: str) -> str:
    return image_path(value, "a volume")


def _signal(value: str) -> str:
    if _SIGNAL.fullmatch(value):
        return value
    raise UsageError("wrong-value", f'"{value}" is not a signal', hint='write it as "SIGTERM"')


def _unset(source: Source) -> Unset:
    table: dict[str, Any] = source.table.get("unset", {})
    flags = {key for key, value in table.items() if value is True}
    for key, value in table.items():
        if value is False:
            told = f"unset.{key} is true or left out"
            source.wrong("wrong-value", told, "unset", key, hint="leave it out")
    return Unset(
        env=tuple(table.get("env", ())),
        labels=tuple(table.get("labels", ())),
        volumes=tuple(table.get("volumes", ())),
        expose=tuple(table.get("expose", ())),
        flags=frozenset(flags),
    )


def _healthcheck(source: Source) -> Healthcheck:
    item = source.inside("healthcheck")
    times = {
        key: item.get(key, duration) or 0
        for key in ("interval", "timeout", "start-period", "start-interval")
    }
    for key, value in times.items():
        if 0 < value < 1_000_000:
            told = f"{key} is shorter than a millisecond"
            item.wrong("wrong-value", told, key, hint='write it with units, as in "30s"')
    retries = item.table.get("retries", 0)
    if retries < 0:
        item.wrong("wrong-value", f"retries is {retries}", "retries", hint="write 1 or more")
    test = _test(item)
    if not test and "test" not in item and not item.table:
        item.wrong("missing-key", "healthcheck is empty", hint='add test = ["CMD", "…"]')
    return Healthcheck(
        test=test,
        interval=times["interval"],
        timeout=times["timeout"],
        start_period=times["start-period"],
        start_interval=times["start-interval"],
        retries=retries,
    )


def _test(item: Source) -> tuple[Text, ...]:
    test = item.command("test")
    if test is None:
        return ()
    if isinstance(test, Text):
        if test.parts == ("NONE",):
            return (test,)
        return (Text(("CMD-SHELL",)), test)
    first = test[0].parts if test else ()
    if not test or (first in (("CMD",), ("CMD-SHELL",)) and len(test) == 1):
        hint = 'write test = ["CMD", "PROGRAM"], or a string for the shell'
        item.wrong("empty-command", "there is nothing to test with", "test", hint=hint)
        return ()
    if first == ("NONE",) and len(test) > 1:
        hint = 'write ["NONE"] to switch an inherited test off'
        item.wrong("wrong-value", '"NONE" stands alone', "test", hint=hint)
    if first == ("CMD-SHELL",) and len(test) > 2:
        hint = 'write the whole command as one string, or begin with "CMD"'
        item.wrong("wrong-value", '"CMD-SHELL" is followed by one string', "test", hint=hint)
    known = first in (("CMD",), ("CMD-SHELL",), ("NONE",))
    return test if known else (Text(("CMD",)), *test)
