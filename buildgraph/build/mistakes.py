"""Everything that is wrong in a workspace, in one run: each phase tells what it finds, and the next looks at the rest.

What is wrong with the language leaves the tables that are sound; from them images of Dockerfiles are converted, bases
opened (no registry is asked any more) and configs computed. The files that steps take are looked for wherever it is
certain which ones these are, whatever else is wrong with the step. Costs nothing where nothing is wrong.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildgraph.build.choosing import chosen
from buildgraph.build.request import Request, Want
from buildgraph.errors import BuildgraphError, ErrorGroup, Location, UsageError
from buildgraph.fs.context import Context
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.scan import Selection
from buildgraph.spec import model as m
from buildgraph.spec.mistakes import MistakesError
from buildgraph.spec.part import below, without_tables
from buildgraph.spec.problems import in_order


class Mistakes:
    """Those that were found so far, by phases that went on."""

    def __init__(self) -> None:
        self._found: list[BuildgraphError] = []
        self._models: list[m.Model] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, error: BuildgraphError) -> None:
        self._found.append(error)

    def sound(self, found: MistakesError) -> m.Model:
        """The tables that have no mistakes and rest on none that has."""
        self.add(found)
        self._models.append(found.model)
        return without_tables(found.model, found.faulty)

    def all(self, request: Request, model: m.Model, root: Path, want: Want) -> BuildgraphError:
        """With what is wrong with files; ``model`` is what the last phase looked at."""
        models = self._models or [model]
        files = [one for model in models for one in _files(request, model, root, want)]
        return joined([*self._found, *_bases(self._models, root), *files])


def joined(errors: Iterable[BuildgraphError]) -> BuildgraphError:
    """All of them as one, in the order of the lines, each once; one alone is itself.

    Whatever else went wrong: with a mistake in what a person wrote it is that (exit 2).
    """
    errors = list(errors)
    if len(errors) == 1:
        return errors[0]
    each = (one for e in errors for one in (e.errors if isinstance(e, ErrorGroup) else (e,)))
    distinct = {(str(one.where), one.code, one.message): one for one in each}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    group = ErrorGroup(in_order(distinct.values()))
    if any(isinstance(one, UsageError) for one in group.errors):
        group.exit_code = UsageError.exit_code
    return group


def with_files(
    error: BuildgraphError, request: Request, model: m.Model, root: Path, want: Want
) -> BuildgraphError:
    """``error``, and what is wrong with the files that steps take."""
    return joined([error, *_files(request, model, root, want)])


def _bases(models: Iterable[m.Model], root: Path) -> Iterator[BuildgraphError]:
    """Those that are not there, whatever else is wrong with their tables."""
    from buildgraph.build.localbases import missing

    for base in (base for model in models for base in model.bases.values()):
        if error := missing(base, root):
            yield error


def _files(request: Request, model: m.Model, root: Path, want: Want) -> Iterator[BuildgraphError]:
    """Of what the targets rest on, as a build looks at no more. No file is read."""
    home = os.path.relpath(os.path.realpath(request.home), os.path.realpath(root))
    hidden = (b".git", *([] if home.startswith("..") else [os.fsencode(home)]))
    nothing_known = StatCache(Path(os.devnull), root, {})
    context = Context(root, nothing_known, model.workspace.ignore, hidden)
    for step in _asked(request, model, want):
        for selection, where in selections(step):
            try:
                context.survey(selection)
            except BuildgraphError as error:
                error.where = error.where or where
                yield error


def _asked(request: Request, model: m.Model, want: Want) -> Iterable[m.Step]:
    if want != "targets":
        return model.steps.values()
    try:
        found = below(model, chosen(model, request.targets))
    except UsageError:
        return model.steps.values()
    return [step for step in model.steps.values() if m.Ref("step", step.name) in found]


def selections(step: m.Step) -> Iterator[tuple[Selection, Location]]:
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
