"""Does every stack hold together? No name needs itself, and what runs or ships stands on one root.

A base, and a ``packages`` step that stands on nothing, bring a root. A run step contributes its own stack and then
its layer, a copy or write step its one layer, an image its stack (BUILDFILE.md, "Flattening"). A stack under a run
step or image has one root, and its first entry brings it. Tools (``with``) that bring none lie over that of ``on``.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildgraph.spec.cycles import walk
from buildgraph.spec.model import (
    BindMount,
    CacheMount,
    Copy,
    DockerCopy,
    DockerSource,
    Group,
    Image,
    Model,
    Mount,
    Packages,
    Ref,
    Run,
    Selection,
    Step,
    Workdir,
    Write,
)
from buildgraph.spec.position import Path
from buildgraph.spec.problems import Problems


class _Roots(NamedTuple):
    """The roots that a stack brings, in order. ``first``: its first layer is one. None of it counts if not ``sure``."""

    names: tuple[str, ...] = ()
    first: bool = False
    sure: bool = True


_UNSURE = _Roots(sure=False)


def flatten(model: Model, on: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """The layers of a stack, bottom first, each once at its first place: bases and steps."""
    found: dict[Ref, None] = {}
    pending = list(reversed(on))
    entered: set[Ref] = set()
    while pending:
        ref = pending.pop()
        if ref in found:
            continue
        step = model.steps.get(ref.name) if ref.kind == "step" else None
        below: tuple[Ref, ...] = ()
        if ref.kind == "image":
            below = model.images[ref.name].on
        elif step is not None and isinstance(step.kind, Run):
            below = step.on
        if below and ref not in entered:
            entered.add(ref)
            pending.append(ref)
            pending += reversed(below)
        elif ref.kind in ("base", "step"):
            found[ref] = None
    return tuple(found)


def needs(table: Step | Image) -> Iterator[tuple[Ref, Path]]:
    """What a table cannot be made without, and the keys that say so. Checks of an image are not among it."""
    for at, ref in enumerate(table.on):
        yield ref, ("on", at)
    if isinstance(table, Image):
        if table.source is not None:
            for name, context in table.source.contexts.items():
                if isinstance(context, Ref):
                    yield context, ("contexts", name)
        return
    match table.kind:
        case Copy(items):
            for at, item in enumerate(items):
                if item.source.ref:
                    yield item.source.ref, ("copy", at)
        case Run(tools=tools, mounts=mounts):
            for at, ref in enumerate(tools):
                yield ref, ("with", at)
            for at, mount in enumerate(mounts):
                source = _source_of(mount)
                if source and source.ref:
                    yield source.ref, ("mounts", at)
        case DockerCopy(sources):
            for at, word in enumerate(sources):
                if isinstance(word, DockerSource) and word.ref:
                    yield word.ref, ("copy", at)
        case Write() | Packages() | Workdir():
            return


def _source_of(mount: Mount) -> Selection | None:
    match mount:
        case BindMount(source=source) | CacheMount(seed=source):
            return source
        case _:
            return None


def check(
    steps: Mapping[str, Step],
    images: Mapping[str, Image],
    groups: Mapping[str, Group],
    known: Mapping[str, Ref],
    unsure: set[str],
    problems: Problems,
) -> None:
    """``known`` are all names; those that could not be lowered, or are ``unsure``, leave what stands on them open.

    What is in a cycle becomes ``unsure``.
    """
    tables: dict[str, Step | Image] = {**steps, **images}
    edges = {name: [ref.name for ref, _ in needs(table)] for name, table in tables.items()}
    walked = walk(edges)
    for cycle in walked.cycles:
        _draw(cycle, tables, problems)
    for cycle in walk({n: [r.name for r in g.targets] for n, g in groups.items()}).cycles:
        path: Path = ("group", cycle[0], "targets")
        hint = "leave one of these names out"
        problems.add("cycle", f"groups that hold each other: {_path(cycle)}", path, hint=hint)
    unsure.update(name for cycle in walked.cycles for name in cycle)
    roots: dict[str, _Roots] = {}
    for name, ref in known.items():
        if ref.kind == "base":
            roots[name] = _Roots((name,), first=True)
    for name in walked.order:
        sure = name not in unsure
        roots[name] = _roots(tables[name], roots, problems) if sure else _UNSURE


def _path(cycle: tuple[str, ...]) -> str:
    return " → ".join([*cycle, cycle[0]])


def _draw(cycle: tuple[str, ...], tables: Mapping[str, Step | Image], problems: Problems) -> None:
    detail = []
    first: Path = ()
    for at, name in enumerate(cycle):
        table, following = tables[name], cycle[(at + 1) % len(cycle)]
        kind = "image" if isinstance(table, Image) else "step"
        keys = next(keys for ref, keys in needs(table) if ref.name == following)
        path: Path = (kind, name, *keys)
        line = problems.location((kind, name, keys[0])).line
        detail.append(f"{kind} {name} needs {following} (line {line}, {keys[0]!r})")
        first = first or path[:3]
    hint = "leave one of these names out; what several need goes into a step of its own"
    message = f"what needs itself can never be made: {_path(cycle)}"
    problems.add("cycle", message, first, detail=detail, hint=hint)


def _roots(table: Step | Image, known: Mapping[str, _Roots], problems: Problems) -> _Roots:
    path: Path = ("image" if isinstance(table, Image) else "step", table.name)
    if isinstance(table, Image) and table.source is not None:
        return _Roots((table.name,), first=True)
    if isinstance(table, Step):
        if isinstance(table.kind, Packages):
            return _Roots((table.name,), first=True)
        if not isinstance(table.kind, Run):
            return _Roots()
    on = [(ref, known.get(ref.name, _UNSURE)) for ref in table.on]
    tools = table.kind.tools if isinstance(table, Step) and isinstance(table.kind, Run) else ()
    entries = [(ref, known.get(ref.name, _UNSURE)) for ref in tools]
    rootless = not any(entry.names or not entry.sure for _, entry in entries)
    first = ("on", on) if rootless else ("with", entries)
    entries = on if rootless else entries + on
    if not on or not all(entry.sure for _, entry in entries):
        return _UNSURE
    names = tuple(dict.fromkeys(name for _, entry in entries for name in entry.names))
    if not names:
        _no_root(table, path, problems)
        return _UNSURE
    if len(names) > 1:
        _two_roots(table, path, entries, names, problems)
        return _UNSURE
    if not entries[0][1].first:
        _root_above(path, *first, names[0], problems)
        return _UNSURE
    return _Roots(tuple(dict.fromkeys(n for _, e in on for n in e.names)), first=on[0][1].first)


def _no_root(table: Step | Image, path: Path, problems: Problems) -> None:
    below = ", ".join(str(ref) for ref in table.on)
    if isinstance(table, Image):
        hint = "begin 'on' with a base; [base.NAME] with scratch = true is the empty one"
    else:
        hint = "begin 'on' with a base, or with what stands on one"
    problems.add(
        "no-root",
        f"{path[0]} {path[1]!r} has no root filesystem: nothing in its stack ({below}) stands on a base",
        (*path, "on"),
        hint=hint,
    )


def _root_above(
    path: Path, key: str, entries: list[tuple[Ref, _Roots]], root: str, problems: Problems
) -> None:
    """``entries`` are those of ``key``, where the whole stack begins."""
    above = entries[0][0]
    order = [root, *(ref.name for ref, _ in entries if ref.name != root)]
    quoted = ", ".join(f'"{name}"' for name in order)
    problems.add(
        "root-not-first",
        f"{path[0]} {path[1]!r} begins with {above}, and the root {root!r} would lie over it",
        (*path, key),
        hint=f"write the root first: {key} = [{quoted}]",
    )


def _two_roots(
    table: Step | Image,
    path: Path,
    entries: list[tuple[Ref, _Roots]],
    names: tuple[str, ...],
    problems: Problems,
) -> None:
    first, second = names[:2]
    below = next(ref for ref, entry in entries if first in entry.names)
    at, above = next((n, ref) for n, (ref, entry) in enumerate(entries) if second in entry.names)
    key, index = "on", at
    tools = len(entries) - len(table.on)
    if tools:
        key, index = ("with", at) if at < tools else ("on", at - tools)
    brought = "" if above.name == second else f" (brought by {above})"
    problems.add(
        "two-roots",
        f"{path[0]} {path[1]!r} has two roots: the whole of {second!r}{brought} would lie over {first!r}",
        (*path, key, index),
        detail=[f"{below} stands on {first!r}" if below.name != first else f"{below} is a root"],
        hint=f"stand on one of them, and take only the files that you need from the other, in a step of"
        f' its own: copy = [{{ from = "{above}", path = "/…", to = "/…" }}]',
    )
