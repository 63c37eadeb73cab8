"""A Dockerfile's COPY and ADD become steps of the graph, and so does what they fetch."""

from collections.abc import Callable, Iterator

from buildgraph.digest import blake3_hex
from buildgraph.fs.gomatch import escaped
from buildgraph.graph.step import (
    DockerCopyStep,
    DockerFiles,
    FetchStep,
    GitStep,
    RemoteStep,
    Stack,
    StepId,
)
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.values import replace


def docker_copy(
    step_id: StepId,
    step: m.Step,
    copy: m.DockerCopy,
    names: Stack,
    stack_of: Callable[[m.Ref], Stack],
) -> DockerCopyStep:
    sources = tuple(_source(source, step, copy, stack_of) for source in copy.sources)
    return DockerCopyStep(
        step_id,
        sources,
        copy.to,
        copy.owner,
        copy.mode,
        copy.link,
        names,
        step.where,
        step.normalize.time == "keep",
    )


def docker_config(image: m.DockerImage) -> Config:
    """As BuildKit writes it: ``CMD []`` takes away what a base has, and is no empty list."""
    config = image.config
    return replace(
        config,
        entrypoint=config.entrypoint or None,
        cmd=config.cmd or None,
        shell=config.shell or None,
    )


def remote_steps(step: m.Step, copy: m.DockerCopy) -> Iterator[RemoteStep]:
    """What must be fetched before ``copy`` can be done; two that are equal are one."""
    for source in copy.sources:
        if isinstance(source, m.RemoteFile | m.GitTree):
            yield _remote(source, step)


def _remote(source: m.RemoteFile | m.GitTree, step: m.Step) -> RemoteStep:
    name = StepId(f"{'fetch' if isinstance(source, m.RemoteFile) else 'git'}:{_short(source)}")
    match source:
        case m.RemoteFile():
            return FetchStep(name, source.url, source.name, source.checksum, step.where)
        case m.GitTree():
            return GitStep(
                name,
                source.url,
                source.ref,
                source.subdir,
                source.checksum,
                source.keep_git_dir,
                source.submodules,
                step.where,
            )


def _short(source: m.RemoteFile | m.GitTree) -> str:
    """A name that tells no password and is the same for equal sources only."""
    last = source.url.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("@")[2]
    return f"{last}-{blake3_hex(repr(source).encode())[:12]}"


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
            unpack = copy.add if copy.unpack is None else copy.unpack
            return DockerFiles(
                source.pattern, stack, source.context, copy.parents, copy.exclude, unpack, name
            )
        case m.RemoteFile():
            fetched = _remote(source, step).id
            unpack = bool(copy.unpack)
            return DockerFiles(escaped(source.name), (fetched,), unpack=unpack, name=source.url)
        case m.GitTree():
            fetched = _remote(source, step).id
            return DockerFiles("/", (fetched,), exclude=copy.exclude, name=source.url)
