"""``build``: what is needed is decided, run, assembled and published."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from buildgraph.build.ahead import pack_ahead, sync_ahead
from buildgraph.build.blame import blamed
from buildgraph.build.choosing import check_rebuild, choose
from buildgraph.build.demands import check_demands
from buildgraph.build.elsewhere import cache_urls, distrusting, look_elsewhere, sent
from buildgraph.build.expecting import expect
from buildgraph.build.foresee import foreseen
from buildgraph.build.mistakes import joined
from buildgraph.build.nodes import Nodes
from buildgraph.build.products import Product, products
from buildgraph.build.publish import metadata_of, publish, write_documents
from buildgraph.build.request import ImageResult, Pushed, Request, Summary
from buildgraph.build.resting import facts_of, kept_of
from buildgraph.build.session import Session, open_session
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, DroppedError, LayerLostError
from buildgraph.events import BuildFinished, BuildStarted, ImageFinished, Observer, Warned
from buildgraph.execute.admission import Claim, Node
from buildgraph.execute.local import drive
from buildgraph.execute.ops_image import codec_of
from buildgraph.execute.scheduler import Scheduler
from buildgraph.execute.waiting import Waiting
from buildgraph.graph.graph import BuildGraph, ImageTarget
from buildgraph.graph.step import (
    BaseStep,
    ContextFiles,
    RunStep,
    StepId,
    files_of,
    inputs_of,
)
from buildgraph.registry.stopping import StoppedError

_COUNTED = ("executed", "reused", "cutoff", "failed", "skipped")


def build(request: Request, observer: Observer) -> Summary:
    """Raises what makes the whole build impossible; what single targets lack is in the summary's ``failures``.

    A build that met a damaged blob, which is gone then, or a layer that nobody has any more, begins again without it.
    """
    start = time.monotonic()
    lost: frozenset[Digest] = frozenset()
    dropped: set[str] = set()
    while True:
        try:
            with open_session(request, observer, pins="written") as session:
                session.lost = lost
                with distrusting(session), session.written:
                    return _build(session, start)
        except LayerLostError as error:
            if error.digest in lost:
                raise
            if error.code == "layer-lost":  # else it never was anywhere: only its record was kept
                observer(Warned(error.code, f"{error.message}; what made it runs again"))
            lost |= {Digest(error.digest)}
        except DroppedError as error:
            if error.digest in dropped:
                raise
            dropped.add(error.digest)


def _build(session: Session, start: float) -> Summary:
    graph = session.workspace.graph
    request = session.request
    targets = choose(graph, request.targets)
    check_rebuild(graph, request.rebuild)
    images = graph.chosen_images(targets)
    check_demands(request, targets, graph.families)
    if request.push:
        from buildgraph.build.release import check_names

        check_names(session, targets)
    steps = graph.needed(targets, checks=not request.no_checks)
    if urls := cache_urls(session):
        from buildgraph.build.caches import Shared

        session.shared = Shared.open(session, urls, images)
    prepare(session, steps, images)
    _keep_bases(session, images)
    seconds = _learned(session, steps)
    session.observer(
        BuildStarted(
            tuple(target.partition(":")[2] for target in targets),
            sum(not isinstance(graph.steps[step], BaseStep) for step in steps),
            sum(seconds.values()) or None,
        )
    )
    jobs = request.jobs or (os.cpu_count() or 1) + 2
    needs = _needs(graph, steps, images)
    nodes = Nodes(session, int(time.time()), seconds)
    failures = drive(
        Scheduler(
            tuple(needs),
            needs,
            jobs=jobs,
            keep_going=request.keep_going,
            seconds=seconds,
            claims=_claims(graph, steps),
            memory=request.memory,
        ),
        jobs=jobs,
        look=nodes.look,
        work=nodes.work,
        skipped=nodes.skipped,
        cancelled=session.cancelled,
        failed=session.failed,
    )
    _meet(session, nodes, seconds)
    errors = _errors(failures)
    for error in errors:
        if isinstance(error, DroppedError):
            raise error
    if session.shared is not None:
        session.shared.sending.keep_dirs(steps)
    return _finish(session, nodes, targets, images, errors, start)


def prepare(session: Session, steps: Sequence[StepId], images: Sequence[ImageTarget]) -> None:
    """Scan and hash the context, compute the StepKeys, and look them all up."""
    pack_ahead(session, steps, images)
    tell_mistakes(session, steps, images)
    sync_ahead(session)
    session.lookups.look_up(steps)
    for image in images:
        if not image.squash:
            session.stacks.codecs.update(dict.fromkeys(image.stack, codec_of(image)))
    if session.shared is not None:
        look_elsewhere(session, session.shared, steps)
    expect(session, steps, images)


def tell_mistakes(session: Session, steps: Sequence[StepId], images: Sequence[ImageTarget]) -> None:
    """Read the files that steps select. Raises all that is wrong with them, before anything is run."""
    problems: list[BuildgraphError] = []
    try:
        scan(session, steps)
    except BuildgraphError as error:
        problems.append(error)
    problems += foreseen(session, steps, images)
    if problems:
        raise joined(problems)


def _keep_bases(session: Session, images: Sequence[ImageTarget]) -> None:
    """Have the blobs of local bases for the images while commands run, not after them.

    What goes wrong here is met again, and told, when the images are made.
    """
    if not session.bases.expected:
        return
    graph = session.workspace.graph
    bases = [
        one for image in images for s in image.stack if isinstance(one := graph.steps[s], BaseStep)
    ]
    for step in dict.fromkeys(base.id for base in bases):
        for layer in session.bases.layers[step]:
            session.meanwhile.append(partial(session.bases.blob, step, layer.diff_id))


def scan(session: Session, steps: Sequence[StepId]) -> None:
    """Find and hash the files of the context that the steps select. Raises all that is wrong with them, together."""
    graph = session.workspace.graph
    files = [f for step in steps for f in files_of(graph.steps[step])]
    try:
        session.selections.prefetch([f for f in files if isinstance(f, ContextFiles)])
    except BuildgraphError as error:
        raise blamed(session, steps, error) from error
    session.workspace.cache.save()


def _learned(session: Session, steps: Sequence[StepId]) -> dict[Node, float]:
    """Seconds that each step took when it last ran."""
    names = {session.lookups.history.name(step): Node(step) for step in steps}
    known = session.store.records.durations(names)
    return {names[name]: seconds for name, seconds in known.items()}


def _meet(session: Session, nodes: Nodes, seconds: Mapping[Node, float]) -> None:
    """Remember of steps that only others made what their results are: the next change is compared with that."""
    records, history = session.store.records, session.lookups.history
    outcomes = nodes.progress.outcomes
    found = [s for s in outcomes if outcomes[s] == "reused" and Node(s) not in seconds]
    new = [step for step in found if records.last(history.name(step)) is None]
    if not new:
        return
    with records.batch():
        for step in new:
            key = session.stacks.placed.settled[step].action
            records.remember(
                history.name(step),
                {"decision": "reuse", "document": key, "time": int(time.time())},
            )


def _needs(
    graph: BuildGraph, steps: Sequence[StepId], images: Sequence[ImageTarget]
) -> dict[Node, list[Node]]:
    """Every node with its inputs, inputs first."""
    needs = {Node(s): [Node(i) for i in inputs_of(graph.steps[s])] for s in steps}
    for image in images:
        needs[Node(f"image:{image.name}")] = [Node(step) for step in image.stack]
    return needs


def _claims(graph: BuildGraph, steps: Sequence[StepId]) -> dict[Node, Claim]:
    found = {}
    for step_id in steps:
        step = graph.steps[step_id]
        if isinstance(step, RunStep) and (step.pool or step.memory):
            found[Node(step_id)] = Claim(step.pool, step.memory or 0)
    return found


def _errors(failures: Mapping[Node, BaseException]) -> tuple[BuildgraphError, ...]:
    """What a user is told; anything else than our own errors is a bug and is raised."""
    errors = []
    for error in failures.values():
        if isinstance(error, LayerLostError):
            raise error
        if isinstance(error, BuildgraphError):
            errors.append(error)
        elif not isinstance(error, StoppedError):
            raise error
    return tuple(errors)


def _finish(
    session: Session,
    nodes: Nodes,
    targets: tuple[str, ...],
    images: Sequence[ImageTarget],
    errors: tuple[BuildgraphError, ...],
    start: float,
) -> Summary:
    done = nodes.progress.images
    errors += sent(session)
    made = {i.name: done[i.name] for i in images if i.name in done and _checked(session, i)}
    ready = products(session, targets, made)
    results: tuple[ImageResult, ...] = ()
    if not errors or session.request.keep_going:
        results = publish(session, ready, _settled(session, targets, ready))
    pushed, errors = _push(session, ready, errors)
    moved = {"uploaded": pushed.uploaded, "mounted": pushed.mounted} if pushed else {}
    if session.shared is not None:
        moved["uploaded"] = moved.get("uploaded", 0) + session.shared.sending.sent
    for image in results:
        session.observer(
            ImageFinished(image.target, image.digest, image.size, image.new_bytes, image.tags)
        )
    counts = Counter(nodes.progress.outcomes.values())
    steps = {name: counts.get(name, 0) for name in _COUNTED}  # type: ignore[call-overload]
    seconds = time.monotonic() - start
    named = ready if results else ()
    metadata = metadata_of(session, named, steps, moved, seconds)
    if not errors:
        session.snapshots.settle()
    write_documents(session, metadata, () if errors else results)
    session.observer(BuildFinished(not errors, seconds, steps, errors[0].message if errors else ""))
    facts, kept = facts_of(session), kept_of(session, ready)
    return Summary(not errors, metadata, results, errors, facts, kept, pushed)


def _settled(session: Session, targets: Sequence[str], ready: Sequence[Product]) -> list[str]:
    """The targets that there is something to write of: images, and steps on every platform."""
    images = {f"image:{product.target}" for product in ready}
    settled, members = session.stacks.placed.settled, session.workspace.graph.members
    return [t for t in targets if t in images or all(StepId(m) in settled for m in members(t))]


def _push(
    session: Session,
    ready: Sequence[Product],
    errors: tuple[BuildgraphError, ...],
) -> tuple[Pushed | None, tuple[BuildgraphError, ...]]:
    """What was pushed, and all that went wrong so far. A build that failed pushes only with ``each``."""
    asked = session.request.push
    if not asked or not ready or (errors and asked != "each"):
        return None, errors
    from buildgraph.build.release import push

    try:
        with Waiting(session.observer, "push", "asks registries and sends what they lack"):
            return push(session, ready), errors
    except (DroppedError, LayerLostError):
        raise
    except BuildgraphError as error:
        return None, (*errors, error)


def _checked(session: Session, image: ImageTarget) -> bool:
    if session.request.no_checks:
        return True
    return all(check in session.stacks.placed.settled for check in image.checks)
