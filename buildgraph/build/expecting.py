"""Which layers of bases will this build most likely need whole? They are unpacked, or kept, when they are first read.

A guess costs little where it is wrong: a layer that was not expected is read once more, one that was expected in vain
lies in the store.
"""

from collections.abc import Iterator, Sequence

from buildgraph.build.lookups import rules_for
from buildgraph.build.session import Session
from buildgraph.digest import Digest
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.step import BaseStep, StepId, inputs_of


def expect(session: Session, steps: Sequence[StepId], images: Sequence[ImageTarget]) -> None:
    """Once the StepKeys are looked up."""
    session.bases.expected.update(_mounted(session, steps))
    session.bases.wanted.update(_handed_on(session, images))


def _mounted(session: Session, steps: Sequence[StepId]) -> Iterator[Digest]:
    """What commands without a record mount, or what is copied from."""
    graph = session.workspace.graph
    rules = rules_for(session.request, 0)
    for step_id in steps:
        step = graph.steps[step_id]
        if isinstance(step, BaseStep):
            continue
        if rules.forced(step) is None and session.lookups.by_step(step_id) is not None:
            continue
        for source in inputs_of(step):
            below = graph.steps[source]
            if isinstance(below, BaseStep):
                yield from below.layers


def _handed_on(session: Session, images: Sequence[ImageTarget]) -> Iterator[Digest]:
    """What is written to outputs, or pushed to another registry than that it comes from."""
    written = any(output.type != "store" for output in session.request.outputs)
    if not (written or session.request.push):
        return
    for image in images:
        layers = [one for step in image.stack for one in session.bases.layers.get(step, ())]
        away = [layer for layer in layers if layer.place]
        if not away:
            continue
        hosts = _hosts(session, image) if session.request.push else frozenset()
        for layer in away:
            if written or hosts - {layer.place.partition("/")[0]}:
                yield layer.diff_id


def _hosts(session: Session, image: ImageTarget) -> frozenset[str]:
    from buildgraph.build.products import all_tags_of
    from buildgraph.names import Reference

    return frozenset(Reference.parse(tag).host for tag in all_tags_of(session, image))
