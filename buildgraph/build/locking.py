"""Buildfile.lock: which versions builds use, resolved once, moved on purpose.

A build resolves what the lock lacks for its own targets and writes it before it looks at any file. Whoever resolves
holds the workspace's lock file among all processes and reads it again first, so two builds at once pin the same.
Images come first: what stands on them is no part of the graph until they are known.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from buildgraph.build.choosing import choose
from buildgraph.build.imagepins import ImagePins
from buildgraph.build.request import Request
from buildgraph.build.workspace import Workspace, needed_bases, relocked
from buildgraph.errors import DifferenceError, MachineError, UsageError
from buildgraph.events import Observer
from buildgraph.execute.interrupt import interruptible
from buildgraph.execute.local import CancelledError
from buildgraph.execute.waiting import Waiting
from buildgraph.graph.graph import BuildGraph
from buildgraph.graph.step import PackagesStep, StepId
from buildgraph.names import Platform, unlabelled
from buildgraph.registry.stopping import Stop
from buildgraph.spec.linking import meaning
from buildgraph.spec.lock import NAME, Lock, write
from buildgraph.spec.model import Base, Packages, Ref
from buildgraph.spec.pins import PackagesPin
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, replace


def pin_missing(
    request: Request, workspace: Workspace, store: LocalStore, observer: Observer
) -> Workspace:
    """The workspace with a pin for every base image and packages step that the requested targets need.

    Raises DifferenceError ``not-locked`` if the request is frozen, and whatever resolving raises.
    """
    bases = [workspace.model.bases[name] for name in workspace.bases.unpinned]
    if bases:
        if request.frozen:
            raise _not_locked([base.name for base in bases], bases[0])
        with _Locking.of(request, workspace, store, observer) as locking:
            workspace = locking.pin_images(bases, update=False)[0]
    graph = workspace.graph
    needed = graph.needed(choose(graph, request.targets), checks=not request.no_checks)
    missing = [step for step in _packages(graph, needed) if not step.pins]
    if not missing or request.require_cached:
        return workspace
    if request.frozen:
        raise _not_locked(map(_bare, missing), missing[0])
    with _Locking.of(request, workspace, store, observer) as locking:
        return locking.pin(missing, update=False, tell=True)[0]


def _not_locked(names: Iterable[str], first: Base | PackagesStep) -> DifferenceError:
    return DifferenceError(
        "not-locked",
        f"{NAME} has no pins for {', '.join(names)}",
        hint="run `buildgraph lock` and commit the file, or build without --frozen",
        where=first.where,
    )


def lock(
    request: Request,
    workspace: Workspace,
    store: LocalStore,
    observer: Observer,
    names: Sequence[str] | None,
    *,
    update: bool,
) -> tuple[Workspace, list[str]]:
    """Pin what is not pinned, or with ``update`` resolve anew; what changed, one line each.

    ``names`` are bases, packages steps or targets that need some; a base that is an image of the workspace means that
    image. None is everything, and then ``update`` also drops the pins of what is gone. Raises UsageError
    ``nothing-to-lock``.
    """
    every = names is None
    if names is not None:
        names = [workspace.model.linked.get(name.removeprefix("base:"), name) for name in names]
    bases = _images(workspace, names)
    with _Locking.of(request, workspace, store, observer) as locking:
        locked, told = locking.pin_images(bases, update=update, every=every)
    graph = locked.graph
    wanted: Iterable[StepId] = graph.steps
    if names is not None:
        targets = [name for name in names if not _bases_named(workspace, name)]
        wanted = graph.needed(choose(graph, targets)) if targets else ()
    steps = _packages(graph, wanted)
    if names and not steps and not bases:
        raise UsageError(
            "nothing-to-lock",
            f"{', '.join(names)} needs no base image and no packages step, so there is nothing to pin",
            hint="see: buildgraph ls",
        )
    with _Locking.of(request, locked, store, observer) as locking:
        locked, more = locking.pin(steps, update=update, every=every)
    return locked, told + more


def _images(workspace: Workspace, names: Sequence[str] | None) -> list[Base]:
    """The images of registries among ``names``, and those that targets among them rest on; None: all."""
    model = workspace.model
    found: Collection[str] = model.bases
    if names is not None:
        bases = [base for name in names for base in _bases_named(workspace, name)]
        others = [name for name in names if not _bases_named(workspace, name)]
        found = {*bases, *(needed_bases(model, others) if others else ())}
    return [base for base in model.bases.values() if base.kind == "image" and base.name in found]


def _bases_named(workspace: Workspace, name: str) -> list[str]:
    """That of every platform."""
    bare, model = name.removeprefix("base:"), workspace.model
    variants = model.variants.get(Ref("base", bare), ())
    return [one.name for _, one in variants] or [bare] * (bare in model.bases)


@dataclass(frozen=True, slots=True)
class _Locking:
    """Held among all processes; ``cancelled`` is set by a signal."""

    request: Request
    workspace: Workspace
    store: LocalStore
    observer: Observer
    cancelled: Stop

    @classmethod
    @contextmanager
    def of(
        cls, request: Request, workspace: Workspace, store: LocalStore, observer: Observer
    ) -> Iterator["_Locking"]:
        cancelled = workspace.opener.stop
        with interruptible(cancelled.set), ExitStack() as undo:
            with Waiting(observer, NAME, "waits for another build that pins"):
                flight = store.single_flight(f"lock {workspace.root}", cancelled)
                if not undo.enter_context(flight):
                    raise CancelledError
            workspace = relocked(workspace, _read(workspace))
            yield cls(request, workspace, store, observer, cancelled)

    def pin_images(
        self, bases: Sequence[Base], *, update: bool, every: bool = False
    ) -> tuple[Workspace, list[str]]:
        """``every``: ``bases`` are all that there are, so that an update drops the pins of others."""
        before = self.workspace.lock
        pins, told = ImagePins(self.workspace.opener, before).pin(bases, update=update)
        if update and every:
            kept = pins.keep_images({meaning(base.reference) for base in bases})
            gone = {name for name, _ in pins.images} - {name for name, _ in kept.images}
            pins, told = kept, [*told, *(f"{name}: is gone" for name in sorted(gone))]
        _write(self.workspace, pins)
        return relocked(self.workspace, pins), told

    def pin(
        self,
        steps: Sequence[PackagesStep],
        *,
        update: bool,
        every: bool = False,
        tell: bool = False,
    ) -> tuple[Workspace, list[str]]:
        """``tell`` observers what was pinned, too: not everybody prints what is returned."""
        pins, told = self.workspace.lock, list[str]()
        for step in steps:
            name, arch = _bare(step), Platform.parse(step.platform).arch
            old = pins.find(name, arch)
            suite = self._written_suite(step)
            if old and not update and old.answers(step.packages, suite):
                continue
            keep = old if old and not update and suite in ("", old.suite) else None
            asked = replace(step, suite=keep.suite if keep else suite)
            new = self._resolve(asked, keep, tell=tell)
            pins = pins.pin(name, arch, new)
            told += changes(name, old, new)
        if update and every:
            kept = pins.keep([_bare(step) for step in steps])
            gone = {name for name, _ in pins.pins} - {name for name, _ in kept.pins}
            pins, told = kept, [*told, *(f"{name}: is gone" for name in sorted(gone))]
        _write(self.workspace, pins)
        return relocked(self.workspace, pins), told

    def _written_suite(self, step: PackagesStep) -> str:
        """What the Buildfile says; the graph's own step has the suite of its pins."""
        kind = self.workspace.model.steps[step.id.partition(":")[2]].kind
        return kind.suite if isinstance(kind, Packages) else ""

    def _resolve(self, step: PackagesStep, keep: PackagesPin | None, *, tell: bool) -> PackagesPin:
        from buildgraph.execute.ops_packages import resolve

        name = step.id.partition(":")[2]
        with Waiting(self.observer, name, f"looks up packages for {NAME}", patience=0) as waiting:
            found = resolve(
                step,
                self.store,
                self.workspace.surroundings(self.request.environ),
                prefer=keep.packages if keep else (),
                observer=self.observer,
                cancelled=self.cancelled,
            )
            if tell:
                waiting.found = f"pinned {len(found.packages)} packages of {found.suite}"
        return found


def changes(name: str, old: PackagesPin | None, new: PackagesPin) -> list[str]:
    """What differs between two pins of the step ``name``, a line each package."""
    if old is None or old.suite != new.suite:
        return [f"{name}: pinned {len(new.packages)} packages of {new.suite}"]
    before, after = _versions(old), _versions(new)
    told = []
    for package in sorted({*before, *after}):
        was, now = before.get(package), after.get(package)
        if was == now:
            continue
        if was and now:
            told.append(f"{name}: {package} {was} → {now}")
        else:
            told.append(f"{name}: {'+' if now else '-'} {package} {now or was}")
    return told


def _versions(pin: PackagesPin) -> dict[str, str]:
    """Versions by the package's name, which has its architecture only where that tells two of them apart."""
    rows = [package.partition("=")[::2] for package in pin.packages]
    names = [row[0].partition(":")[0] for row in rows]
    return {
        full if names.count(name) > 1 else name: version
        for name, (full, version) in zip(names, rows, strict=True)
    }


def _packages(graph: BuildGraph, steps: Iterable[StepId]) -> list[PackagesStep]:
    found = (graph.steps[step] for step in steps)
    return [step for step in found if isinstance(step, PackagesStep)]


def _read(workspace: Workspace) -> Lock:
    file = workspace.root / NAME
    return Lock.load(file.read_bytes() if file.exists() else None, file)


def _write(workspace: Workspace, lock: Lock) -> None:
    try:
        write(workspace.root / NAME, lock)
    except OSError as error:
        raise MachineError(
            "lock-not-written",
            f"{NAME} cannot be written: {error.strerror or error}",
            hint=f"make {workspace.root} writable, or build with --frozen",
        ) from error


def _bare(step: PackagesStep) -> str:
    """The name that was written, which is the pin's for all platforms."""
    return unlabelled(step.id.partition(":")[2])
