"""A Dockerfile's COPY and ADD become steps of the graph, and so does what they fetch."""

from collections.abc import Callable

from buildgraph.errors import UsageError
from buildgraph.graph.step import DockerCopyStep, DockerFiles, Stack, StepId
from buildgraph.spec import model as m


def docker_copy(
    step_id: StepId,
    step: m.Step,
    copy: m.DockerCopy,
    names: Stack,
    stack_of: Callable[[m.Ref], Stack],
) -> DockerCopyStep:
    sources = tuple(_source(source, step, copy, stack_of) for source in copy.sources)
    unpack = copy.add if copy.unpack is None else copy.unpack
    return DockerCopyStep(
        step_id, sources, copy.to, copy.owner, copy.mode, copy.link, unpack, names, step.where
    )


def docker_names(owner: m.Owner | None) -> bool:
    """Whether names must be looked up: an empty group is the user's own, for a number the same number."""
    if owner is None:
        return False
    return isinstance(owner.user, str) or (isinstance(owner.group, str) and bool(owner.group))


def user_names(user: str) -> bool:
    """The same for ``user[:group]`` as USER has it."""
    return any(part and not (part.isascii() and part.isdigit()) for part in user.split(":"))


def _source(
    source: m.DockerSource | m.InlineFile | m.RemoteFile | m.GitTree,
    step: m.Step,
    copy: m.DockerCopy,
    stack_of: Callable[[m.Ref], Stack],
) -> DockerFiles | m.InlineFile:
    match source:
        case m.InlineFile():
            return source
        case m.DockerSource():
            stack = stack_of(source.ref) if source.ref else None
            name = str(source.ref) if source.ref else ""
            return DockerFiles(
                source.pattern, stack, source.context, copy.parents, copy.exclude, name
            )
        case m.RemoteFile() | m.GitTree():
            raise UsageError(
                "unsupported", f"ADD {source.url} is not supported yet", where=step.where
            )
