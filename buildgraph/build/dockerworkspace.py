"""A workspace that is one Dockerfile: what docker's command line says becomes a model of one image."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from buildgraph.build.dockerfiles import Dockerfiles, OpenBases, Recipe
from buildgraph.build.dockerinput import IGNORE, DockerInput, ignore_lines, known, read_lines
from buildgraph.build.request import DockerRequest, Request
from buildgraph.dockerfile.options import (
    EPOCH_ARG,
    Folder,
    LayoutImage,
    NamedContext,
    Network,
    Options,
    RegistryImage,
)
from buildgraph.dockerfile.origins import familiar
from buildgraph.errors import Location, UsageError
from buildgraph.events import Observer
from buildgraph.fs.facts import Facts
from buildgraph.names import Platform, Reference
from buildgraph.sandbox.network import private_network_problem
from buildgraph.spec import model as m


def docker_model(
    request: Request,
    asked: DockerRequest,
    given: DockerInput,
    facts: Facts,
    open_bases: OpenBases,
    observer: Observer,
) -> m.Model:
    """Raises UsageError; ``facts`` learn what was read."""
    name = image_name(given.root)
    platform = platform_of(request)
    shown = _shown(given, request.directory)
    image = m.Image(name, (), Location(shown), annotations=asked.annotations)
    model = m.Model(
        workspace=m.Workspace(name, (m.Ref("image", name),), platform),
        bases={},
        steps={},
        images={name: image},
        groups={},
        secrets={},
    )
    recipe = Recipe(
        _text(given, facts),
        shown,
        _options(request, asked, f"{name}/", platform, facts),
        lambda context: _ignore(context, given, facts),
    )
    return Dockerfiles(model, {name: recipe}, open_bases, observer).converted()


def platform_of(request: Request) -> Platform:
    here = Platform.of_machine(os.uname().machine)
    return Platform.parse(request.platform) if request.platform else here


def image_name(root: Path) -> str:
    """The folder's name, as far as it can stand in a reference."""
    letters = [c if c.isascii() and c.isalnum() else "-" for c in root.name.lower()]
    return "-".join(part for part in "".join(letters).split("-") if part) or "image"


def forced_stages(asked: DockerRequest, name: str) -> Iterator[str]:
    """Patterns of steps for ``--no-cache-filter``."""
    for stage in asked.no_cache_filter:
        yield f"{name}/{stage.lower()}/*"


def private_network() -> Network:
    """What docker's default network is here: one of its own where that can be, else the machine's."""
    return "host" if private_network_problem() else "private"


def _options(
    request: Request, asked: DockerRequest, prefix: str, platform: Platform, facts: Facts
) -> Options:
    default = private_network()
    network: Network = default if asked.network == "default" else asked.network
    return Options(
        context=".",
        target=asked.target,
        prefix=prefix,
        args=_arguments(request, asked, facts),
        contexts={
            familiar(name): named_context(name, value, request.directory)
            for name, value in asked.contexts.items()
        },
        platform=platform,
        build_platform=Platform.of_machine(os.uname().machine),
        labels=asked.labels,
        network=network,
        default_network=default,
        allow_host="network.host" in asked.allow or asked.network == "host",
        allow_insecure="security.insecure" in asked.allow,
        hosts=asked.hosts,
        shm_size=asked.shm_size,
        ulimits=asked.ulimits,
    )


def _arguments(request: Request, asked: DockerRequest, facts: Facts) -> Mapping[str, str]:
    """SOURCE_DATE_EPOCH of the environment counts where the command line says nothing."""
    for name in (*asked.inherited, EPOCH_ARG):
        value = request.environ.get(name)
        facts.variables[os.fsencode(name)] = None if value is None else os.fsencode(value)
    taken = {name: request.environ[name] for name in asked.inherited if name in request.environ}
    epoch = request.environ.get(EPOCH_ARG)
    return {**({EPOCH_ARG: epoch} if epoch else {}), **taken, **asked.args}


def named_context(name: str, value: str, directory: Path) -> NamedContext:
    """Raises UsageError ``bad-context``."""
    kind, separator, rest = value.partition("://")
    if not separator:
        return Folder(os.path.normpath(directory / os.path.expanduser(value)))
    if kind == "docker-image":
        if rest != "scratch":
            Reference.parse(rest)
        return RegistryImage(rest)
    if kind == "oci-layout":
        path, reference = _layout(rest)
        return LayoutImage(os.path.normpath(directory / path), reference)
    raise UsageError(
        "bad-context",
        f"the context {name}={value} is of a kind that is not supported yet",
        hint="name a folder, docker-image://REFERENCE or oci-layout://FOLDER[:TAG]",
    )


def _layout(text: str) -> tuple[str, str]:
    """Path, and tag or digest."""
    path, at, digest = text.partition("@")
    head, colon, tag = path.rpartition(":")
    if colon and "/" not in tag:
        path = head
    else:
        tag = ""
    return path, digest if at else tag


def _text(given: DockerInput, facts: Facts) -> bytes:
    if given.text is not None:
        return given.text
    assert given.file is not None
    return facts.read(known(given.file, facts))


def _ignore(context: m.FileContext, given: DockerInput, facts: Facts) -> tuple[str, ...]:
    if context.root == ".":
        return ignore_lines(given, facts)
    return read_lines(Path(context.root) / IGNORE, facts) or ()


def _shown(given: DockerInput, directory: Path) -> str:
    if given.file is None:
        return "Dockerfile"
    return os.path.relpath(given.file, directory)
