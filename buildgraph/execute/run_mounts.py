"""The mounts of a run step on this machine: binds as snapshots, caches, scratch space and secrets.

The live context is never mounted: a bind is a snapshot of exactly the selected files, so that what was hashed is what
the command sees. Whatever has to be undone is pushed on the caller's ExitStack.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import assert_never

from buildgraph.digest import Digest
from buildgraph.errors import UsageError
from buildgraph.execute.agents import Agents
from buildgraph.execute.authority import Authority
from buildgraph.execute.secret import Secrets
from buildgraph.execute.selection import Selections
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import tree
from buildgraph.fs.lay import Below, Listing, listing, place
from buildgraph.fs.mode import apply_mode
from buildgraph.fs.pack import Item
from buildgraph.fs.rooted import Rooted
from buildgraph.fs.tree import Entry
from buildgraph.graph.recipe import Found
from buildgraph.graph.step import (
    BindFiles,
    CacheDir,
    ContextFiles,
    RunStep,
    ScriptFile,
    SecretFile,
    SshSocket,
    StackFiles,
    TmpfsDir,
)
from buildgraph.sandbox.command import BindPoint, MountPoint, TmpfsPoint, stubs
from buildgraph.sandbox.points import secret_dir
from buildgraph.sandbox.snapshot import Snapshots
from buildgraph.sandbox.users import User
from buildgraph.spec.model import Mode, Owner
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, field

_EMPTY = Digest.blake3(b"").hex
_LONG = 120
"""A cache whose name is longer has a digest behind it."""
_AT_ONCE = threading.Event()
_AT_ONCE.set()
_SINGLE = b"file"
"""The name of a single bound file inside its snapshot."""


@dataclass(slots=True)
class Mounted:
    """``targets`` are the mount points with whether they are directories.

    ``env`` comes on top of what the step declares: secrets, and what this machine grants (proxies, a CA bundle).
    """

    points: list[MountPoint] = field(default_factory=list)
    targets: list[tuple[str, bool]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


class RunMounts:
    def __init__(
        self,
        store: LocalStore,
        snapshots: Snapshots,
        stacks: Stacks,
        selections: Selections,
        secrets: Secrets,
        authority: Authority,
        agents: Agents,
        workspace: str,
        *,
        renew: bool = False,
    ) -> None:
        """``renew``: caches of Dockerfiles begin anew."""
        self._store = store
        self._snapshots = snapshots
        self._stacks = stacks
        self._selections = selections
        self._secrets = secrets
        self._authority = authority
        self._agents = agents
        self._workspace = workspace
        self._renew = renew
        self._done: set[Path] = set()
        self._renewing = threading.Lock()

    def open(self, step: RunStep, user: User, undo: ExitStack) -> Mounted:
        """Everything of ``step.mounts``, in order; a later mount lies over an earlier one."""
        declared = dict(step.env)
        grant = self._authority.grant(step.network, undo)
        mounted = Mounted(
            list(grant.points),
            [(point.target, True) for point in grant.points],
            {name: value for name, value in grant.env.items() if name not in declared},
        )
        self._lock_caches(step, undo)
        for mount in step.mounts:
            match mount:
                case BindFiles():
                    source = self._bind(mount, undo)
                    mounted.points.append(BindPoint(source, mount.target, mount.write))
                    mounted.targets.append((mount.target, source.is_dir()))
                case ScriptFile():
                    source = self._script(mount)
                    mounted.points.append(BindPoint(source, mount.target))
                    mounted.targets.append((mount.target, False))
                case CacheDir():
                    folder = _inside(mount, self._cache(step, mount, user, undo), undo)
                    mounted.points.append(BindPoint(folder, mount.target, not mount.read_only))
                    mounted.targets.append((mount.target, True))
                case TmpfsDir():
                    uid, gid, mode = _owned(mount.owner, mount.mode, user, 0o1777)
                    mounted.points.append(TmpfsPoint(mount.target, mount.size, mode, uid, gid))
                    mounted.targets.append((mount.target, True))
                case SshSocket():
                    self._ssh(mount, user, undo, mounted)
                case SecretFile():
                    self._secret(mount, user, undo, mounted)
                case _:
                    assert_never(mount)
        return mounted

    def stub_layer(self, below: Below, points: Sequence[MountPoint]) -> tuple[Path, Listing] | None:
        """A layer of the mount points that the stack lacks, to lie on top of it; None when it has them all.

        Parents that it has keep their attributes there, so that none of this is a change that the command made.
        """
        wanted = {}
        for stub in stubs(points):
            path = below.follow(os.fsencode(stub.path).strip(b"/"))
            if below.lookup(path) is None:
                kind = tree.DIRECTORY if stub.kind == "directory" else tree.FILE
                mode = 0o755 if kind == tree.DIRECTORY else 0o644
                content = "" if kind == tree.DIRECTORY else _EMPTY
                wanted[path] = Entry(path, kind, mode, content=content)
        if not wanted:
            return None
        placed = place(tree.sort(wanted.values()), below).tree
        items = [Item(e, data=b"") if e.kind == tree.FILE else Item(e) for e in placed]
        name = f"tree-{tree.digest(placed).hex}"
        self._store.lease.name(name)
        return self._snapshots.path(name) or self._made(name, items), listing(placed)

    # -- binds

    def _bind(self, mount: BindFiles, undo: ExitStack) -> Path:
        files = mount.files
        if (
            isinstance(files, StackFiles)
            and not files.include
            and not files.exclude
            and not mount.write
        ):
            view = undo.enter_context(self._snapshots.view(self._stacks.mountable(files.stack)))
            path, _ = self._stacks.placed.merged(files.stack).resolve(os.fsencode(files.path))
            return Path(os.fsdecode(os.path.join(os.fsencode(view), path)))
        found = self._selections.found(files)
        single = len(found) == 1 and not found[0].entry.path and found[0].entry.kind == tree.FILE
        if not found and isinstance(files, ContextFiles):
            raise UsageError("source-missing", f"nothing is selected below {files.path}")
        items = [self._item(mount, one, single=single) for one in found]
        name = f"tree-{tree.digest(item.entry for item in items).hex}"
        self._store.lease.name(name)
        folder = self._snapshots.path(name)
        if folder is None:
            folder = self._made(name, items)
        if mount.write:
            folder = undo.enter_context(self._snapshots.prepare([folder])).root
        return folder / _SINGLE.decode() if single else folder

    def _script(self, mount: ScriptFile) -> Path:
        data = mount.content.encode("utf-8", "surrogateescape")
        entry = Entry(_SINGLE, tree.FILE, 0o755, size=len(data), content=Digest.blake3(data).hex)
        name = f"tree-{tree.digest((entry,)).hex}"
        self._store.lease.name(name)
        folder = self._snapshots.path(name) or self._made(name, [Item(entry, data=data)])
        return folder / _SINGLE.decode()

    def _item(self, mount: BindFiles, found: Found, *, single: bool) -> Item:
        entry = found.entry._replace(path=_SINGLE) if single else found.entry
        if mount.executable:
            entry = entry._replace(mode=0o755)
        return self._stacks.item(entry, found.origin) if entry.kind == tree.FILE else Item(entry)

    def _made(self, name: str, items: list[Item]) -> Path:
        with self._store.single_flight(name):
            if self._snapshots.path(name) is None:
                with self._snapshots.create(name) as folder:
                    packed = self._stacks.pack(items, snapshot=folder, tar=False)
                self._store.blobs.put(tree.encode(packed.tree), "blake3")
        return self._snapshots.dir / name

    # -- caches

    def _volume(self, step: RunStep, mount: CacheDir) -> str:
        """As in docker, all Dockerfiles of this machine share those of one id; else a workspace has its own."""
        parts = ("docker",) if step.dockerfile else (self._workspace, step.platform)
        name = "-".join(map(_plain, (*parts, mount.id)))
        return name if len(name) < _LONG else f"{name[:_LONG]}-{Digest.blake3(name.encode()).hex}"

    def _lock_caches(self, step: RunStep, undo: ExitStack) -> None:
        """In one order for all steps, so that none waits for another that waits for it."""
        caches = (mount for mount in step.mounts if isinstance(mount, CacheDir))
        for name in sorted({self._volume(step, c) for c in caches if c.sharing == "locked"}):
            undo.enter_context(self._store.single_flight(f"volume-{name}"))

    def _cache(self, step: RunStep, mount: CacheDir, user: User, undo: ExitStack) -> Path:
        folder = self._store.volumes / self._volume(step, mount)
        if mount.sharing == "private" and step.dockerfile:
            folder = self._unused(folder.name, undo)
        elif mount.sharing == "private":
            folder = self._store.tmp / f"cache-{os.urandom(6).hex()}"
            undo.callback(self._store.trash.remove, folder)
        if step.dockerfile and self._renew:
            self._renewed(folder)
        if not folder.exists():
            fresh = self._store.tmp / f"volume-{os.urandom(6).hex()}"
            fresh.mkdir()
            self._begin(fresh, mount, user)
            if not _renamed_if_first(fresh, folder):
                self._store.trash.remove(fresh)
        return folder

    def _unused(self, name: str, undo: ExitStack) -> Path:
        """The first copy of a private cache that nobody has now: it is kept for whoever comes next."""
        for number in count():
            if undo.enter_context(self._store.single_flight(f"volume-{name}~{number}", _AT_ONCE)):
                return self._store.volumes / f"{name}~{number}"
        raise AssertionError

    def _begin(self, fresh: Path, mount: CacheDir, user: User) -> None:
        """A new cache: empty, or with the files that it is to begin with, as they are."""
        if mount.seed is None:
            uid, gid, mode = _owned(mount.owner, mount.mode, user, 0o755)
            os.chown(fresh, uid, gid)
            fresh.chmod(mode)
            return
        found = self._selections.found(mount.seed)
        items = [
            self._stacks.item(one.entry, one.origin)
            if one.entry.kind == tree.FILE
            else Item(one.entry)
            for one in found
        ]
        self._stacks.pack(items, snapshot=fresh, tar=False)

    def _renewed(self, folder: Path) -> None:
        """``--no-cache``: the first step of this build that has the cache finds it empty."""
        with self._renewing:
            if folder not in self._done:
                self._done.add(folder)
                self._store.trash.remove(folder)

    def _ssh(self, mount: SshSocket, user: User, undo: ExitStack, mounted: Mounted) -> None:
        agent = self._agents.socket(mount.id, required=mount.required)
        if not agent:
            return
        from buildgraph.execute.forwarding import forwarded

        owned = _owned(mount.owner, mount.mode, user, 0o600)
        folder = undo.enter_context(secret_dir(self._store.tmp))
        path = undo.enter_context(forwarded(agent, folder, *owned))
        mounted.points.append(BindPoint(path, mount.target, True))  # noqa: FBT003
        mounted.targets.append((mount.target, False))
        mounted.env.setdefault("SSH_AUTH_SOCK", mount.target)

    # -- secrets

    def _secret(self, mount: SecretFile, user: User, undo: ExitStack, mounted: Mounted) -> None:
        value = self._secrets.value(mount.id, required=mount.required)
        if value is None:
            return
        if mount.env:
            mounted.env[mount.env] = value.decode("utf-8", "surrogateescape")
            return
        folder = undo.enter_context(secret_dir(self._store.tmp))
        uid, gid, mode = _owned(mount.owner, mount.mode, user, 0o400)
        path = folder / "secret"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(fd, "wb") as file:
            file.write(value)
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
        mounted.points.append(BindPoint(path, mount.target, False))  # noqa: FBT003
        mounted.targets.append((mount.target, False))


def _inside(mount: CacheDir, folder: Path, undo: ExitStack) -> Path:
    """The folder of a cache that is asked for, held open: other commands may plant links there meanwhile."""
    if not mount.path:
        return folder
    try:
        with Rooted(folder) as rooted:
            found = rooted.open(os.fsencode(mount.path), os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(
            "source-missing",
            f"the cache {mount.id} has no folder {mount.path}",
            hint="a command must make it first; links that lead out of the cache lead nowhere",
        ) from error
    undo.callback(os.close, found)
    return Path(f"/proc/self/fd/{found}")


def _owned(
    owner: Owner | None, mode: Mode | None, user: User, default: int
) -> tuple[int, int, int]:
    """What is mounted belongs to the step's user unless the mount says otherwise."""
    uid, gid = (int(owner.user), int(owner.group)) if owner else (user.uid, user.gid)
    return uid, gid, apply_mode(default, mode, directory=False)


def _renamed_if_first(fresh: Path, folder: Path) -> bool:
    try:
        os.rename(fresh, folder)
    except OSError:
        if not folder.is_dir():
            raise
        return False
    return True


def _plain(text: str) -> str:
    """``text`` as part of a file name; two texts never give the same."""
    return "".join(c if c.isalnum() else f"%{ord(c):x}." for c in text)
