"""All that is wrong with the files of steps, as far as it can be told before anything is run, together."""

from collections.abc import Iterator, Sequence

from buildgraph.build.lookups import is_alone, unpacks
from buildgraph.build.session import Session
from buildgraph.errors import BuildgraphError, ContentError, UsageError, blaming
from buildgraph.execute.foresight import Foresight
from buildgraph.graph.graph import ImageTarget
from buildgraph.graph.step import BaseStep, RecipeStep, RunStep, Stack, StepId, name_of


def foreseen(
    session: Session, steps: Sequence[StepId], images: Sequence[ImageTarget]
) -> list[BuildgraphError]:
    """Once the context is scanned. What is found out of recipes here is not looked for again."""
    graph, found = session.workspace.graph, list[BuildgraphError]()
    for step_id in steps:
        step = graph.steps[step_id]
        if isinstance(step, RecipeStep) and is_alone(step) and not unpacks(step):
            try:
                with blaming(step.where):
                    session.lookups.recipe(step_id)
            except (UsageError, ContentError) as error:
                found.append(error)
    placed, bases = session.stacks.placed, session.bases
    if not placed.recipes:
        return found

    def has_dirs(base: BaseStep) -> bool:
        return all(map(bases.has_dirs, base.layers))

    foresight = Foresight(graph, placed, placed.recipes, has_dirs)
    return [*found, *foresight.clashes(_stacks(session, steps, images))]


def _stacks(
    session: Session, steps: Sequence[StepId], images: Sequence[ImageTarget]
) -> Iterator[tuple[str, Stack]]:
    """What is below another step of a run step's stack is mostly that one's own stack, and looked at there."""
    recipes = session.stacks.placed.recipes
    for image in images:
        yield f"image {image.name}", image.stack
    for step_id in steps:
        step = session.workspace.graph.steps[step_id]
        if isinstance(step, RunStep) and step.stack and step.stack[-1] in recipes:
            yield name_of(step_id), step.stack
