"""Is a Buildfile right? All that can be told without a network: no registry is asked, nothing is pinned.

What rests on an image of a registry that is not known here is not in the graph; the files that it takes from the
context are looked for all the same.
"""

from collections.abc import Iterator

from buildgraph.build.build import scan
from buildgraph.build.request import Request
from buildgraph.build.session import Session, open_session
from buildgraph.errors import BuildgraphError, ErrorGroup, Location
from buildgraph.events import Event, Warned
from buildgraph.fs.scan import Selection
from buildgraph.spec import model as m
from buildgraph.store.reading import reading


def check(request: Request) -> list[str]:
    """Warnings; mistakes are raised, all together."""
    warnings: list[str] = []

    def keep(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.message)

    with open_session(request, keep, opener=reading, want="known") as session:
        problems: list[BuildgraphError] = []
        try:
            scan(session, session.workspace.graph.order())
        except ErrorGroup as several:
            problems += several.errors
        except BuildgraphError as error:
            problems.append(error)
        problems += _missing(session)
        if problems:
            raise ErrorGroup(problems) if len(problems) > 1 else problems[0]
        return [*warnings, *_unknown(session)]


def _missing(session: Session) -> Iterator[BuildgraphError]:
    """What is wrong with the files of steps that are not in the graph."""
    steps = session.workspace.model.steps
    for ref in session.workspace.unknown:
        if ref.kind != "step":
            continue
        for selection, where in _selections(steps[ref.name]):
            try:
                session.context.prefetch([selection])
            except BuildgraphError as error:
                error.where = error.where or where
                yield error


def _selections(step: m.Step) -> Iterator[tuple[Selection, Location]]:
    """What it takes from the workspace's own files, each with the line that says so."""
    lines = step.fields
    match step.kind:
        case m.Copy(items=items):
            for item in items:
                yield from _own(item.source, item.where, follow=item.follow)
        case m.Run(command=command, mounts=mounts):
            if isinstance(command, m.Script):
                yield Selection(command.file), lines.get("run", step.where)
            for at, mount in enumerate(mounts):
                if isinstance(mount, m.BindMount) and not mount.inline:
                    yield from _own(mount.source, lines.get(f"mounts[{at}]", step.where))
        case _:
            return


def _own(
    source: m.Selection, where: Location, *, follow: bool = False
) -> Iterator[tuple[Selection, Location]]:
    if source.ref is None and not source.context:
        yield Selection(source.path, source.include, source.exclude, follow), where


def _unknown(session: Session) -> Iterator[str]:
    workspace = session.workspace
    for name, base in workspace.model.bases.items():
        if name not in workspace.bases:
            yield (
                f"{base.where}: nothing is known here of {base.reference}: what stands on the base {name} was checked "
                "without its config; buildgraph lock pins it"
            )
