"""What is wrong with the files that steps take from the context: all of it, each at its line of the Buildfile."""

from collections.abc import Iterator, Sequence

from buildgraph.build.mistakes import joined
from buildgraph.build.session import Session
from buildgraph.errors import BuildgraphError, Location
from buildgraph.graph.step import BindFiles, ContextFiles, CopyStep, RunStep, Step, StepId


def blamed(session: Session, steps: Sequence[StepId], error: BuildgraphError) -> BuildgraphError:
    """``error`` is what reading them together said; it is the answer if it went away meanwhile."""
    found: dict[tuple[str, str], BuildgraphError] = {}
    for step in (session.workspace.graph.steps[s] for s in steps):
        for files, where in _read(session, step):
            try:
                session.selections.prefetch([files])
            except BuildgraphError as one:
                one.where = one.where or where
                found.setdefault((str(one.where), one.message), one)
    return joined(found.values() or [error])


def _read(session: Session, step: Step) -> Iterator[tuple[ContextFiles, Location]]:
    for files, where in _placed(session, step):
        if isinstance(files, ContextFiles):
            yield files, where


def _placed(session: Session, step: Step) -> Iterator[tuple[object, Location]]:
    """Every selection of the step with the line that asks for it; no other kind of step selects any."""
    match step:
        case CopyStep():
            for part in step.parts:
                yield part.files, part.where
        case RunStep():
            table = session.workspace.model.steps.get(step.id.partition(":")[2])
            lines = table.fields if table else {}
            for at, mount in enumerate(step.mounts):
                if isinstance(mount, BindFiles) and mount.executable:
                    yield mount.files, lines.get("run", step.where)
                elif isinstance(mount, BindFiles):
                    yield mount.files, lines.get(f"mounts[{at}]", step.where)
        case _:
            return
