"""A run step of the model becomes one of the graph: its whole environment, its command and its mounts.

A Buildfile's command inherits the environment of its stack's config; a Dockerfile's is given complete, because ENV and
ARG change it from line to line.
"""

from typing import Protocol

from buildgraph.graph.step import (
    BaseStep,
    BindFiles,
    CacheDir,
    ContextFiles,
    Files,
    PackagesStep,
    RunStep,
    ScriptFile,
    SecretFile,
    SshSocket,
    Stack,
    Step,
    StepId,
    StepMount,
    TmpfsDir,
)
from buildgraph.names import Platform
from buildgraph.oci.config import Config
from buildgraph.spec import model as m
from buildgraph.values import dataclass

FIXED_TIME = 315532800
"""1980-01-01T00:00:00Z: the time of every file in every layer, and SOURCE_DATE_EPOCH of every run step."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-euc")
SCRIPT_DIRECTORY = "/run/buildgraph"
_ROOT = m.Owner(0, 0)


def environment(config: Config) -> dict[str, str]:
    """What a command sees, and ``${env.NAME}`` means, in a stack with this config."""
    return {"PATH": DEFAULT_PATH, **dict(config.env)}


class Around(Protocol):
    """What a step's references stand for."""

    platform: Platform
    steps: dict[StepId, Step]

    def files(self, source: m.Selection) -> Files: ...

    def stack_of(self, ref: m.Ref) -> Stack: ...


class RunLowering:
    """``config`` is that of the stack which the step stands on."""

    def __init__(self, around: Around, step: m.Step, run: m.Run, config: Config) -> None:
        self._around = around
        self._step = step
        self._run = run
        self._config = config
        self._fill = _Filler(config, step)
        self._owner = _ROOT if run.dockerfile else None
        """Whose mounts are that do not say so; None is the step's user."""

    def run(self, step_id: StepId, stack: Stack) -> RunStep:
        step, run, config, fill = self._step, self._run, self._config, self._fill
        mounts = [self._mount(mount) for mount in run.mounts]
        shell = run.shell or config.shell or DEFAULT_SHELL
        match run.command:
            case m.Text():
                argv: tuple[str, ...] = (*shell, fill(run.command, "run"))
            case m.Script():
                target = f"{SCRIPT_DIRECTORY}/{run.command.file.rpartition('/')[2]}"
                mounts.append(BindFiles(ContextFiles(run.command.file), target, executable=True))
                argv = (target, *(fill(arg, "run") for arg in run.command.args))
            case _:
                argv = tuple(fill(part, "run") for part in run.command)
        workdir = fill(run.workdir, "workdir") if run.workdir else ""
        user = "" if run.dockerfile else config.user
        return RunStep(
            id=step_id,
            stack=stack,
            tools=self._tools(stack),
            argv=argv,
            env=tuple(sorted(self._environment().items())),
            user=fill(run.user, "user") if run.user else user,
            workdir=workdir or config.workdir or "/",
            network=run.network,
            mounts=tuple(mounts),
            outputs=run.outputs,
            discard=run.discard,
            hosts=tuple(sorted(run.hosts.items())),
            platform=str(step.platform or self._around.platform),
            keep_time=step.normalize.time == "keep",
            where=step.fields.get("run", step.where),
            git_modes=step.normalize.mode == "git",
            merge_strict=step.merge_strict,
            timeout=run.timeout,
            retry=run.retry,
            reuse=run.reuse,
            cpus=run.cpus,
            memory=run.memory,
            pool=run.pool,
            dockerfile=run.dockerfile,
            hostname=run.hostname,
            insecure=run.insecure,
            proxies=tuple(sorted(run.proxies.items())),
            shm_size=run.shm_size,
            limits=run.limits,
            ulimits=tuple((name, *limits) for name, limits in sorted(run.ulimits.items())),
        )

    def _tools(self, stack: Stack) -> Stack:
        """Tools that bring no root of their own lie over that of ``stack``."""
        root = stack[:1] if self._run.tools else ()
        if root and not isinstance(self._around.steps[root[0]], BaseStep | PackagesStep):
            root = ()
        tools = dict.fromkeys(root)
        for ref in self._run.tools:
            tools.update(dict.fromkeys(self._around.stack_of(ref)))
        return tuple(tools)

    def _environment(self) -> dict[str, str]:
        run = self._run
        own = {name: self._fill(text, f"env.{name}") for name, text in run.env.items()}
        if run.dockerfile:
            return {"SOURCE_DATE_EPOCH": str(FIXED_TIME), **own}
        env = {**environment(self._config), **own}
        env.setdefault("SOURCE_DATE_EPOCH", str(FIXED_TIME))
        env.setdefault("PYTHONDONTWRITEBYTECODE", "1")
        return env

    def _mount(self, mount: m.Mount) -> StepMount:
        target = self._fill(mount.target, "mounts") if mount.target else ""
        match mount:
            case m.BindMount(inline=text) if text:
                return ScriptFile(text, target)
            case m.BindMount():
                return BindFiles(self._around.files(mount.source), target, mount.write)
            case m.CacheMount():
                seed = self._around.files(mount.seed) if mount.seed else None
                owner = mount.owner or self._owner
                return CacheDir(
                    mount.id,
                    target,
                    mount.sharing,
                    owner,
                    mount.mode,
                    seed,
                    mount.read_only,
                    mount.path,
                )
            case m.TmpfsMount():
                return TmpfsDir(target, mount.size, mount.owner or self._owner, mount.mode)
            case m.SshMount():
                owner = mount.owner or self._owner
                return SshSocket(mount.id, target, mount.required, owner, mount.mode)
            case m.SecretMount():
                owner = mount.owner or self._owner
                return SecretFile(mount.id, target, mount.env, mount.required, owner, mount.mode)


@dataclass(frozen=True, slots=True)
class _Filler:
    """Fills ``${env.NAME}`` from the config that a step stands on; an unknown name is an error at its line."""

    config: Config
    step: m.Step

    def __call__(self, text: m.Text, key: str) -> str:
        env = environment(self.config)
        try:
            return text.fill(env)
        except KeyError as error:
            from buildgraph.spec.late import unknown_env

            field = key.partition(".")[0]
            where = self.step.fields.get(field, self.step.where)
            raise unknown_env(str(error.args[0]), env, field, where) from error
