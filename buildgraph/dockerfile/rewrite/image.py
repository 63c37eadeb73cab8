"""An image's config → the keys of its table: what differs from the config that its stack brings."""

from buildgraph.dockerfile.rewrite.commands import variables
from buildgraph.dockerfile.rewrite.toml import Value
from buildgraph.oci.config import Config, Healthcheck
from buildgraph.values import replace

_SECOND = 1_000_000_000


def config_keys(config: Config, inherited: Config) -> tuple[dict[str, Value], list[str]]:
    """The keys, and what they cannot say."""
    values: dict[str, Value] = {}
    if env := variables(config.environment, inherited.environment):
        values["env"] = env
    if config.workdir != inherited.workdir:
        values["workdir"] = config.workdir
    if config.user != inherited.user:
        values["user"] = config.user
    _commands(config, inherited, values)
    if ports := [port for port in config.exposed if port not in inherited.exposed]:
        values["expose"] = [_port(port) for port in ports]
    if volumes := [path for path in config.volumes if path not in inherited.volumes]:
        values["volumes"] = [path for path in volumes if path.startswith("/")]
    labels = {k: v for k, v in config.labels.items() if inherited.labels.get(k) != v}
    if labels:
        values["labels"] = {**labels}
    if config.stop_signal != inherited.stop_signal:
        values["stop-signal"] = config.stop_signal.upper()
    if config.healthcheck is not None and config.healthcheck != inherited.healthcheck:
        values["healthcheck"] = _healthcheck(config.healthcheck)
    if config.onbuild:
        values["onbuild"] = list(config.onbuild)
    if inherited.onbuild:
        unset = values.setdefault("unset", {})
        assert isinstance(unset, dict)
        unset["onbuild"] = True
    return values, list(_comments(config, inherited))


def carried(config: Config) -> Config:
    """What a stack passes on to steps; layers and history do not matter here."""
    return replace(config, diff_ids=(), history=(), created="")


def _commands(config: Config, inherited: Config, values: dict[str, Value]) -> None:
    """An own entrypoint drops an inherited cmd, so a cmd that stays is written again."""
    if config.shell != inherited.shell and config.shell is not None:
        values["shell"] = list(config.shell)
    dropped = config.cmd is None and inherited.cmd is not None
    own = config.entrypoint is not None and (config.entrypoint != inherited.entrypoint or dropped)
    if own and config.entrypoint is not None:
        values["entrypoint"] = list(config.entrypoint)
    elif dropped:
        values["unset"] = {"cmd": True}
    if config.cmd is not None and (own or config.cmd != inherited.cmd):
        values["cmd"] = list(config.cmd)


def _port(port: str) -> Value:
    number, _, protocol = port.partition("/")
    return int(number) if protocol == "tcp" and number.isdigit() else port


def _healthcheck(check: Healthcheck) -> dict[str, Value]:
    made: dict[str, Value] = {"test": list(check.test)}
    times = {
        "interval": check.interval,
        "timeout": check.timeout,
        "start-period": check.start_period,
        "start-interval": check.start_interval,
    }
    made |= {name: _duration(value) for name, value in times.items() if value}
    if check.retries:
        made["retries"] = check.retries
    return made


def _duration(value: int) -> str:
    for unit, size in (("h", 3600 * _SECOND), ("m", 60 * _SECOND), ("s", _SECOND), ("ms", 10**6)):
        if value % size == 0:
            return f"{value // size}{unit}"
    return f"{value}ns"


def _comments(config: Config, inherited: Config) -> list[str]:
    found = []
    if config.author and config.author != inherited.author:
        found.append(f"MAINTAINER {config.author}: a Buildfile has no author")
    relative = [path for path in config.volumes if not path.startswith("/")]
    return found + [f"VOLUME {path} is relative, which a Buildfile refuses" for path in relative]
