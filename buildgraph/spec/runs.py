"""The keys of a run step other than its command and mounts; names of Debian packages."""

import math
import re
from typing import Any

from buildgraph.errors import UsageError
from buildgraph.spec.model import DEFAULT_DISCARD, Mount, Retry, Reuse, Run, Script, Text
from buildgraph.spec.source import Source
from buildgraph.spec.values import SECOND, duration, glob_in_image, seconds, size, variable_name

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def lower(
    source: Source, command: Text | tuple[Text, ...] | Script, mounts: tuple[Mount, ...]
) -> Run:
    table = source.table
    tools = source.refs("with", ("base", "step", "image"))
    if tools and "outputs" not in source:
        source.wrong(
            "with-needs-outputs",
            "a step with tools below its stack needs 'outputs': what of the result is its own?",
            "with",
            hint='add outputs = ["/path/**"]',
        )
    for name in table.get("env", {}):
        source.parse(name, variable_name, "env", name)
    discard = source.globs("discard", glob_in_image) if "discard" in table else DEFAULT_DISCARD
    return Run(
        command=command,
        env=source.texts("env"),
        workdir=source.absolute("workdir", "workdir"),
        user=source.filled("user"),
        shell=source.shell(),
        tools=tools,
        network=table.get("network", "none"),
        mounts=mounts,
        outputs=source.globs("outputs", glob_in_image) if "outputs" in table else None,
        discard=discard,
        timeout=source.get("timeout", _limit),
        retry=_retry(source),
        cpus=source.get("cpus", _cpus),
        memory=source.get("memory", size),
        pool=table.get("pool", ""),
        reuse=_reuse(source),
        hosts=_hosts(source),
    )


def _limit(value: str | int) -> float:
    found = duration(value)
    if found:
        return found / SECOND
    raise UsageError(
        "bad-duration",
        "a timeout of nothing leaves no time to run",
        hint="leave it out for no limit",
    )


def _retry(source: Source) -> Retry | None:
    if "retry" not in source.table:
        return None
    item = source.inside("retry")
    attempts = item.table.get("attempts", 0)
    if "attempts" not in item:
        item.wrong("missing-key", "retry needs 'attempts'", hint="retry = { attempts = 3 }")
    elif "attempts" in item.table and not 1 <= attempts <= 100:
        told = f"attempts is {attempts}; it is 1 to 100"
        item.wrong("wrong-value", told, "attempts", hint="leave retry out for a single attempt")
    return Retry(attempts, item.each("on", _retried))


def _retried(value: Any) -> str | int:
    if value == "network" or (isinstance(value, int) and 1 <= value <= 255):
        return value  # type: ignore[no-any-return]
    raise UsageError(
        "wrong-value",
        f"{value!r} is nothing to retry on",
        hint='write "network", or exit codes from 1 to 255',
    )


def _reuse(source: Source) -> Reuse:
    value = source.table.get("reuse", "always")
    if isinstance(value, str):
        return Reuse(never=value == "never")
    item = source.inside("reuse")
    if "max-age" not in item:
        hint = 'write reuse = { max-age = "24h" }'
        item.wrong("missing-key", "reuse = { … } needs 'max-age'", hint=hint)
    return Reuse(max_age=item.get("max-age", seconds))


def _cpus(value: float) -> float:
    if math.isfinite(value) and 0 < value <= 4096:
        return float(value)
    hint = "write how many of them the step may use, as in cpus = 2 or 0.5"
    raise UsageError("wrong-value", f"{value:g} is no number of processors", hint=hint)


def _hosts(source: Source) -> dict[str, str]:
    hosts = source.table.get("hosts", {})
    if hosts:
        from ipaddress import ip_address

        for name, address in hosts.items():
            if not _HOST.fullmatch(name):
                hint = 'write hosts = { "db.internal" = "10.0.0.1" }'
                told = f"{name!r} is not a host name"
                source.wrong("wrong-value", told, "hosts", name, hint=hint)
            try:
                ip_address(address)
            except ValueError:
                message = f"{address!r} is not an IP address"
                hint = (
                    'write one, as in "10.0.0.1" or "fd00::1": names are looked up by nobody here'
                )
                source.wrong("wrong-value", message, "hosts", name, hint=hint)
    return dict(hosts)


def package(value: str) -> str:
    """``name[:architecture][=version]``."""
    if _PACKAGE.fullmatch(value):
        return value
    raise UsageError(
        "bad-package",
        f'"{value}" is not a Debian package',
        hint="write name, name:architecture or name=version",
    )
