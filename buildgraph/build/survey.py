"""Questions about a workspace that run nothing: plan, why, graph, ls, query, check; and what locks it."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from buildgraph.build import locking
from buildgraph.build.choosing import check_rebuild, choose, names_of, targets_of
from buildgraph.build.deciding import Decided, decided, some
from buildgraph.build.request import Request
from buildgraph.build.session import Pins, Session, open_session
from buildgraph.build.sidecar import fill
from buildgraph.errors import UsageError
from buildgraph.events import Event, Observer
from buildgraph.execute.bases import BaseLayers
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.query import Relations
from buildgraph.graph.step import (
    Step,
    StepId,
    inputs_of,
    kind_of,
)
from buildgraph.plan.explain import explain
from buildgraph.plan.plan import Decision, Execute, Reuse, Wait
from buildgraph.spec.model import Base, Model, Ref
from buildgraph.spec.part import inputs
from buildgraph.store.reading import reading
from buildgraph.values import dataclass, replace

Question = Literal["deps", "rdeps", "path"]


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class GraphNode:
    """``state`` is a plan's decision, empty for bases, images and groups."""

    id: str
    kind: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class GraphView:
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str], ...]


def _quiet(_event: Event) -> None:
    """For who does not want to know what takes time."""


def plan(request: Request, observer: Observer = _quiet) -> Mapping[str, Any]:
    """The document of ``plan --json``, schema 1. Frozen, it refuses what the lock lacks; it never pins."""
    pins: Pins = "written" if request.frozen else "resolved"
    with open_session(request, observer, opener=reading, pins=pins) as session:
        graph = session.workspace.graph
        targets = choose(graph, request.targets)
        check_rebuild(graph, request.rebuild)
        steps = graph.needed(targets, checks=not request.no_checks)
        found = decided(session, steps)
        return {
            "schema": 1,
            "steps": [_planned(session, graph.steps[step], found) for step in found.steps],
            "targets": [target.partition(":")[2] for target in targets],
        }


def _planned(session: Session, step: Step, found: Decided) -> dict[str, str]:
    decision = found.steps[step.id]
    word, reason = found.words(step.id)
    key = decision.key if isinstance(decision, Reuse | Execute) else session.lookups.keys[step.id]
    planned = {
        "id": _bare(step.id),
        "kind": kind_of(step),
        "decision": word,
        "reason": reason,
        "key": key,
    }
    title = _title(session, step)
    return {**planned, "title": title} if title else planned


def _title(session: Session, step: Step) -> str:
    """The instruction of a Dockerfile; other steps have none."""
    table = session.workspace.model.steps.get(_bare(step.id))
    return table.title if table else ""


def why(
    request: Request, name: str, against: str | None, observer: Observer = _quiet
) -> Mapping[str, Any]:
    """The last decision about a step, or about all steps of a target; ``text`` is for people."""
    request = replace(request, targets=(name,))
    with open_session(request, observer, opener=reading) as session:
        graph = session.workspace.graph
        targets = choose(graph, (name,))
        steps = graph.needed(targets, checks=False)
        decisions = decided(session, steps)
        if len(targets) == 1 and targets[0] in graph.steps:
            step = graph.steps[StepId(targets[0])]
            return _why_step(session, step, decisions, against)
        if against is not None:
            raise UsageError(
                "against-several",
                f"--against compares one step, and {name!r} has {len(steps)}",
                hint=f"name one of them: {some(steps)}",
            )
        text, found = [], []
        for step_id in decisions.steps:
            told = _why_step(session, graph.steps[step_id], decisions, None)
            found.append(told)
            text += told["text"]
        return {"schema": 1, "name": name, "steps": found, "text": text}


def _why_step(
    session: Session, step: Step, decisions: Decided, against: str | None
) -> dict[str, Any]:
    last = session.store.records.last(session.lookups.history.name(step.id))
    name = _bare(step.id)
    word, reason = decisions.words(step.id)
    called = _title(session, step) or kind_of(step)
    text = [f"{name} ({called}): {'would run now' if word == 'execute' else word}"]
    if reason:
        text[0] += f": {reason}"
    told: dict[str, Any] = {
        "schema": 1,
        "step": name,
        "decision": word,
        "reason": reason,
        "last": last,
    }
    if against is not None:
        changes = _against(session, step, decisions.steps[step.id], against)
        told["changes"] = changes
        text += [f"  {_shown(change)}" for change in changes] or [
            "  nothing differs from that record"
        ]
    elif last is not None and last["decision"] == "reuse":
        text.append(
            f"  it never ran here: its result was there on {_time(last)} (record {_record(last)})"
        )
    elif last is not None:
        text.append(f"  it last ran {_time(last)} (record {_record(last)}): {last['reason']!s}")
        lines = _recorded_changes(last)
        text += [f"    {line}" for line in lines if line != last["reason"]]
    else:
        text.append("  it was never built here")
    told["text"] = text
    return told


def _recorded_changes(entry: Mapping[str, Any]) -> list[str]:
    changes = entry.get("changes")
    rows = changes if isinstance(changes, list) else []
    return [_shown(row) for row in rows]


def _shown(change: Sequence[str]) -> str:
    part, before, after = change
    return f"{part}: {before or 'nothing'} → {after or 'nothing'}"


def _time(entry: Mapping[str, Any]) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(str(entry["time"]))))


def _record(entry: Mapping[str, Any]) -> str:
    return str(entry["document"])[:12]


def _against(
    session: Session, step: Step, now: Decision, against: str
) -> list[tuple[str, str, str]]:
    """The current key document against a recorded one."""
    if isinstance(now, Wait):
        raise UsageError(
            "why-waits", f"{_bare(step.id)} waits for its inputs: its key is not known yet"
        )
    _, after = session.lookups.action(step)
    before = session.lookups.recorded(against)
    if before is None:
        past = session.store.records.history(session.lookups.history.name(step.id))
        known = ", ".join(dict.fromkeys(f"{_record(e)} ({_time(e)})" for e in past))
        raise UsageError(
            "unknown-record",
            f"no record, or more than one, begins with {against!r}",
            hint=f"{_bare(step.id)} has {known or 'none'}; buildgraph cache ls lists those of all steps",
        )
    changes = explain(step, before, session.lookups.plain(after), session.lookups.read_tree)
    return [(c.component, c.before, c.after) for c in changes]


def graph(request: Request, observer: Observer = _quiet) -> GraphView:
    """Nodes in an order in which they can be built."""
    with open_session(request, observer, opener=reading) as session:
        made = session.workspace.graph
        targets = choose(made, request.targets)
        steps = made.needed(targets)
        known = decided(session, steps)
        nodes = []
        for step_id in steps:
            state, reason = known.words(step_id) if step_id in known.steps else ("", "")
            nodes.append(GraphNode(_bare(step_id), kind_of(made.steps[step_id]), state, reason))
        needs = {step: inputs_of(made.steps[step]) for step in steps}
        edges = [(_bare(i), _bare(s)) for s in steps for i in _nearest(needs[s], needs)]
        for image in made.chosen_images(targets):
            nodes.append(GraphNode(image.name, "image", "", ""))
            below = dict.fromkeys((*_nearest(image.stack, needs), *image.checks))
            edges += [(_bare(s), image.name) for s in below]
        for target in (target for target in targets if target in made.families):
            kind, _, name = target.partition(":")
            nodes.append(GraphNode(name, kind, "", ""))
            edges += [(_bare(member), name) for member in made.members(target)]
        return GraphView(tuple(nodes), tuple(edges))


def _nearest(below: Sequence[StepId], needs: Mapping[StepId, Sequence[StepId]]) -> list[StepId]:
    """Those of a stack that nothing else in it needs: lines from each step to all below it would say less."""
    covered: set[StepId] = set()
    found = []
    for step in reversed(below):
        if step not in covered:
            found.append(step)
            covered.update(needs[step])
    return found[::-1]


def query(
    request: Request, question: Question, names: tuple[str, ...], *, direct: bool
) -> tuple[str, ...]:
    """``deps``, ``rdeps`` of one name, or the ``path`` between two; names without their kind. Asks no registry."""
    with open_session(request, _quiet, opener=reading, want="known") as session:
        model = session.workspace.model
        relations = Relations(
            {str(ref): map(str, below) for ref, below in inputs(model).items()},
            {f"image:{i.name}": map(str, i.checks) for i in model.images.values()},
        )
        chosen = [_node(model, relations, name) for name in names]
        match question:
            case "deps":
                found = relations.deps(chosen[0], direct=direct)
            case "rdeps":
                found = relations.rdeps(chosen[0], direct=direct)
            case "path":
                found = relations.path(chosen[0], chosen[1])
        return tuple(map(_bare, found))


def _node(model: Model, relations: Relations, name: str) -> str:
    for node in relations.nodes:
        if name in (node, _bare(node)):
            return node
    return choose(names_of(model), (name,))[0]


def list_targets(request: Request) -> list[Target]:
    """Asks no registry: what rests on an image that is not known here is listed all the same."""
    with open_session(request, _quiet, opener=reading, want="known") as session:
        model, made = session.workspace.model, session.workspace.graph
        nodes = (*(f"base:{b}" for b in model.bases), *targets_of(made))
        known = [_target(made, model.bases, node) for node in nodes]
        elsewhere = [_elsewhere(made, target) for target in made.skipped]
        return [
            *known,
            *elsewhere,
            *(_unknown(model, ref) for ref in session.workspace.unknown),
        ]


def _target(made: BuildGraph, bases: Mapping[str, Base], node: str) -> Target:
    kind, _, name = node.partition(":")
    if kind == "step":
        kind = kind_of(made.steps[StepId(made.members(node)[0])])
    description = made.descriptions.get(node, "")
    if kind == "base":
        base = bases[name]
        description = f"{base.kind} {base.path or base.reference}".strip()
    return Target(name, kind, description)


def _elsewhere(made: BuildGraph, target: str) -> Target:
    """A step that is for other platforms alone."""
    skipped = made.skipped[target]
    only = f"only for {', '.join(map(str, skipped.platforms))}"
    description = made.descriptions.get(target, "")
    return Target(
        target.partition(":")[2],
        skipped.kind,
        f"{description} ({only})" if description else only,
    )


def _unknown(model: Model, ref: Ref) -> Target:
    """What is no part of the graph, by what is written of it."""
    if ref.kind == "image":
        return Target(ref.name, "image", model.images[ref.name].description)
    step = model.steps[ref.name]
    return Target(ref.name, type(step.kind).__name__.lower(), step.description)


def lock(
    request: Request, names: Sequence[str] | None, *, update: bool, observer: Observer = _quiet
) -> list[str]:
    """Writes Buildfile.lock, and its sidecar where there is one; what changed, one line each."""
    opener = partial(reading, make=True)
    with open_session(request, observer, opener=opener, pins="left", want="known") as session:
        workspace, told = locking.lock(
            request, session.workspace, session.store, session.observer, names, update=update
        )
        if workspace.sidecar.there:
            opened = workspace.opener.open_all(
                workspace.model, workspace.lock, workspace.model.bases, resolve=False
            )
            opened.check()
            bases = BaseLayers(opened.layers, session.store, session.snapshots, workspace.sidecar)
            fill(workspace.sidecar, workspace.lock, bases)
        return told


def _bare(node: str) -> str:
    return node.partition(":")[2]
