"""Which targets does a name on the command line mean? In a graph, or in a model before there is one."""

from collections.abc import Iterable
from fnmatch import filter as matching_names
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

from buildgraph.errors import UsageError
from buildgraph.graph.graph import BuildGraph, Family
from buildgraph.graph.step import StepId
from buildgraph.names import unlabelled
from buildgraph.spec.model import Model, Ref

if TYPE_CHECKING:
    from buildgraph.spec.model import RefKind


def choose(graph: BuildGraph, names: Iterable[str]) -> tuple[str, ...]:
    """Targets as nodes (``image:x``, ``step:x``), groups flattened; globs allowed; () means the default ones.

    Raises UsageError ``unknown-target`` with near names.
    """
    names = tuple(names)
    if not names:
        images = (t for t in targets_of(graph) if t.startswith("image:"))
        chosen: Iterable[str] = graph.default or images
        return graph.flatten(chosen)
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_named(graph, name)))
    return graph.flatten(found)


def _named(graph: BuildGraph, name: str) -> list[str]:
    known = targets_of(graph)
    members = (member for target in graph.families for member in graph.members(target))
    short = {target.partition(":")[2]: target for target in (*members, *known)}
    if name in short:
        return [short[name]]
    if name in short.values():
        return [name]
    matching = [target for target in known if fnmatchcase(target.partition(":")[2], name)]
    if matching:
        return matching
    if name in graph.off:
        raise UsageError(
            "switched-off",
            f"{name!r} is switched off by its condition",
            where=graph.off[name],
            hint="--set gives a variable that the condition asks for its value",
        )
    for target in matching_names(graph.skipped, f"step:{name.removeprefix('step:')}"):
        skipped = graph.skipped[target]
        raise UsageError(
            "step-platform",
            f"the step {target.partition(':')[2]} is only for {', '.join(map(str, skipped.platforms))}, "
            "and takes no part in this build",
            hint=f"build it with --platform {skipped.platforms[0]}; groups and the stacks of images leave it out",
            where=skipped.where,
        )
    if name.removeprefix("base:") in graph.bases:
        raise UsageError(
            "not-a-target",
            f"{name!r} is a base, and a target is a step, an image or a group",
            hint="name an image or a step that stands on it; buildgraph ls lists them",
        )
    raise UsageError("unknown-target", f"there is no target {name!r}", hint=_near(name, short))


def check_rebuild(graph: BuildGraph, patterns: Iterable[str]) -> None:
    """Raises UsageError ``unknown-step`` for what is no step of the workspace, needed by the targets or not."""
    steps = [step.partition(":")[2] for step in graph.steps if step.startswith("step:")]
    steps += map(unlabelled, tuple(steps))
    steps += [target.partition(":")[2] for target in graph.skipped]
    for pattern in patterns:
        name = pattern.removeprefix("step:")
        if not any(fnmatchcase(step, name) for step in steps):
            raise UsageError(
                "unknown-step", f"--rebuild {pattern!r} names no step", hint=_near(name, steps)
            )


def _near(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "list them with: buildgraph ls"


def targets_of(graph: BuildGraph) -> tuple[str, ...]:
    """Everything that can be named on the command line, in the Buildfile's order.

    What several platforms have each its own stands there once, by the name that was written.
    """
    steps = [step for step in graph.steps if step.startswith("step:")]
    images = [f"image:{name}" for name in graph.images]
    every = (*images, *steps)
    if graph.families:
        family = {m: target for target in graph.families for m in graph.members(target)}
        every = tuple(dict.fromkeys(family.get(target, target) for target in every))
    return (*every, *(f"group:{name}" for name in graph.groups))


def chosen(model: Model, targets: Iterable[str]) -> list[Ref]:
    """Targets of a model, chosen as :func:`choose` does."""
    found = (target.partition(":") for target in choose(names_of(model), targets))
    return [Ref(cast("RefKind", kind), name) for kind, _, name in found]


def names_of(model: Model) -> BuildGraph:
    """A graph of nothing but names, to choose targets from."""
    nothing: Any = None
    return BuildGraph(
        steps=dict.fromkeys((StepId(f"step:{name}") for name in model.steps), nothing),
        images=dict.fromkeys(model.images, nothing),
        groups={g.name: tuple(map(str, g.targets)) for g in model.groups.values()},
        default=tuple(map(str, model.workspace.default)),
        families={
            str(ref): Family(tuple((platform, str(one)) for platform, one in several))
            for ref, several in model.variants.items()
            if ref.kind != "base"
        },
        off=model.off,
        bases=frozenset(model.bases),
    )
