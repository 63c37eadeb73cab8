"""An image's config (image-spec, config.md, with docker's ``Healthcheck``, ``OnBuild`` and ``Shell``).

What a container is started with, what the layers are before compression, and how they came to be. Unknown fields are
kept, those of the whole document in ``extra`` and those of its ``config`` object in ``runtime_extra``. None and ``()``
differ for argv: None is not written, ``()`` is ``[]``.
"""

from collections.abc import Mapping

from buildgraph.digest import Digest
from buildgraph.names import Platform
from buildgraph.oci.document import Fields, Json, decode, encode, ordered
from buildgraph.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test``: ``("NONE",)``, ``("CMD", …)``, ``("CMD-SHELL", text)`` or () for "as inherited"; nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """``empty_layer``: no layer belongs to this entry. ``created`` is RFC 3339 text or empty."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    architecture: str
    os: str
    variant: str = ""
    created: str = ""
    author: str = ""
    env: tuple[tuple[str, str], ...] = ()
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    exposed: tuple[str, ...] = ()
    """Such as ``80/tcp``; sorted, as ``volumes``."""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    onbuild: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    runtime_extra: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def empty(cls, platform: Platform) -> "Config":
        """What an image that stands on nothing starts with."""
        return cls(platform.arch, platform.os, platform.variant)

    @classmethod
    def parse(cls, content: bytes, name: str = "the image config") -> "Config":
        return _read(decode(content, name))

    @property
    def platform(self) -> Platform:
        return Platform(self.os, self.architecture, self.variant)

    @property
    def environment(self) -> dict[str, str]:
        """``env`` as a command sees it: the last of several values of one name."""
        return dict(self.env)

    def with_layers(self, diff_ids: tuple[Digest, ...], history: tuple[History, ...]) -> "Config":
        return replace(self, diff_ids=diff_ids, history=history)

    def to_bytes(self) -> bytes:
        out: dict[str, Json] = {}
        if self.created:
            out["created"] = self.created
        if self.author:
            out["author"] = self.author
        out |= {"architecture": self.architecture, "os": self.os}
        if self.variant:
            out["variant"] = self.variant
        out["config"] = self._runtime()
        out["rootfs"] = {"type": "layers", "diff_ids": list(self.diff_ids)}
        if self.history:
            out["history"] = [_history_document(entry) for entry in self.history]
        return encode(out | ordered(self.extra))

    def _runtime(self) -> dict[str, Json]:
        """The ``config`` object; empty fields are left out, as Go's ``omitempty`` does."""
        values: dict[str, Json] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed},
            "Env": [f"{name}={value}" for name, value in self.env],
            "Entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "Cmd": None if self.cmd is None else list(self.cmd),
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.workdir,
            "Labels": ordered(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": _health_document(self.healthcheck) if self.healthcheck else None,
            "OnBuild": list(self.onbuild),
            "Shell": None if self.shell is None else list(self.shell),
        }
        kept = {
            key: value
            for key, value in values.items()
            if value or (value == [] and key in ("Entrypoint", "Cmd", "Shell"))
        }
        return kept | ordered(self.runtime_extra)


def _read(fields: Fields) -> Config:
    runtime = fields.child("config") or Fields({}, fields.name)
    rootfs = fields.child("rootfs")
    if rootfs is None:
        raise fields.fail("has no rootfs")
    if rootfs.text("type") != "layers":
        raise rootfs.fail("is not of type 'layers'")
    health = runtime.child("Healthcheck")
    architecture, os = fields.text("architecture"), fields.text("os")
    if not architecture or not os:
        raise fields.fail("names no os or no architecture")
    config = Config(
        architecture,
        os,
        fields.text("variant"),
        fields.text("created"),
        fields.text("author"),
        tuple(_variable(text) for text in runtime.texts("Env") or ()),
        runtime.text("User"),
        runtime.text("WorkingDir"),
        runtime.texts("Entrypoint"),
        runtime.texts("Cmd"),
        runtime.names("ExposedPorts"),
        runtime.names("Volumes"),
        runtime.mapping("Labels"),
        runtime.text("StopSignal"),
        runtime.texts("Shell"),
        runtime.texts("OnBuild") or (),
        _health(health) if health else None,
        rootfs.digests("diff_ids"),
        tuple(_history(entry) for entry in fields.children("history")),
    )
    return replace(config, runtime_extra=runtime.rest(), extra=fields.rest())


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _health(fields: Fields) -> Healthcheck:
    return Healthcheck(
        fields.texts("Test") or (),
        fields.number("Interval", 0),
        fields.number("Timeout", 0),
        fields.number("StartPeriod", 0),
        fields.number("StartInterval", 0),
        fields.number("Retries", 0),
        fields.rest(),
    )


def _health_document(check: Healthcheck) -> dict[str, Json]:
    values: dict[str, Json] = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {key: value for key, value in values.items() if value} | ordered(check.extra)


def _history(fields: Fields) -> History:
    return History(
        fields.text("created"),
        fields.text("created_by"),
        fields.text("author"),
        fields.text("comment"),
        fields.flag("empty_layer"),
        fields.rest(),
    )


def _history_document(entry: History) -> dict[str, Json]:
    values: dict[str, Json] = {
        "created": entry.created,
        "created_by": entry.created_by,
        "author": entry.author,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer,
    }
    return {key: value for key, value in values.items() if value} | ordered(entry.extra)
