"""A workspace that is one Dockerfile: what docker's command line says becomes a model of one image.

There is no lock beside a Dockerfile. What a tag named when it was first met is remembered in the store, for this
context, until ``--pull`` asks again.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from posixpath import basename

from buildgraph.build.authorities import authority_file, with_authority
from buildgraph.build.baseimages import BaseImages
from buildgraph.build.bases import BaseOpener
from buildgraph.build.dockerbases import DockerBases
from buildgraph.build.dockerfiles import Dockerfiles, Recipe
from buildgraph.build.dockerinput import REMOTE, DockerInput, known, open_input
from buildgraph.build.dockeroptions import codec_of, lines_for, named_context
from buildgraph.build.localbases import LocalBases
from buildgraph.build.observing import told_once
from buildgraph.build.platforms import MULTI_PLATFORM, TRUE, as_index, model_for
from buildgraph.build.registries import Access
from buildgraph.build.request import DockerRequest, Request, Want
from buildgraph.build.sidecar import Sidecar
from buildgraph.build.sourcetimes import SourceTimes
from buildgraph.build.storebases import StoreBases
from buildgraph.build.workspace import Workspace, graph_of
from buildgraph.digest import blake3_hex
from buildgraph.dockerfile.options import (
    EPOCH_ARG,
    NamedContext,
    Options,
)
from buildgraph.dockerfile.origins import familiar
from buildgraph.errors import Location, UsageError
from buildgraph.events import Observer
from buildgraph.execute.archive import Surroundings
from buildgraph.fs.compress import Codec
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.names import Platform
from buildgraph.spec import model as m
from buildgraph.spec.lock import Lock, parse
from buildgraph.store.local import LocalStore
from buildgraph.values import replace


def open_docker_workspace(
    request: Request,
    asked: DockerRequest,
    store: LocalStore,
    access: Access,
    observer: Observer,
    undo: ExitStack,
    *,
    want: Want,
    keep: bool,
) -> Workspace:
    """``keep``: what tags name now is remembered. Raises UsageError; ``undo`` closes what stays open."""
    given = open_input(request, asked, observer, undo)
    root = given.root
    facts = Facts(os.fsencode(root))
    cache = StatCache.load(store.stat / context_key(given)[:32], root)
    sidecar = Sidecar(root)
    bases = bases_for(request, asked, given, facts, cache, store, access, undo, keep=keep)
    options = options_of(request, asked, facts, observer, undo)
    codec = codec_of(request.outputs)
    called = image_name(given)
    told = m.Workspace(called, (m.Ref("image", called),), options.platform)
    told = with_authority(told, request.environ)
    access.ca = authority_file(told, root)
    several = len(request.platforms) > 1 or options.args.get(MULTI_PLATFORM) in TRUE
    if not several and any(each.place.startswith("index") for each in asked.placed):
        raise UsageError(
            "no-index",
            "an annotation is for an index, and the image is for one platform",
            hint="write --annotation NAME=VALUE for its manifest, or build for several platforms",
        )
    asks = want != "known"
    observer = told_once(observer)

    def converted(platform: Platform) -> m.Model:
        here, workspace = replace(options, platform=platform), replace(told, platform=platform)
        return _model(here, asked, given, facts, bases, codec, observer, workspace, asks=asks)

    model = model_for(platforms_of(request), options.build_platform, converted)
    model = as_index(model, called, options.args)
    opened = bases.open(model, wanted=asks)
    timed = isinstance(options.time_of, SourceTimes) and options.time_of.asked
    graph = graph_of(model, opened, bases.lock)
    return Workspace(
        root,
        given.file or root,
        model,
        graph,
        opened,
        bases.opener,
        frozenset(model.bases),
        bases.lock,
        facts,
        given.repeatable and not any(map(_is_remote, asked.contexts.values())) and not timed,
        cache,
        sidecar,
        given.address,
    )


def bases_for(
    request: Request,
    asked: DockerRequest,
    given: DockerInput,
    facts: Facts,
    cache: StatCache,
    store: LocalStore,
    access: Access,
    undo: ExitStack,
    *,
    keep: bool,
) -> DockerBases:
    """They know what tags named, for this context, and remember it where they are to ``keep`` it."""
    root, platform = given.root, platforms_of(request)[0]
    local = LocalBases(root, platform, store, cache, facts, undo)
    stored = None if asked.pull else StoreBases(store, access)
    images = BaseImages(store, Sidecar(root), access)
    opener = BaseOpener(platform, local, images, access, stored)
    document = f"dockerfile-pins-{context_key(given)[:16]}"
    pinned = None if asked.pull else store.records.document(document)

    def remember(lock: Lock) -> None:
        if keep:
            store.records.put_document(document, lock.to_bytes())

    lock = Lock() if pinned is None else parse("what tags named before", pinned)
    return DockerBases(opener, lock, keep=remember)


def context_key(given: DockerInput) -> str:
    """What is remembered for a context is kept under it."""
    return blake3_hex(os.fsencode(given.address or given.root))


def _model(
    options: Options,
    asked: DockerRequest,
    given: DockerInput,
    facts: Facts,
    bases: DockerBases,
    codec: Codec,
    observer: Observer,
    workspace: m.Workspace,
    *,
    asks: bool,
) -> m.Model:
    name = workspace.name
    image = m.Image(
        name,
        (),
        Location(given.shown),
        annotations={**asked.annotations, **asked.placed_at("manifest", options.platform)},
        compression=codec.name,
        level=codec.level,
    )
    model = m.Model(
        workspace=workspace,
        bases={},
        steps={},
        images={name: image},
        groups={},
        secrets={},
    )
    recipe = Recipe(
        dockerfile_text(given, facts),
        given.shown,
        replace(options, prefix=f"{name}/", context_time=given.time),
        lambda context: lines_for(context, given, facts),
    )
    return Dockerfiles(
        model, {name: lambda: recipe}, bases.open, observer, (name,) if asks else ()
    ).converted()


def platforms_of(request: Request) -> tuple[Platform, ...]:
    return request.platforms or (Platform.of_machine(os.uname().machine),)


def image_name(given: DockerInput) -> str:
    """The folder's or the address's name, as far as it can stand in a reference."""
    path = given.address.partition("#")[0].partition("?")[0].rstrip("/").removesuffix(".git")
    name = basename(path) if given.address else given.root.name
    letters = [c if c.isascii() and c.isalnum() else "-" for c in name.lower()]
    return "-".join(part for part in "".join(letters).split("-") if part) or "image"


def options_of(
    request: Request, asked: DockerRequest, facts: Facts, observer: Observer, undo: ExitStack
) -> Options:
    """Raises UsageError for what means nothing. ``undo`` removes named contexts that were fetched."""
    return Options(
        context=".",
        target=asked.target,
        args=_arguments(request, asked, facts),
        contexts=_contexts(request, asked, observer, undo),
        platform=platforms_of(request)[0],
        platform_asked=bool(request.platform),
        several_platforms=len(request.platforms) > 1,
        build_platform=Platform.of_machine(os.uname().machine),
        labels=asked.labels,
        network=asked.network,
        allow_host="network.host" in asked.allow or asked.network == "host",
        allow_insecure="security.insecure" in asked.allow,
        hosts=asked.hosts,
        shm_size=asked.shm_size,
        ulimits=asked.ulimits,
        limits=asked.limits,
        keep_times=asked.keep_times,
        time_of=SourceTimes(Surroundings(request.directory, request.environ), observer, undo),
    )


def _contexts(
    request: Request, asked: DockerRequest, observer: Observer, undo: ExitStack
) -> Mapping[str, NamedContext]:
    """Those of other machines are fetched when somebody needs them."""
    far = {familiar(n): value for n, value in asked.contexts.items() if _is_remote(value)}
    near = {
        familiar(name): named_context(name, value, request.directory)
        for name, value in asked.contexts.items()
        if not _is_remote(value)
    }
    if not far:
        return near
    from buildgraph.build.dockerfetch import NamedContexts

    return NamedContexts(
        near, far, Surroundings(request.directory, request.environ), observer, undo
    )


def _is_remote(value: str) -> bool:
    return value.startswith(REMOTE)


def _arguments(request: Request, asked: DockerRequest, facts: Facts) -> Mapping[str, str]:
    """SOURCE_DATE_EPOCH of the environment counts where the command line says nothing."""
    for name in (*asked.inherited, EPOCH_ARG):
        value = request.environ.get(name)
        facts.variables[os.fsencode(name)] = None if value is None else os.fsencode(value)
    taken = {name: request.environ[name] for name in asked.inherited if name in request.environ}
    epoch = request.environ.get(EPOCH_ARG)
    return {**({EPOCH_ARG: epoch} if epoch else {}), **taken, **asked.args}


def dockerfile_text(given: DockerInput, facts: Facts) -> bytes:
    if given.text is not None:
        return given.text
    assert given.file is not None
    return facts.read(known(given.file, facts))
