"""A run step: its stack under a writable layer, the command in a sandbox, what it changed as a layer.

Nothing is recorded unless the command succeeded. The upper directory becomes the layer's snapshot by rename, after the
walk that packs it; it is compressed in the same pass when an image of this build names the layer.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from buildgraph.digest import ActionKey, Digest
from buildgraph.errors import Location, MachineError, StepFailedError
from buildgraph.events import Observer, StepOutput, Warned
from buildgraph.execute.conflicts import Conflicts
from buildgraph.execute.foreign import foreign_error
from buildgraph.execute.lines import Lines
from buildgraph.execute.local import CancelledError
from buildgraph.execute.placement import PlacedLayer
from buildgraph.execute.run_mounts import Mounted, RunMounts
from buildgraph.execute.secret import Secrets
from buildgraph.execute.stacks import Stacks
from buildgraph.fs import changes, tree
from buildgraph.fs.lay import Below
from buildgraph.fs.pack import Packed
from buildgraph.fs.settle import settle
from buildgraph.graph.step import RunStep
from buildgraph.sandbox import users
from buildgraph.sandbox.command import HOSTNAME, Command, Exit, Network, stubs
from buildgraph.sandbox.namespace import part_mounts
from buildgraph.sandbox.network import private_network_problem
from buildgraph.sandbox.runtime import Runtimes
from buildgraph.sandbox.snapshot import Active, Snapshots
from buildgraph.store.base import ActionResult
from buildgraph.store.faults import is_full, no_space
from buildgraph.store.local import LocalStore
from buildgraph.values import dataclass, replace

_BECOMES = re.compile(r"(?<![\w.-])(?:doas|gosu|pkexec|runuser|setpriv|su|su-exec|sudo)(?![\w.-])")
"""What a command of root starts others' commands with, who then may want setuid programs."""
_KEPT_LINES = 20
_LONGEST = 200
_NETWORK_SIGNS = (
    b"Temporary failure resolving",
    b"Temporary failure in name resolution",
    b"Could not resolve host",
    b"Name or service not known",
    b"Network is unreachable",
    b"Connection timed out",
    b"Connection reset by peer",
    b"bad address",
    b"no servers could be reached",
    b"unable to resolve",
    b"no such host",
    b"EAI_AGAIN",
)
"""What commands say when the network, not the step, is to blame."""
_TRUST_SIGNS = (
    b"SSL certificate problem",
    b"CERTIFICATE_VERIFY_FAILED",
    b"certificate verify failed",
    b"server certificate verification failed",
    b"self-signed certificate in certificate chain",
    b"SELF_SIGNED_CERT_IN_CHAIN",
    b"certificate signed by unknown authority",
    b"unable to get local issuer certificate",
)
"""What they say when they do not know who signed what the other side shows."""
_SETUID_SIGNS = (b"no new privileges", b"setuid", b"suid")
"""What setuid programs say when they did not become root: sudo, doas, pkexec, busybox."""

_POWERLESS = (
    "a setuid program did not get its rights: a USER other than root may call one, and so may a command of root that "
    "names su or sudo itself, where crun or runc is installed"
)
_DISTRUST = (
    'behind an authority of your own, write ca = "host" below [workspace] of the Buildfile, or below [build] of '
    "~/.config/buildgraph/config.toml"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``full``: the disk that received what the command wrote had nothing left when it failed; ``bound``: no program
    could give it rights."""

    exit: Exit
    last: tuple[bytes, ...]
    full: bool = False
    bound: bool = False

    @property
    def network(self) -> bool:
        return self._said(_NETWORK_SIGNS)

    @property
    def distrust(self) -> bool:
        return self._said(_TRUST_SIGNS)

    @property
    def powerless(self) -> bool:
        return self.bound and self._said(_SETUID_SIGNS)

    def _said(self, signs: Iterable[bytes]) -> bool:
        return any(sign in line for line in self.last for sign in signs)


class RunOp:
    def __init__(
        self,
        store: LocalStore,
        snapshots: Snapshots,
        stacks: Stacks,
        mounts: RunMounts,
        conflicts: Conflicts,
        runtimes: Runtimes,
        meanwhile: Callable[[], object],
        secrets: Secrets,
        observer: Observer,
        cancelled: threading.Event,
        *,
        shell_on_failure: bool = False,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stacks = stacks
        self._mounts = mounts
        self._conflicts = conflicts
        self._runtimes = runtimes
        self._meanwhile = meanwhile
        self._secrets = secrets
        self._observe = observer
        self._cancelled = cancelled
        self._shell_on_failure = shell_on_failure
        self._terminal = threading.Lock()
        self._known_users: dict[tuple[str, str, str], users.User] = {}
        """By what ``/etc/passwd`` and ``/etc/group`` hold, and the user that is asked for."""

    def execute(
        self, step: RunStep, key: ActionKey, identities: tuple[str, ...], now: int
    ) -> ActionResult:
        """Raises StepFailedError (``step-failed``, ``step-timeout``), MachineError (``no-space``) or CancelledError."""
        start = time.monotonic()
        part_mounts()
        name = step.id.partition(":")[2]
        self._conflicts.check(name, step.stack, step.where, strict=step.merge_strict)
        attempts = step.retry.attempts if step.retry else 1
        for attempt in range(1, attempts + 1):
            with ExitStack() as undo:
                outcome, active, below = self._run(step, undo)
                if outcome.exit.ok:
                    packed = self._commit(step, active, below)
                    break
            if self._cancelled.is_set() or outcome.exit.cancelled:
                raise CancelledError
            if attempt == attempts or not _again(step, outcome):
                if foreign := foreign_error(step, outcome.exit.code, outcome.last):
                    raise foreign
                failure = _failure(step, outcome, self._secrets)
                raise self._no_space(failure) if outcome.full else failure
            self._say(step, f"attempt {attempt} of {attempts} failed; trying again".encode())
        made = tree.digest(packed.tree)
        self._stacks.placed.keep_tree(made, packed.tree)
        size = tree.size_of(packed.tree)
        seconds = time.monotonic() - start
        return ActionResult("run", key, identities, made, packed.diff_id, size, seconds, now)

    def _run(self, step: RunStep, undo: ExitStack) -> tuple[Outcome, Active, Below | None]:
        lowers = self._stacks.mountable(step.tools) + self._stacks.mountable(step.stack)
        user = self._user(step, lowers)
        mounted = self._mounts.open(step, user, undo)
        below: Below | None = None
        if step.keep_time:  # trees know no times, so what changed is found out on a mounted view
            points = stubs(tuple(mounted.points))
            active = undo.enter_context(self._snapshots.prepare(lowers, points))
        else:
            below = self._stacks.placed.below(step.tools, step.stack)
            layer = self._mounts.stub_layer(below, mounted.points)
            if layer is not None:
                lowers.append(layer[0])
                below = below.under(layer[1])
            active = undo.enter_context(self._snapshots.prepare(lowers, view=False))
        command = self._as_docker(step, _command(step, active, user, mounted))
        last: deque[bytes] = deque(maxlen=_KEPT_LINES)
        lines = Lines(lambda line: self._say(step, line, last), self._secrets.split)
        exited = self._runtimes.run(command, lines.feed, self._cancelled, self._meanwhile)
        lines.end()
        if self._shell_on_failure and not exited.ok and not exited.cancelled:
            self._open_shell(step, command)
        full = not exited.ok and is_full(active.upper)
        return Outcome(exited, tuple(last), full, command.no_new_privs), active, below

    def _as_docker(self, step: RunStep, command: Command) -> Command:
        """Docker never sets no_new_privs; where only a slower runtime leaves it out, root's commands keep it."""
        if step.dockerfile and command.no_new_privs and _BECOMES.search(" ".join(step.argv)):
            free = replace(command, no_new_privs=False)
            return free if self._runtimes.can(free) else command
        return command

    def _no_space(self, failure: StepFailedError) -> MachineError:
        """A command that filled the disk does not always say so in words of its own."""
        full = no_space(self._store.home)
        message = f"{failure.message}, and {full.message}"
        return MachineError(
            full.code, message, hint=full.hint, where=failure.where, detail=failure.detail
        )

    def _open_shell(self, step: RunStep, failed: Command) -> None:
        """A shell in what the failed command left, with its mounts and environment; one at a time."""
        with self._terminal:
            self._say(step, b"here is a shell where it failed; the build goes on when you leave it")
            shell = replace(failed, argv=("/bin/sh", "-i"), timeout=None, interactive=True)
            self._runtimes.choose(shell).run(shell, lambda _: None, self._cancelled)

    def _user(self, step: RunStep, lowers: list[Path]) -> users.User:
        """Root needs no look-up and has no further groups, so that every runtime shows it the same; but in a
        Dockerfile it has those that the image gives it."""
        if not step.dockerfile and step.user in ("", "root", "0", "0:0", "root:root"):
            return users.User()
        below = self._stacks.placed.below(step.tools, step.stack)
        files = [below.lookup(path) for path in (b"etc/passwd", b"etc/group")]
        if any(entry is not None and entry.kind != tree.FILE for entry in files):
            return self._looked_up(step, lowers)
        passwd, group = (entry.content if entry is not None else "" for entry in files)
        asked = (step.user, passwd, group)
        if asked not in self._known_users:
            self._known_users[asked] = self._looked_up(step, lowers)
        return self._known_users[asked]

    def _looked_up(self, step: RunStep, lowers: list[Path]) -> users.User:
        with self._snapshots.view(lowers) as root:
            return users.look_up(root, step.user)

    def _say(self, step: RunStep, line: bytes, last: deque[bytes] | None = None) -> None:
        masked = self._secrets.mask(line)
        if last is not None:
            last.append(masked)
        text = masked.decode("utf-8", "replace")
        self._observe(StepOutput(step.id.partition(":")[2], text))

    def _commit(self, step: RunStep, active: Active, below: Below | None) -> Packed:
        active.quiesce()
        under = active.below if below is None else below
        items = changes.scan(
            active.upper, under, keep_times=step.keep_time, git_modes=step.git_modes
        )
        items = changes.select(items, step.outputs or (), step.discard)
        if step.outputs and not items:
            self._observe(
                Warned(
                    "outputs-empty",
                    f"{step.where}: {step.id.partition(':')[2]} left nothing that its outputs "
                    f"name: {', '.join(step.outputs)}",
                )
            )
        if step.outputs == ():  # it is run for what it says, not for what it leaves
            items = ()
        for secret, files in self._secrets.left_in(step, items):
            name = step.id.partition(":")[2]
            said = f"{step.where}: {name} wrote the secret {secret} into its layer: {files}"
            self._observe(Warned("secret-in-layer", said))
        codec = self._stacks.codecs.get(step.id)
        temp = self._store.blobs.temp() if codec is not None else None
        packed = self._stacks.pack(items, codec=codec, blob=temp)
        settle(active.upper, items, None)
        content = tree.encode(packed.tree)
        made = Digest.blake3(content)
        layer = PlacedLayer(step.id, made)
        self._store.lease.name(layer.snapshot)
        active.commit(layer.snapshot)
        if codec is not None and temp is not None:
            self._stacks.record(made, content, packed, codec, temp)
        else:
            self._store.blobs.put(content, "blake3")
            self._stacks.record_tar(made, packed)
        return packed


def _network(step: RunStep) -> Network:
    """Keys hold what was asked for, so that machines that can give different things share results."""
    if step.network != "default":
        return step.network
    return "host" if private_network_problem() else "private"


def _command(step: RunStep, active: Active, user: users.User, mounted: Mounted) -> Command:
    env = {**dict(step.proxies), "HOME": user.home, **dict(step.env), **mounted.env}
    return Command(
        root=active.root,
        argv=step.argv,
        env=env,
        workdir=step.workdir,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        network=_network(step),
        mounts=tuple(mounted.points),
        hosts=dict(step.hosts),
        timeout=step.timeout,
        cpus=step.cpus,
        memory=step.memory,
        hostname=step.hostname or HOSTNAME,
        no_new_privs=not (step.insecure or (step.dockerfile and user.uid != 0)),
        shm_size=step.shm_size,
        ulimits=step.ulimits,
        limits=step.limits,
        insecure=step.insecure,
    )


def _again(step: RunStep, outcome: Outcome) -> bool:
    if step.retry is None:
        return False
    on = step.retry.on
    return not on or outcome.exit.code in on or ("network" in on and outcome.network)


def _failure(step: RunStep, outcome: Outcome, secrets: Secrets) -> StepFailedError:
    name = step.id.partition(":")[2]
    last = [secrets.mask(line).decode("utf-8", "replace") for line in outcome.last]
    if outcome.exit.timed_out:
        return StepFailedError(
            "step-timeout",
            f"step {name} ran longer than its timeout of {step.timeout:g} s",
            hint="raise `timeout`, or find out what it waits for",
            where=_lines_of(step),
            detail=last,
        )
    said = f"was killed by signal {outcome.exit.signal}" if outcome.exit.signal else ""
    hint = f"look around with: buildgraph build {name} --shell-on-failure"
    if step.network == "none" and outcome.network:
        hint = 'the step has no network: write network = "host" if it needs one'
    elif outcome.distrust:
        hint = _DISTRUST
    if step.dockerfile:
        return _of_instruction(step, outcome, secrets, last)
    return StepFailedError(
        "step-failed",
        f"step {name} {said or f'failed with exit code {outcome.exit.code}'}",
        hint=hint,
        where=_lines_of(step),
        detail=last,
    )


def _of_instruction(
    step: RunStep, outcome: Outcome, secrets: Secrets, last: list[str]
) -> StepFailedError:
    """As docker says it: the command, and what became of it. All its lines are in the excerpt."""
    text = secrets.mask(os.fsencode(" ".join(step.argv))).decode("utf-8", "replace")
    shown = " ".join(text.split())
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    hint = "look around with: --shell-on-failure"
    if step.network == "none" and outcome.network:
        hint = "the command has no network: leave out --network=none if it needs one"
    elif outcome.powerless:
        hint = _POWERLESS
    elif outcome.distrust:
        hint = _DISTRUST
    ended = f"exit code: {outcome.exit.code}"
    if outcome.exit.signal:
        ended = f"killed by signal {outcome.exit.signal}"
    return StepFailedError(
        "step-failed",
        f"{shown!r} did not complete: {ended}",
        hint=hint,
        where=step.where,
        detail=last,
    )


def _lines_of(step: RunStep) -> Location:
    """Where the command stands, with all its lines (the last argument is the script of a shell form)."""
    script = step.argv[-1].strip("\n").split("\n")
    if len(script) == 1:
        return step.where
    return replace(step.where, excerpt="\n".join((step.where.excerpt, *script)))
