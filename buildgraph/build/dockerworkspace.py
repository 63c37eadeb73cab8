"""A workspace that is one Dockerfile: what docker's command line says becomes a model of one image.

There is no lock beside a Dockerfile. What a tag named when it was first met is remembered in the store, for this
context, until ``--pull`` asks again.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from buildgraph.build.baseimages import BaseImages
from buildgraph.build.bases import BaseOpener, OpenBases
from buildgraph.build.dockerfiles import Dockerfiles, Recipe
from buildgraph.build.dockerinput import (
    IGNORE,
    DockerInput,
    ignore_lines,
    known,
    open_input,
    read_lines,
)
from buildgraph.build.imagepins import ImagePins
from buildgraph.build.localbases import LocalBases
from buildgraph.build.registries import Access
from buildgraph.build.request import DockerRequest, Request
from buildgraph.build.sidecar import Sidecar
from buildgraph.build.workspace import Workspace, graph_of
from buildgraph.digest import blake3_hex
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
from buildgraph.fs.fingerprint import StatCache
from buildgraph.names import Platform, Reference
from buildgraph.sandbox.network import private_network_problem
from buildgraph.spec import model as m
from buildgraph.spec.lock import Lock, parse
from buildgraph.store.local import LocalStore


def open_docker_workspace(
    request: Request,
    asked: DockerRequest,
    store: LocalStore,
    access: Access,
    observer: Observer,
    undo: ExitStack,
) -> Workspace:
    """Raises UsageError; ``undo`` closes what stays open."""
    given = open_input(asked, request.directory, undo)
    root, name = given.root, blake3_hex(os.fsencode(given.root))
    facts = Facts(os.fsencode(root))
    cache = StatCache.load(store.stat / name[:32], root)
    platform = platform_of(request)
    local = LocalBases(root, platform, store, cache, facts, undo)
    sidecar = Sidecar(root)
    opener = BaseOpener(platform, local, BaseImages(store, sidecar, access), access)
    bases = _Bases(store, opener, f"dockerfile-pins-{name[:16]}", pull=asked.pull)
    model = _model(request, asked, given, facts, bases, observer)
    opened = bases.open(model)
    graph = graph_of(model, opened, bases.lock)
    return Workspace(
        root,
        given.file or root,
        model,
        graph,
        opened,
        opener,
        frozenset(model.bases),
        bases.lock,
        facts,
        given.repeatable,
        cache,
        sidecar,
    )


class _Bases:
    """``lock`` has a pin for every image that was opened; ``document`` is where the store remembers it."""

    def __init__(self, store: LocalStore, opener: BaseOpener, document: str, *, pull: bool) -> None:
        self._store = store
        self._opener = opener
        self._document = document
        known = None if pull else store.records.document(document)
        self.lock = Lock() if known is None else parse("what tags named before", known)

    def open(self, model: m.Model) -> OpenBases:
        images = [base for base in model.bases.values() if base.kind == "image"]
        new = [base for base in images if self._opener.pin(base, self.lock) is None]
        if new:
            self.lock = ImagePins(self._opener, self.lock).pin(new, update=False)[0]
            self._store.records.put_document(self._document, self.lock.to_bytes())
        wanted = frozenset(model.bases)
        return self._opener.open_all(model, self.lock, wanted, resolve=False)


def _model(
    request: Request,
    asked: DockerRequest,
    given: DockerInput,
    facts: Facts,
    bases: _Bases,
    observer: Observer,
) -> m.Model:
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
    return Dockerfiles(model, {name: recipe}, bases.open, observer).converted()


def platform_of(request: Request) -> Platform:
    here = Platform.of_machine(os.uname().machine)
    return Platform.parse(request.platform) if request.platform else here


def image_name(root: Path) -> str:
    """The folder's name, as far as it can stand in a reference."""
    letters = [c if c.isascii() and c.isalnum() else "-" for c in root.name.lower()]
    return "-".join(part for part in "".join(letters).split("-") if part) or "image"


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
