"""The parts of one build, put together: store, snapshots, sandbox, stacks, selections and look-ups."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from buildgraph.build.blobs import Blobs
from buildgraph.build.contexts import Contexts
from buildgraph.build.later import Later
from buildgraph.build.locking import pin_missing
from buildgraph.build.lookups import History, Lookups
from buildgraph.build.observing import one_at_a_time
from buildgraph.build.registries import Access
from buildgraph.build.request import Request, Want
from buildgraph.build.workspace import Workspace, open_workspace
from buildgraph.build.written import Written
from buildgraph.digest import Digest
from buildgraph.errors import BuildgraphError, DroppedError, LayerLostError
from buildgraph.events import Observer
from buildgraph.execute.agents import Agents
from buildgraph.execute.authority import Authority
from buildgraph.execute.bases import BaseLayers
from buildgraph.execute.conflicts import Conflicts
from buildgraph.execute.local import Either
from buildgraph.execute.ops_image import ImageOp
from buildgraph.execute.ops_run import RunOp
from buildgraph.execute.placement import Placements
from buildgraph.execute.run_mounts import RunMounts
from buildgraph.execute.secret import Secrets, SecretSource
from buildgraph.execute.selection import Selections
from buildgraph.execute.stacks import Stacks
from buildgraph.execute.threads import Threads
from buildgraph.execute.workers import Packers
from buildgraph.fs.context import Context
from buildgraph.registry.stopping import Stop
from buildgraph.sandbox.namespace import enter_private_mounts
from buildgraph.sandbox.runtime import Runtimes
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, field

if TYPE_CHECKING:
    from buildgraph.build.caches import Shared
    from buildgraph.execute.archive import Surroundings
    from buildgraph.execute.archives import Archives
    from buildgraph.execute.ops_packages import PackagesOp
    from buildgraph.execute.remotes import Remotes

_BESIDE = 4
"""Threads for what goes on next to a step's own; they start when they are needed."""


@dataclass(slots=True)
class Session:
    """Everything that a build or a plan works with, for as long as the block that made it."""

    request: Request
    observer: Observer
    workspace: Workspace
    store: LocalStore
    stacks: Stacks
    selections: Selections
    lookups: Lookups
    snapshots: Snapshots
    context: Context
    contexts: Contexts
    conflicts: Conflicts
    written: Written
    cancelled: Stop
    beside: Threads
    bases: BaseLayers
    access: Access
    remotes: "Later[Remotes]"
    lost: frozenset[Digest] = frozenset()
    """Blobs that remote caches were found not to give; if there are any, nothing is left there any more."""
    shared: "Shared | None" = None
    """Remote caches; None of a build that has none, and of what is no build."""
    failed: threading.Event = field(default_factory=threading.Event)
    """Set once a step has failed."""
    meanwhile: deque[Callable[[], object]] = field(default_factory=deque)
    """What must be done in the end, and is best done while a command runs."""

    @property
    def blobs(self) -> Blobs:
        """What images of this build are made of, wherever it is."""
        return Blobs(self.store, self.access)

    def run_op(self) -> RunOp:
        """For commands in a sandbox; made when the first one is due. Raises what the machine lacks for any of them."""
        enter_private_mounts().require()
        request, workspace = self.request, self.workspace
        given = {s.id: SecretSource(s.file, s.env) for s in request.secrets}
        secrets = Secrets(workspace.model.secrets, given, request.environ, workspace.root)
        ca = workspace.model.workspace.ca
        authority = Authority(ca, workspace.root, request.environ, self.store.tmp)
        mounts = RunMounts(
            self.store,
            self.snapshots,
            self.stacks,
            self.selections,
            secrets,
            authority,
            Agents(request.ssh, request.environ),
            workspace.id,
            renew=request.no_cache,
        )
        return RunOp(
            self.store,
            self.snapshots,
            self.stacks,
            mounts,
            self.conflicts,
            Runtimes(self.store.tmp),
            self._while_a_command_runs,
            secrets,
            self.observer,
            self._ended(),
            shell_on_failure=request.shell_on_failure,
        )

    def _ended(self) -> threading.Event:
        """What ends running commands: a signal, and as in docker the failure of another command of a Dockerfile."""
        if self.request.docker is None or self.request.keep_going:
            return self.cancelled
        return Either(self.cancelled, self.failed)

    def _while_a_command_runs(self) -> None:
        with suppress(IndexError):  # nothing is left, or another thread was faster
            while True:
                self.beside.submit(self.meanwhile.popleft())
        self.beside.submit(self.snapshots.sweep)

    def packages_op(self) -> "PackagesOp":
        """For roots made of packages; made when the first one is due."""
        from buildgraph.execute.ops_packages import PackagesOp

        enter_private_mounts().require()
        return PackagesOp(
            self.store,
            self.snapshots,
            self.stacks,
            self.workspace.surroundings(self.request.environ),
            self.observer,
            self.cancelled,
        )

    def image_op(self) -> ImageOp:
        return ImageOp(self.workspace.graph, self.store, self.stacks, self.conflicts)


Pins = Literal["resolved", "written", "left"]
"""What the targets need and the lock lacks is resolved for this session, or written first, or left to the caller."""

StoreOpener = Callable[[Path, Observer], AbstractContextManager[LocalStore]]


@contextmanager
def open_session(
    request: Request,
    observer: Observer,
    *,
    opener: StoreOpener = LocalStore.open,
    pins: Pins = "resolved",
    want: Want = "targets",
) -> Iterator[Session]:
    """A session with no target chosen yet. ``want`` says which images of registries are to be known.

    ``opener``: what only asks passes :func:`buildgraph.store.reading.reading`.
    """
    observer = one_at_a_time(observer)
    cancelled = Stop()

    with ExitStack() as undo:
        privilege = enter_private_mounts()
        store = undo.enter_context(opener(request.home, observer))
        store.bind_ids(privilege.mapping)
        access = Access(store, request.environ, observer, undo, cancelled)
        workspace = open_workspace(
            request, store, access, observer, undo, want=want, resolve=pins == "resolved"
        )
        if pins == "written":
            workspace = _pinned(request, workspace, store, observer)
        layers = undo.enter_context(_open_layers(workspace, store, access))
        snapshots, stacks = layers.snapshots, layers.stacks
        written = Written(request, workspace, store)
        context, contexts = _contexts(request, workspace, written)
        archives = Later(lambda: _archives(store, snapshots, stacks))
        selections = Selections(context, stacks, contexts, archives)
        around = partial(workspace.surroundings, request.environ)
        remotes = Later(
            lambda: _remotes(store, snapshots, stacks, around(), observer, cancelled, undo)
        )
        session = Session(
            request,
            observer,
            workspace,
            store,
            stacks,
            selections,
            _lookups(workspace, store, stacks, selections, remotes),
            snapshots,
            context,
            contexts,
            Conflicts(workspace.graph, stacks, observer),
            written,
            cancelled,
            layers.beside,
            layers.bases,
            access,
            remotes,
        )
        try:
            yield session
        finally:
            if session.shared is not None:
                session.shared.sending.close()


def _pinned(
    request: Request, workspace: Workspace, store: LocalStore, observer: Observer
) -> Workspace:
    try:
        return pin_missing(request, workspace, store, observer)
    except (DroppedError, LayerLostError):
        raise
    except BuildgraphError as error:
        from buildgraph.build.mistakes import with_files

        raise with_files(error, request, workspace.model, workspace.root, "targets") from error


class _Layers(NamedTuple):
    """What keeps and makes the layers of one session."""

    snapshots: Snapshots
    bases: BaseLayers
    stacks: Stacks
    beside: Threads


@contextmanager
def _open_layers(workspace: Workspace, store: LocalStore, access: Access) -> Iterator[_Layers]:
    snapshots = Snapshots(store.snapshots_dir, store.tmp, store.lease.name, lazy=True)
    with closing(snapshots), Threads(_BESIDE, "beside") as beside, Packers() as packers:
        bases = BaseLayers(
            workspace.bases.layers,
            store,
            snapshots,
            workspace.sidecar,
            fetch=Blobs(store, access).open,
        )
        placed = Placements(workspace.graph, store, bases)
        stacks = Stacks(placed, store, snapshots, bases, packers, beside)
        yield _Layers(snapshots, bases, stacks, beside)


def _contexts(request: Request, workspace: Workspace, written: Written) -> tuple[Context, Contexts]:
    """The folder of the Buildfile, and those that are contexts besides."""
    context = Context(
        workspace.root,
        workspace.cache,
        workspace.model.workspace.ignore,
        (b".git", *written.paths()),
    )
    return context, Contexts(workspace, (os.path.realpath(os.fsencode(request.home)),))


def _lookups(
    workspace: Workspace,
    store: LocalStore,
    stacks: Stacks,
    selections: Selections,
    remotes: "Later[Remotes]",
) -> Lookups:
    return Lookups(
        workspace.graph,
        store,
        stacks,
        selections,
        History(workspace.id),
        lambda step: remotes().version(step),
    )


def _archives(store: LocalStore, snapshots: Snapshots, stacks: Stacks) -> "Archives":
    from buildgraph.execute.archives import Archives

    return Archives(store, snapshots, stacks)


def _remotes(
    store: LocalStore,
    snapshots: Snapshots,
    stacks: Stacks,
    around: "Surroundings",
    observer: Observer,
    cancelled: Stop,
    undo: ExitStack,
) -> "Remotes":
    from buildgraph.execute.remotes import Remotes

    remotes = Remotes(store, snapshots, stacks, around, observer, cancelled)
    undo.callback(remotes.close)
    return remotes
