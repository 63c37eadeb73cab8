"""A workspace as a build sees it: its Buildfile read, its bases opened, its graph made, and what all that rests on."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from buildgraph.build.authorities import authority_file
from buildgraph.build.baseimages import BaseImages
from buildgraph.build.bases import BaseOpener, OpenBases
from buildgraph.build.buildfiles import Buildfile
from buildgraph.build.choosing import chosen
from buildgraph.build.localbases import LocalBases
from buildgraph.build.platforms import model_for, parts_for
from buildgraph.build.registries import Access
from buildgraph.build.request import Request, Want
from buildgraph.build.sidecar import Sidecar
from buildgraph.digest import blake3_hex
from buildgraph.errors import BuildgraphError, UsageError
from buildgraph.events import Observer
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.lower import lower
from buildgraph.names import Platform, unlabelled
from buildgraph.spec.locate import candidates, find
from buildgraph.spec.lock import NAME, Lock, parse
from buildgraph.spec.model import Model, Packages, Ref
from buildgraph.spec.part import bases_of, without
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, replace

if TYPE_CHECKING:
    from buildgraph.execute.archive import Surroundings


@dataclass(slots=True)
class Workspace:
    """``root`` is the folder of the Buildfile; ``facts`` grow while the build looks at more."""

    root: Path
    file: Path
    model: Model
    graph: BuildGraph
    """Without what rests on bases that nobody wanted and that cannot be opened, or are not known here."""
    bases: OpenBases
    opener: BaseOpener
    wanted: frozenset[str]
    """The bases that were asked for."""
    lock: Lock
    facts: Facts
    repeatable: bool
    """Whether an answer may be remembered: nothing was asked that no stat can prove."""
    cache: StatCache
    sidecar: Sidecar
    address: str = ""
    """Where the files came from, if ``root`` is theirs for this build only."""

    @property
    def unknown(self) -> tuple[Ref, ...]:
        """The images and steps that are no part of the graph."""
        left = without(self.model, self.model.bases.keys() - self.bases.keys())
        images = (Ref("image", name) for name in self.model.images if name not in left.images)
        steps = (Ref("step", name) for name in self.model.steps if name not in left.steps)
        return (*images, *steps)

    @property
    def id(self) -> str:
        """Names the workspace in this machine's history and cache mounts."""
        return blake3_hex(os.fsencode(self.address or self.root))[:16]

    def surroundings(self, environ: Mapping[str, str]) -> "Surroundings":
        from buildgraph.execute.archive import Surroundings

        return Surroundings(self.root, environ, self.model.workspace.ca)


def open_workspace(
    request: Request,
    store: LocalStore,
    access: Access,
    observer: Observer,
    undo: ExitStack,
    *,
    want: Want = "targets",
    resolve: bool = True,
) -> Workspace:
    """``resolve``: references without a pin are resolved for this time; else whoever asked must pin them.

    Raises every mistake in the Buildfile together; ``undo`` closes what stays open.
    """
    if request.docker is not None:
        from buildgraph.build.dockerworkspace import open_docker_workspace

        return open_docker_workspace(
            request, request.docker, store, access, observer, undo, want=want, keep=not resolve
        )
    file, facts = _found(request)
    root = file.parent
    source = Buildfile(request, file, facts, observer, undo)
    first = source.read(request.platforms[0] if request.platforms else None)
    lock = _lock(facts)
    cache = StatCache.load(store.stat / blake3_hex(os.fsencode(root))[:32], root)
    access.ca = authority_file(first.workspace, root)
    sidecar = Sidecar(root, writable=not resolve and not request.frozen)
    images = BaseImages(store, sidecar, access)

    def opener_for(platform: Platform) -> BaseOpener:
        local = LocalBases(root, platform, store, cache, facts, undo)
        return BaseOpener(platform, local, images, access)

    mistakes = source.mistakes
    model, opener = _read(request, source, first, lock, opener_for, want)
    wanted = frozenset() if mistakes else _wanted(model, request.targets, want)
    bases = opener.open_all(model, lock, wanted, resolve=resolve)
    if bases.failed and want != "all" and not mistakes:
        wanted = _without_failed(bases, model, request.targets, want, wanted)
    try:
        graph = graph_of(model, bases, lock)
    except BuildgraphError as error:
        mistakes.add(error)
    if mistakes:
        raise mistakes.all(request, model, root, want)
    return Workspace(
        root,
        file,
        model,
        graph,
        bases,
        opener,
        wanted,
        lock,
        facts,
        source.repeatable,
        cache,
        sidecar,
    )


def _without_failed(
    bases: OpenBases, model: Model, targets: Iterable[str], want: Want, wanted: frozenset[str]
) -> frozenset[str]:
    """The bases that are wanted. Where one of them failed, all that failed stay, to be told; else they are left out."""
    wanted = needed_bases(model, targets) if want == "targets" else wanted
    if wanted.isdisjoint(bases.failed):
        bases.leave_out(bases.failed)
    return wanted


def _found(request: Request) -> tuple[Path, Facts]:
    """The Buildfile, and that there was none where it was looked for first."""
    file = find(request.directory, request.file).absolute()
    facts = Facts(os.fsencode(file.parent))
    if request.file is None:
        for candidate in candidates(request.directory):
            if candidate == file:
                break
            facts.missing(os.fsencode(candidate))
    return file, facts


def _read(
    request: Request,
    source: Buildfile,
    first: Model,
    lock: Lock,
    opener_for: Callable[[Platform], BaseOpener],
    want: Want,
) -> tuple[Model, BaseOpener]:
    """The model for all platforms that are asked for, and who opens its bases; ``first`` is that of one of them."""
    asked = request.platforms or first.workspace.platforms or (first.workspace.platform,)
    try:
        parts = parts_for(first, request)
    except UsageError as error:
        source.mistakes.add(error)
        parts = {}
    several = len(asked) > 1 or bool(parts)
    openers = list[BaseOpener]()

    def read(platform: Platform) -> Model:
        model = first if platform == first.workspace.platform else source.read(platform)
        openers.append(opener_for(platform))
        asked: Want = "known" if source.mistakes else want
        return source.converted(model, openers[-1], lock, asked, several=several)

    model = model_for(asked, Platform.of_machine(os.uname().machine), read, parts)
    return model, openers[0] if len(openers) == 1 else opener_for(asked[0])


def relocked(workspace: Workspace, lock: Lock) -> Workspace:
    """The same workspace with what its lock file says now."""
    workspace.facts.forget(os.fsencode(NAME))
    _lock(workspace.facts)
    model, absent = workspace.model, frozenset(workspace.bases.absent)
    bases = workspace.opener.open_all(model, lock, workspace.wanted, resolve=False)
    bases.leave_out(bases.failed.keys() & absent)
    return replace(workspace, graph=graph_of(model, bases, lock), lock=lock)


def _wanted(model: Model, targets: tuple[str, ...], want: Want) -> frozenset[str]:
    if not any(base.kind == "image" for base in model.bases.values()):
        return frozenset()
    match want:
        case "all":
            return frozenset(model.bases)
        case "known":
            return frozenset()
        case "targets":
            return needed_bases(model, targets)


def needed_bases(model: Model, targets: Iterable[str]) -> frozenset[str]:
    """The bases that targets, chosen as :func:`choose` does, rest on."""
    return bases_of(model, chosen(model, targets))


def _lock(facts: Facts) -> Lock:
    try:
        return parse(NAME, facts.read(os.fsencode(NAME)))
    except FileNotFoundError:
        return Lock()


def graph_of(model: Model, bases: OpenBases, lock: Lock) -> BuildGraph:
    """Steps whose pins answer what the Buildfile asks for have these, and the suite that they were taken from."""
    platform = model.workspace.platform
    model = without(model, model.bases.keys() - bases.keys())
    steps = dict(model.steps)
    pins = {}
    for name, step in model.steps.items():
        arch = (step.platform or platform).arch
        pin, kind = lock.find(unlabelled(name), arch), step.kind
        if pin and isinstance(kind, Packages) and pin.answers(kind.packages, kind.suite):
            pins[name] = pin.packages
            steps[name] = replace(step, kind=replace(kind, suite=pin.suite))
    return lower(replace(model, steps=steps), bases, pins, platform)
