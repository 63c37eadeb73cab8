"""What config does an image have? Pure: the config that it stands on, and its own keys on top.

The rules are docker's, with ``unset`` before them: what is inherited is cut first, then the image's own keys are laid
over it. ``${env.NAME}`` always means the inherited environment, before ``unset``. Layers and history stay as inherited.
"""

import posixpath
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from buildgraph.errors import Location
from buildgraph.oci.config import Config, Healthcheck
from buildgraph.spec import model
from buildgraph.spec.model import Text
from buildgraph.values import replace

DEFAULT_SHELL = ("/bin/sh", "-c")


def configure(
    inherited: Config, own: model.ImageConfig, fields: Mapping[str, Location] | None = None
) -> Config:
    """``fields`` says where each key of the image's table stands; UsageError ``unknown-env`` points there."""
    fill = _Filler(inherited.environment, fields or {})
    kept = _cut(inherited, own.unset)
    shell = own.shell or kept.shell or DEFAULT_SHELL
    entrypoint, cmd = kept.entrypoint, kept.cmd
    if own.entrypoint is not None:
        entrypoint, cmd = fill.argv("entrypoint", own.entrypoint, shell), None
    if own.cmd is not None:
        cmd = fill.argv("cmd", own.cmd, shell)
    return replace(
        kept,
        env=_merged(kept.env, {k: fill.text("env", v) for k, v in own.env.items()}),
        user=fill.text("user", own.user) if own.user else kept.user,
        workdir=_workdir(kept, fill, own.workdir),
        entrypoint=entrypoint,
        cmd=cmd,
        exposed=_union(kept.exposed, (_port(port) for port in own.expose)),
        volumes=_union(kept.volumes, own.volumes),
        labels={**kept.labels, **{k: fill.text("labels", v) for k, v in own.labels.items()}},
        stop_signal=own.stop_signal or kept.stop_signal,
        shell=own.shell or kept.shell,
        onbuild=(*kept.onbuild, *own.onbuild),
        healthcheck=_health(kept.healthcheck, own.healthcheck, fill),
    )


class _Filler:
    """Texts with the inherited environment filled in."""

    def __init__(self, env: Mapping[str, str], fields: Mapping[str, Location]) -> None:
        self._env = env
        self._fields = fields

    def text(self, field: str, text: Text) -> str:
        try:
            return text.fill(self._env)
        except KeyError as error:
            from buildgraph.spec.late import unknown_env

            where = self._fields.get(field)
            raise unknown_env(str(error.args[0]), self._env, field, where) from error

    def argv(
        self, field: str, value: Text | tuple[Text, ...], shell: tuple[str, ...]
    ) -> tuple[str, ...]:
        if isinstance(value, Text):
            return (*shell, self.text(field, value))
        return tuple(self.text(field, part) for part in value)


def _cut(inherited: Config, unset: model.Unset) -> Config:
    """``inherited`` without what ``unset`` names."""
    flags = unset.flags
    return replace(
        inherited,
        env=tuple(pair for pair in inherited.env if not _named(pair[0], unset.env)),
        labels={k: v for k, v in inherited.labels.items() if not _named(k, unset.labels)},
        volumes=tuple(path for path in inherited.volumes if not _named(path, unset.volumes)),
        exposed=tuple(port for port in inherited.exposed if not _port_named(port, unset.expose)),
        entrypoint=None if "entrypoint" in flags else inherited.entrypoint,
        cmd=None if "cmd" in flags else inherited.cmd,
        healthcheck=None if "healthcheck" in flags else inherited.healthcheck,
        user="" if "user" in flags else inherited.user,
        workdir="" if "workdir" in flags else inherited.workdir,
        onbuild=() if "onbuild" in flags else inherited.onbuild,
    )


def _named(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _port_named(port: str, globs: Iterable[str]) -> bool:
    """``unset.expose = ["80"]`` means ``80/tcp``, as ``expose`` does."""
    return any(fnmatchcase(port, glob) or fnmatchcase(port, _port(glob)) for glob in globs)


def _merged(
    inherited: tuple[tuple[str, str], ...], own: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Inherited names keep their place, new ones follow in the order in which they were written."""
    return tuple({**dict(inherited), **own}.items())


def _union(inherited: Iterable[str], own: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*inherited, *own}))


def _port(port: str) -> str:
    number, _, protocol = port.partition("/")
    return f"{number}/{protocol.lower() or 'tcp'}"


def _workdir(kept: Config, fill: _Filler, own: Text | None) -> str:
    """A relative one starts at the inherited one, as with docker's WORKDIR."""
    if own is None:
        return kept.workdir
    return posixpath.normpath(posixpath.join("/", kept.workdir, fill.text("workdir", own)))


def _health(
    inherited: Healthcheck | None, own: model.Healthcheck | None, fill: _Filler
) -> Healthcheck | None:
    """An own test replaces the whole check; without one, own times are laid over the inherited check."""
    if own is None:
        return inherited
    below = Healthcheck() if own.test or inherited is None else inherited
    return replace(
        below,
        test=tuple(fill.text("healthcheck", part) for part in own.test) or below.test,
        interval=own.interval or below.interval,
        timeout=own.timeout or below.timeout,
        start_period=own.start_period or below.start_period,
        start_interval=own.start_interval or below.start_interval,
        retries=own.retries or below.retries,
    )
