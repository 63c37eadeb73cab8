"""A workspace as a build sees it: its Buildfile read, its bases opened, its graph made, and what all that rests on."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from buildgraph.build.authorities import authority_file, with_authority
from buildgraph.build.baseimages import BaseImages
from buildgraph.build.bases import BaseOpener, OpenBases
from buildgraph.build.localbases import LocalBases
from buildgraph.build.registries import Access
from buildgraph.build.request import Request
from buildgraph.build.sidecar import Sidecar
from buildgraph.digest import blake3_hex
from buildgraph.errors import UsageError
from buildgraph.events import Observer, Warned
from buildgraph.fs.facts import Facts
from buildgraph.fs.fingerprint import StatCache
from buildgraph.fs.pattern import check_glob
from buildgraph.fs.rows import prove, row_of
from buildgraph.graph.graph import BuildGraph, Family
from buildgraph.graph.lower import lower
from buildgraph.graph.step import StepId
from buildgraph.names import Platform, unlabelled
from buildgraph.spec import gitfacts
from buildgraph.spec.load import Loaded, load
from buildgraph.spec.locate import candidates, find
from buildgraph.spec.lock import NAME, Lock, parse
from buildgraph.spec.model import Model, Packages, Ref
from buildgraph.spec.part import bases_of, images_of, without
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, replace

if TYPE_CHECKING:
    from buildgraph.execute.archive import Surroundings
    from buildgraph.spec.model import RefKind


@dataclass(slots=True)
class Workspace:
    """``root`` is the folder of the Buildfile; ``facts`` grow while the build looks at more."""

    root: Path
    file: Path
    model: Model
    graph: BuildGraph
    """Without what rests on images of registries that nobody wanted and that are not known here."""
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


Want = Literal["targets", "all", "known"]
"""Which images of registries are opened: those that the request's targets rest on, every one, or none but those whose
documents are on this machine."""


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

    Raises ErrorGroup with every mistake in the Buildfile; ``undo`` closes what stays open.
    """
    if request.docker is not None:
        from buildgraph.build.dockerworkspace import open_docker_workspace

        return open_docker_workspace(
            request, request.docker, store, access, observer, undo, want=want, keep=not resolve
        )
    file = find(request.directory, request.file).absolute()
    root = file.parent
    facts = Facts(os.fsencode(root))
    if request.file is None:
        for candidate in candidates(request.directory):
            if candidate == file:
                break
            facts.missing(os.fsencode(candidate))
    text = facts.read(os.fsencode(file.name))
    loaded = _load(request, root, file, text)
    for warning in loaded.warnings:
        observer(Warned(warning.code, f"{warning.where}: {warning.message}"))
    repeatable = _remember(loaded, request, root, facts)
    lock = _lock(facts)
    cache = StatCache.load(store.stat / blake3_hex(os.fsencode(root))[:32], root)
    model = loaded.model
    model = replace(model, workspace=with_authority(model.workspace, request.environ))
    access.ca = authority_file(model.workspace, root)
    platform = model.workspace.platform
    local = LocalBases(root, platform, store, cache, facts, undo)
    sidecar = Sidecar(root, writable=not resolve and not request.frozen)
    opener = BaseOpener(platform, local, BaseImages(store, sidecar, access), access)
    model = _with_dockerfiles(request, model, root, facts, opener, lock, observer, want)
    wanted = _wanted(model, request.targets, want)
    bases = opener.open_all(model, lock, wanted, resolve=resolve)
    graph = graph_of(model, bases, lock)
    return Workspace(
        root, file, model, graph, bases, opener, wanted, lock, facts, repeatable, cache, sidecar
    )


def _with_dockerfiles(
    request: Request,
    model: Model,
    root: Path,
    facts: Facts,
    opener: BaseOpener,
    lock: Lock,
    observer: Observer,
    want: Want,
) -> Model:
    """The model with its images from Dockerfiles converted, as far as their bases are known or wanted."""
    if all(image.source is None for image in model.images.values()):
        return model
    from buildgraph.build.dockerbases import DockerBases
    from buildgraph.build.dockertables import convert_tables

    wanted: Iterable[str] = model.images if want == "all" else ()
    if want == "targets":
        wanted = images_of(model, _chosen(model, request.targets))
    shown = Path(os.path.relpath(root, request.directory))
    bases = DockerBases(opener, lock, frozen=request.frozen)
    return convert_tables(model, root, shown, facts, bases, observer, frozenset(wanted))


def relocked(workspace: Workspace, lock: Lock) -> Workspace:
    """The same workspace with what its lock file says now."""
    workspace.facts.forget(os.fsencode(NAME))
    _optional(workspace.facts, os.fsencode(NAME))
    model = workspace.model
    bases = workspace.opener.open_all(model, lock, workspace.wanted, resolve=False)
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
    return bases_of(model, _chosen(model, targets))


def _chosen(model: Model, targets: Iterable[str]) -> list[Ref]:
    chosen = (target.partition(":") for target in choose(names_of(model), targets))
    return [Ref(cast("RefKind", kind), name) for kind, _, name in chosen]


def names_of(model: Model) -> BuildGraph:
    """A graph of nothing but names, to choose targets from."""
    nothing: Any = None
    return BuildGraph(
        steps=dict.fromkeys((StepId(f"step:{name}") for name in model.steps), nothing),
        images=dict.fromkeys(model.images, nothing),
        groups={g.name: tuple(map(str, g.targets)) for g in model.groups.values()},
        default=tuple(map(str, model.workspace.default)),
        families={
            str(ref): Family(tuple((platform, str(one)) for platform, one in several))
            for ref, several in model.variants.items()
            if ref.kind != "base"
        },
        off=model.off,
    )


def _load(request: Request, root: Path, file: Path, text: bytes) -> Loaded:
    here = Platform.of_machine(os.uname().machine)
    return load(
        file,
        text,
        sets=request.sets,
        environ=request.environ,
        git=lambda: gitfacts.read(root),
        machine=here,
        platform=Platform.parse(request.platform) if request.platform else None,
        secrets=tuple(secret.id for secret in request.secrets),
        exists=lambda path: (root / path).exists(),
        glob=check_glob,
        shown=os.path.relpath(file, request.directory),
    )


def _lock(facts: Facts) -> Lock:
    content = _optional(facts, os.fsencode(NAME))
    return Lock() if content is None else parse(NAME, content)


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


def _optional(facts: Facts, path: bytes) -> bytes | None:
    try:
        return facts.read(path)
    except FileNotFoundError:
        return None


def _remember(loaded: Loaded, request: Request, root: Path, facts: Facts) -> bool:
    """Add what the model rests on to the facts; False when something has no proof."""
    for name in loaded.consulted_env:
        facts.variables[os.fsencode(name)] = (
            os.fsencode(request.environ[name]) if name in request.environ else None
        )
    for path, there in (loaded.asked or {}).items():
        if there:
            continue  # what is there is looked at by whoever selects it
        facts.missing(os.fsencode(path))
    for watched in gitfacts.watched(root, loaded.used_git):
        real = os.fsencode(watched)
        if watched.is_dir():
            row = row_of(os.lstat(real))
            facts.add(real, row, prove(real, row[3]))
        else:
            _optional(facts, real)
    return "dirty" not in loaded.used_git


def choose(graph: BuildGraph, names: Iterable[str]) -> tuple[str, ...]:
    """Targets as nodes (``image:x``, ``step:x``), groups flattened; globs allowed; () means the default ones.

    Raises UsageError ``unknown-target`` with near names.
    """
    names = tuple(names)
    if not names:
        images = (t for t in targets_of(graph) if t.startswith("image:"))
        chosen: Iterable[str] = graph.default or images
        return graph.flatten(chosen)
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_named(graph, name)))
    return graph.flatten(found)


def _named(graph: BuildGraph, name: str) -> list[str]:
    known = targets_of(graph)
    members = (member for target in graph.families for member in graph.members(target))
    short = {target.partition(":")[2]: target for target in (*members, *known)}
    if name in short:
        return [short[name]]
    if name in short.values():
        return [name]
    matching = [target for target in known if fnmatchcase(target.partition(":")[2], name)]
    if matching:
        return matching
    if name in graph.off:
        raise UsageError(
            "switched-off",
            f"{name!r} is switched off by its condition",
            where=graph.off[name],
            hint="--set gives a variable that the condition asks for its value",
        )
    raise UsageError("unknown-target", f"there is no target {name!r}", hint=_near(name, short))


def check_rebuild(graph: BuildGraph, patterns: Iterable[str]) -> None:
    """Raises UsageError ``unknown-step`` for what is no step of the workspace, needed by the targets or not."""
    steps = [step.partition(":")[2] for step in graph.steps if step.startswith("step:")]
    steps += map(unlabelled, tuple(steps))
    for pattern in patterns:
        name = pattern.removeprefix("step:")
        if not any(fnmatchcase(step, name) for step in steps):
            raise UsageError(
                "unknown-step", f"--rebuild {pattern!r} names no step", hint=_near(name, steps)
            )


def _near(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3)
    return f"did you mean {' or '.join(near)}?" if near else "list them with: buildgraph ls"


def targets_of(graph: BuildGraph) -> tuple[str, ...]:
    """Everything that can be named on the command line, in the Buildfile's order.

    What several platforms have each its own stands there once, by the name that was written.
    """
    steps = [step for step in graph.steps if step.startswith("step:")]
    images = [f"image:{name}" for name in graph.images]
    every = (*images, *steps)
    if graph.families:
        family = {m: target for target in graph.families for m in graph.members(target)}
        every = tuple(dict.fromkeys(family.get(target, target) for target in every))
    return (*every, *(f"group:{name}" for name in graph.groups))
