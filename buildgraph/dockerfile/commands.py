"""RUN → a run step: its command line, what it sees, what it may do, what is mounted."""

from collections.abc import Callable
from posixpath import basename, isabs, join, normpath

from buildgraph.dockerfile.heredoc import parse_mark
from buildgraph.dockerfile.instructions import Run
from buildgraph.dockerfile.mounts import MountSpec, mount_origin, read_mount
from buildgraph.dockerfile.options import HOSTNAME_ARG, Network, Options, proxies
from buildgraph.dockerfile.origins import Origin
from buildgraph.dockerfile.state import StageState, checked_path
from buildgraph.errors import UsageError
from buildgraph.spec import model as m

SCRIPTS = "/run/buildgraph"
"""Where the body of a heredoc lies that brings its own interpreter; BuildKit says ``/dev/pipes``."""

_A_VARIABLE = 32
"""What each variable that a command sees counts for, in characters."""

Find = Callable[[str], Origin]
"""What a ``from`` names."""


def run_of(run: Run, state: StageState, options: Options, escape: str, find: Find) -> m.Run:
    """Raises UsageError. ``find`` is asked for what mounts take files from."""
    state.budget.spend(_A_VARIABLE * len(state.variables))
    argv, script = command_of(run, state)
    mounts: list[m.Mount] = [*script]
    for flag in run.mounts:
        spec = read_mount(flag, lambda word: state.word(word, escape))
        origin = find(name) if (name := mount_origin(flag)) else None
        mounts += _mounts(spec, origin, state, options)
    return m.Run(
        command=tuple(map(_text, argv)),
        env=dict(state.texts),
        workdir=_text(state.config.workdir or "/"),
        user=_text(state.config.user) if state.config.user else None,
        network=_network(run, options),
        mounts=tuple(mounts),
        discard=(),
        hosts=options.hosts,
        dockerfile=True,
        proxies=proxies(options.args),
        hostname=options.args.get(HOSTNAME_ARG, options.hostname),
        shm_size=options.shm_size,
        ulimits=options.ulimits,
        limits=options.limits,
        insecure=_insecure(run, options),
    )


def command_of(run: Run, state: StageState) -> tuple[tuple[str, ...], tuple[m.BindMount, ...]]:
    """The command line, and the script that it needs to be there."""
    command = run.command
    if command.exec:
        if not command.words:
            raise UsageError("empty-command", "RUN has no command", hint='write RUN ["PROGRAM"]')
        return command.words, ()
    if not command.heredocs:
        return state.in_shell(command.text), ()
    first = command.heredocs[0]
    if parse_mark(command.text) is None:  # the shell reads them itself
        text = "\n".join((command.text, *(doc.content + doc.name for doc in command.heredocs)))
        return state.in_shell(text), ()
    if not first.body.startswith("#!"):
        return state.in_shell(first.body), ()
    path = f"{SCRIPTS}/{basename(first.name) or 'script'}"
    return state.in_shell(path), (m.BindMount(_nothing(), _text(path), inline=first.body),)


def history_argv(run: Run, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command line as BuildKit's history has it."""
    docs = run.command.heredocs
    if docs and argv[-1].startswith(f"{SCRIPTS}/"):
        return (*argv[:-1], f"/dev/pipes/{docs[0].name}")
    return argv


def _network(run: Run, options: Options) -> Network:
    match run.network:
        case "none":
            return "none"
        case "host":
            if not options.allow_host and options.network != "host":
                raise _forbidden("--network=host", "network.host")
            return "host"
        case "default":
            return "default"
        case _:
            return options.network


def _insecure(run: Run, options: Options) -> bool:
    if run.devices:
        raise UsageError(
            "unsupported", "--device is not supported yet", hint="leave it out of the RUN"
        )
    if run.security == "insecure" and not options.allow_insecure:
        raise _forbidden("--security=insecure", "security.insecure")
    return run.security == "insecure"


def _forbidden(flag: str, name: str) -> UsageError:
    return UsageError(
        "not-allowed", f"RUN {flag} is not allowed", hint=f"allow it with --allow {name}"
    )


# -- mounts


def _mounts(
    spec: MountSpec, origin: Origin | None, state: StageState, options: Options
) -> list[m.Mount]:
    match spec.type:
        case "bind":
            target = _text(_target(spec, state))
            source = _selection(spec, origin, options)
            return [m.BindMount(source, target, write=not spec.read_only)]
        case "cache":
            return [_cache(spec, origin, state, options)]
        case "tmpfs":
            target = _text(_target(spec, state))
            return [m.TmpfsMount(target, spec.size or 0, m.Owner(0, 0), m.Mode(0o1777))]
        case "secret":
            return list(_secret(spec, state))
        case _:
            return [_ssh(spec, state)]


def _selection(spec: MountSpec, origin: Origin | None, options: Options) -> m.Selection:
    path = normpath(join("/", checked_path(spec.source)))
    if origin is not None and origin.ref is not None:
        return m.Selection("/" + path.lstrip("/"), origin.ref)
    context = origin.folder if origin is not None else f"{options.prefix}context"
    return m.Selection(path.lstrip("/") or ".", context=context)


def _cache(
    spec: MountSpec, origin: Origin | None, state: StageState, options: Options
) -> m.CacheMount:
    """Caches of one id but another owner, mode or seed are not the same cache."""
    target = _target(spec, state)
    uid, gid = spec.uid or 0, spec.gid or 0
    mode = 0o755 if spec.mode is None else spec.mode
    seed = _selection(spec, origin, options) if origin is not None else None
    name = spec.id or target
    if (uid, gid, mode) != (0, 0, 0o755):
        name += f" {uid}:{gid} {mode:o}"
    if seed is not None:
        name += f" {seed.ref or seed.context} {seed.path}"
    match spec.sharing or "shared":
        case ("shared" | "private" | "locked") as sharing:
            return m.CacheMount(
                name,
                _text(target),
                sharing,
                m.Owner(uid, gid),
                m.Mode(mode),
                seed,
                bool(spec.read_only),
                "" if origin is not None else normpath(join("/", spec.source)).strip("/"),
            )
        case other:
            raise AssertionError(other)


def _secret(spec: MountSpec, state: StageState) -> tuple[m.SecretMount, ...]:
    name = spec.id or spec.source or basename(spec.target)
    found = []
    if spec.env is not None:
        found.append(m.SecretMount(name, env=spec.env or name, required=spec.required))
    if spec.target or spec.env is None:
        path = spec.target or f"/run/secrets/{basename(name)}"
        mode = m.Mode(0o400 if spec.mode is None else spec.mode)
        owner = m.Owner(spec.uid or 0, spec.gid or 0)
        target = _text(_absolute(path, state))
        found.append(m.SecretMount(name, target, required=spec.required, owner=owner, mode=mode))
    return tuple(found)


def _ssh(spec: MountSpec, state: StageState) -> m.SshMount:
    name = spec.id or "default"
    target = spec.target or f"/run/buildgraph/ssh-{basename(name)}.sock"
    owner = m.Owner(spec.uid or 0, spec.gid or 0)
    mode = m.Mode(0o600 if spec.mode is None else spec.mode)
    return m.SshMount(name, _text(_absolute(target, state)), spec.required, owner, mode)


def _target(spec: MountSpec, state: StageState) -> str:
    if not spec.target:
        raise UsageError(
            "bad-mount", f"a {spec.type} mount has no target", hint="add target=/PATH to it"
        )
    target = _absolute(spec.target, state)
    if target == "/":
        raise UsageError(
            "bad-mount", "a mount cannot be on /", hint="choose a directory below it as the target"
        )
    return target


def _absolute(path: str, state: StageState) -> str:
    checked_path(path)
    path = path if isabs(path) else join(state.config.workdir or "/", path)
    return "/" + normpath(path).lstrip("/")


def _nothing() -> m.Selection:
    return m.Selection(".")


def _text(value: str) -> m.Text:
    return m.Text((value,))
