"""Is a Buildfile right? All that can be told without a network: no registry is asked, nothing is pinned.

What rests on an image of a registry that is not known here is not in the graph; the files that it takes from the
context are looked for all the same.
"""

from collections.abc import Iterator
from functools import partial

from buildgraph.build.authorities import check_authority
from buildgraph.build.build import tell_mistakes
from buildgraph.build.mistakes import joined, selections
from buildgraph.build.request import Request
from buildgraph.build.session import Session, open_session
from buildgraph.errors import BuildgraphError
from buildgraph.events import Event, Warned
from buildgraph.store.reading import reading


def check(request: Request) -> list[str]:
    """Warnings; mistakes are raised, all together."""
    warnings: list[str] = []

    def keep(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.message)

    with open_session(request, keep, opener=reading, want="known") as session:
        workspace = session.workspace
        problems = list(workspace.bases.absent.values())
        for find in (
            partial(check_authority, workspace.model.workspace, workspace.root),
            partial(
                tell_mistakes,
                session,
                workspace.graph.order(),
                tuple(workspace.graph.images.values()),
            ),
        ):
            try:
                find()
            except BuildgraphError as error:
                problems.append(error)
        problems += _missing(session)
        if problems:
            raise joined(problems)
        return [*warnings, *_unknown(session)]


def _missing(session: Session) -> Iterator[BuildgraphError]:
    """What is wrong with the files of steps that are not in the graph."""
    steps = session.workspace.model.steps
    for ref in session.workspace.unknown:
        if ref.kind != "step":
            continue
        for selection, where in selections(steps[ref.name]):
            try:
                session.context.prefetch([selection])
            except BuildgraphError as error:
                error.where = error.where or where
                yield error


def _unknown(session: Session) -> Iterator[str]:
    workspace = session.workspace
    for name, base in workspace.model.bases.items():
        if name not in workspace.bases and name not in workspace.bases.absent:
            yield (
                f"{base.where}: nothing is known here of {base.reference}: what stands on the base {name} was checked "
                "without its config; buildgraph lock pins it"
            )
