"""A ``[step.NAME]`` table → a step of the model. One kind in a step, and only the keys of that kind."""

from typing import Any, Literal, assert_never

from buildgraph.names import Platform
from buildgraph.spec.defaults import RUN_ONLY
from buildgraph.spec.model import (
    Copy,
    CopyItem,
    Normalize,
    Packages,
    Run,
    Script,
    Step,
    Text,
    Write,
    WriteItem,
)
from buildgraph.spec.mounts import lower_mounts
from buildgraph.spec.problems import either
from buildgraph.spec.source import Source
from buildgraph.spec.values import has_names, image_path, source_path

Kind = Literal["run", "copy", "write", "packages", "fetch", "git"]
KIND_OF: dict[str, Kind] = {
    "run": "run",
    "copy": "copy",
    "write": "write",
    "dirs": "write",
    "links": "write",
    "packages": "packages",
    "fetch": "fetch",
    "git": "git",
}
_WRITTEN = ("run", "copy", "write", "dirs", "links", "packages")
Made = Run | Copy | Write | Packages


def _kinds(source: Source) -> tuple[Kind, ...]:
    """The step's kind; none or several are reported."""
    keys = source.written(KIND_OF)
    kinds = list(dict.fromkeys(KIND_OF[key] for key in keys))
    name = source.path[-1]
    if len(kinds) > 1:
        source.wrong(
            "two-kinds",
            f"step {name!r} has two kinds: {' and '.join(keys)}",
            keys[-1],
            hint="make two steps of it; each can stand on the other",
        )
    elif not kinds and not source.has_riddles():
        source.wrong(
            "no-kind",
            f"step {name!r} does nothing",
            hint=f"give it one of {either(list(_WRITTEN), quote='')}",
        )
    return tuple(kinds)


def lower_step(source: Source) -> Step | None:
    """None where a mistake leaves nothing to build; every mistake is reported."""
    table = source.table
    kinds = _kinds(source)
    if kinds and "run" not in kinds:
        for key in sorted(RUN_ONLY.intersection(table)):
            message = f"{key!r} belongs to run steps; this is a {kinds[0]} step"
            hint = "leave it out, or give it to a run step that stands on this one"
            source.wrong("unknown-key", message, key, hint=hint)
    on = source.refs("on", ("base", "step", "image"))
    if "run" in kinds and not table.get("on") and not source.is_broken("on"):
        source.wrong("no-root", "a run step needs a stack to run in", hint='add on = ["NAME"]')
    if kinds == ("packages",) and "on" in table:
        hint = 'install them in a run step: network = "host", run = "apt-get update && apt-get install -y …"'
        source.wrong("unsupported", "packages with 'on' is not supported yet", "on", hint=hint)
    several = [_made(source, kind) for kind in kinds]
    made = next((made for made in several if made), None)
    if not kinds:
        _made(source, "run")  # nearly all keys are those of a run step
    normalize = Normalize(**table.get("normalize", {}))
    _check_normalize(source, normalize, made)
    platforms = source.each("platforms", Platform.parse)
    if made is None:
        return None
    return Step(
        name=str(source.path[-1]),
        kind=made,
        where=source.where,
        on=on,
        description=table.get("description", ""),
        platforms=platforms,
        platform_build=table.get("platform") == "build",
        normalize=normalize,
        merge_strict=table.get("merge") == "strict",
        fields=source.fields(),
        late=source.late,
    )


def _made(source: Source, kind: Kind) -> Made | None:
    match kind:
        case "run":
            return _run(source)
        case "copy":
            return _copy(source)
        case "write":
            return _write(source)
        case "packages":
            return _packages(source.inside("packages"))
        case "fetch" | "git":
            return None  # not supported yet, which is told
        case _:
            assert_never(kind)


def _check_normalize(source: Source, normalize: Normalize, made: object) -> None:
    context = isinstance(made, Copy) and any(item.source.ref is None for item in made.items)
    if normalize.mode == "keep" and context:
        source.wrong(
            "keep-from-context",
            "modes of files of the workspace cannot be kept: they differ from checkout to checkout",
            "normalize",
            hint="leave normalize.mode out, and give the copy a mode where 0644 and 0755 are wrong",
        )


def _run(source: Source) -> Run:
    from buildgraph.spec import runs

    command = _command(source)
    mounts = lower_mounts(source)
    return runs.lower(source, command or Text(()), mounts)  # without one that is told already


def _command(source: Source) -> Text | tuple[Text, ...] | Script | None:
    value: Any = source.table.get("run")
    if isinstance(value, dict):
        script = source.inside("run")
        file = script.get("file", source_path)
        if "file" not in script:
            hint = 'write run = { file = "build.sh" }'
            script.wrong("missing-key", "run = { … } needs 'file'", hint=hint)
        args = script.command("args")
        return Script(file, args if isinstance(args, tuple) else ()) if file else None
    command = source.command("run")
    if "run" in source.table and not value:
        source.wrong("empty-command", "there is nothing to run", "run", hint='run = "COMMAND"')
        return None
    return command


def _copy(source: Source) -> Copy | None:
    if "copy" not in source.table:
        return None
    items = [_copy_item(source, at) for at, _ in source.items("copy")]
    if not source.table["copy"]:
        hint = 'write copy = [{ from = "src", to = "/…" }]'
        source.wrong("empty-copy", "there is nothing to copy", "copy", hint=hint)
    return Copy(tuple(item for item in items if item))


def _copy_item(source: Source, at: int) -> CopyItem | None:
    item = source.inside("copy", at)
    selection = item.selection("from", ".")
    to = item.get("to", lambda value: image_path(value, "a destination"))
    if "to" not in item:
        item.wrong("missing-key", "a copy needs a destination", hint='add to = "/…"')
    mode, owner = item.mode(), item.owner()
    if owner and has_names(owner) and not source.table.get("on"):
        _names_need_on(item)
    if to is None and item.is_broken("to"):
        to = "/"  # what it takes is known all the same
    if selection is None or to is None:
        return None
    follow = bool(item.table.get("follow", False))
    return CopyItem(selection, to, item.where, owner, mode, follow)


def _names_need_on(item: Source) -> None:
    item.wrong(
        "owner-names",
        f"the owner {item.table['owner']!r} is a name, and names differ from image to image",
        "owner",
        hint="write numbers, or say with 'on' in which stack to look the name up",
    )


def _write(source: Source) -> Write:
    items: list[WriteItem] = []
    paths: dict[str, str] = {}
    for key in ("write", "dirs", "links"):
        for name in source.table.get(key, {}):
            path = source.parse(name, lambda value: image_path(value, "a destination"), key, name)
            path = path.rstrip("/") if path and key == "dirs" else path
            item = _write_item(source, key, name, path or "")
            if path is None:
                continue
            if not path or path.endswith("/"):
                what = "a directory" if path else "the root itself"
                hint = f'name a path below it: "{path or "/"}NAME"'
                source.wrong("bad-destination", f"{name!r} is {what}", key, name, hint=hint)
            elif path in paths:
                told = f"{path!r} stands in '{paths[path]}' too"
                source.wrong("duplicate-path", told, key, name, hint="keep one of them")
            else:
                paths[path] = key
                items.append(item)
    return Write(tuple(items))


def _write_item(source: Source, key: str, name: str, path: str) -> WriteItem:
    value = source.table[key][name]
    if key == "links":
        if not value:
            hint = f'write "{name}" = "TARGET"'
            source.wrong(
                "bad-destination", f"the link {name!r} has no target", key, name, hint=hint
            )
        return WriteItem("link", path, value)
    if isinstance(value, str):
        return WriteItem("file", path, value)
    item = source.inside(key, name)
    mode, owner = item.mode(), item.numbers()
    if key == "dirs":
        return WriteItem("dir", path, "", mode, owner)
    if "text" not in item:
        hint = f'write "{name}" = {{ text = "…" }}'
        item.wrong("missing-key", f"the file {name!r} needs 'text'", hint=hint)
    return WriteItem("file", path, value.get("text", ""), mode, owner)


def _packages(source: Source) -> Packages | None:
    from buildgraph.spec.runs import package

    table = source.table
    if table.get("mode") == "direct":
        told = 'packages with mode = "direct" is not supported yet'
        source.wrong("unsupported", told, "mode", hint="leave mode out")
    if "packages" not in source and not source.broken:
        told = "packages = { … } needs 'packages', an array of names"
        source.wrong("missing-key", told, hint='write packages = { packages = ["curl"] }')
    return Packages(
        packages=tuple(dict.fromkeys(source.each("packages", package))),
        suite=table.get("suite", ""),
        mirror=table.get("mirror", ""),
        keyring=table.get("keyring", ""),
    )
