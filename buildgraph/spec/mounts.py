"""``mounts`` of a run step: each is of one kind, has that kind's keys, and a target of its own."""

import re

from buildgraph.errors import UsageError
from buildgraph.spec.expand import Holed
from buildgraph.spec.model import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    SshMount,
    Text,
    TmpfsMount,
)
from buildgraph.spec.problems import either, mean
from buildgraph.spec.source import Source
from buildgraph.spec.values import size, variable_name

_KEYS = {
    "bind": ("include", "exclude", "path", "target", "write"),
    "cache": ("target", "sharing", "owner", "mode"),
    "tmpfs": ("target", "size", "owner", "mode"),
    "secret": ("target", "env", "required", "owner", "mode"),
    "ssh": ("target", "required", "owner", "mode"),
}
_RESERVED = ("/", "/proc", "/sys", "/dev")
_OWN_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_AGENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@+-]|/(?![/.]))*")


def lower_mounts(source: Source) -> tuple[Mount, ...]:
    places: set[str] = set()
    mounts = []
    for at, _ in source.items("mounts"):
        item = source.inside("mounts", at)
        mount = _mount(item)
        if mount is None:
            continue
        mounts.append(mount)
        place = _place(mount)
        if place in places:
            _taken(item, place)
        elif place:
            places.add(place)
    return tuple(mounts)


def _place(mount: Mount) -> str:
    """Where the command finds it; a variable's name begins with ``$``."""
    if isinstance(mount, SecretMount) and mount.env:
        return f"${mount.env}"
    return _shown(mount.target) if mount.target else ""


def _shown(target: Text) -> str:
    return target.fill({name: f"${{env.{name}}}" for name in target.names()})


def _taken(item: Source, place: str) -> None:
    key = next(key for key in ("env", "target", *_KEYS) if key in item)
    what = f"the variable {place[1:]!r}" if place[0] == "$" else f"the target {place!r}"
    hint = "give each a place of its own, or leave one out"
    item.wrong("duplicate-target", f"two mounts have {what}", key, hint=hint)


def _mount(item: Source) -> Mount | None:
    if item.path in item.broken:
        return None
    kinds = [kind for kind in _KEYS if kind in item]
    if len(kinds) != 1:
        if kinds or not _says_more(item):
            words = " and ".join(kinds) or "no kind"
            item.wrong(
                "bad-mount",
                f"a mount has one kind, and this one has {words}",
                hint=f"give it one of {either(list(_KEYS), quote='')}",
            )
        _target(item), item.mode(), item.numbers()
        return None
    kind = kinds[0]
    for key in item.table:
        if key != kind and key not in _KEYS[kind]:
            hint = f"its keys are {', '.join((kind, *_KEYS[kind]))}"
            item.wrong("unknown-key", f"a {kind} mount has no key {key!r}", key, hint=hint)
    if kind == "secret":
        return _secret(item)
    if kind == "ssh":
        return _ssh(item)
    if "target" not in item:
        item.wrong("missing-key", f"a {kind} mount needs a target", hint='add target = "/…"')
    target = _target(item)
    match kind:
        case "bind":
            return _bind(item, target)
        case "cache":
            return _cache(item, target)
        case _:
            return _tmpfs(item, target)


def _says_more(item: Source) -> bool:
    """In a word that nobody understands, which may be meant for its kind."""
    known = {key for keys in _KEYS.values() for key in keys}
    return any(path[:-1] == item.path and path[-1] not in known for path in item.broken)


def _target(item: Source) -> Text | None:
    """None where it is absent, or wrong and then reported."""
    target = item.absolute("target", "the target of a mount")
    plain = _shown(target) if target else ""
    if plain in _RESERVED or plain.startswith(("/proc/", "/sys/")):
        item.wrong(
            "bad-mount-target",
            f"nothing can be mounted at {plain!r}",
            "target",
            hint="/, /dev and all in /proc and /sys are the sandbox's own; choose a folder of your own",
        )
    elif plain in _OWN_FILES and ("cache" in item or "tmpfs" in item):
        item.wrong(
            "bad-mount-target",
            f"{plain!r} is a file, which every command gets; a directory cannot be mounted there",
            "target",
            hint="mount it at a directory; names of hosts are given with hosts = { NAME = ADDRESS }",
        )
    return target


def _bind(item: Source, target: Text | None) -> BindMount | None:
    """Without a target, which is told already, for the sake of what it binds."""
    selection = item.selection("bind")
    write = bool(item.table.get("write", False))
    return BindMount(selection, target or Text(()), write) if selection else None


def _cache(item: Source, target: Text | None) -> CacheMount | None:
    name = item.get("cache", _identifier)
    sharing = item.table.get("sharing", "shared")
    owner, mode = item.numbers(), item.mode()
    return CacheMount(name, target, sharing, owner, mode) if name and target else None


def _tmpfs(item: Source, target: Text | None) -> TmpfsMount | None:
    if item.table.get("tmpfs") is False:
        item.wrong("bad-mount", "tmpfs = false is no mount", "tmpfs", hint="leave the mount out")
    bytes_, owner, mode = item.get("size", size) or 0, item.numbers(), item.mode()
    return TmpfsMount(target, bytes_, owner, mode) if target else None


def _secret(item: Source) -> SecretMount | None:
    name = str(item.table.get("secret", ""))
    known = item.around.secrets
    names = item.around.names
    if name and name not in known and name not in names.lost and not names.open_ended:
        near = mean(item.around.problems.near(name, known))
        cure = f"add [secret.{name}] with 'file' or 'env', or give --secret id={name}"
        item.wrong(
            "unknown-secret",
            f"there is no secret {name!r}",
            "secret",
            hint=" ".join(filter(None, (near, cure))),
        )
    env = item.get("env", variable_name) or ""
    if "env" in item and "target" in item:
        message = "a secret is given as a file ('target') or as a variable ('env'), not both"
        item.wrong("bad-mount", message, "env", hint="keep one of them")
    target, owner, mode = _target(item), item.numbers(), item.mode()
    if "env" not in item and "target" not in item:
        target = Text((f"/run/secrets/{name}",))
    if not name or (target is None and not env):
        return None
    required = bool(item.table.get("required", False))
    return SecretMount(name, target, env, required, owner, mode)


def _ssh(item: Source) -> SshMount | None:
    name = item.get("ssh", _agent)
    target, owner, mode = _target(item), item.numbers(), item.mode()
    if name is None or ("target" in item and target is None):
        return None
    target = target or Text((f"/run/buildgraph/ssh-{name}.sock",))
    required = bool(item.table.get("required", False))
    return SshMount(name, target, required, owner, mode)


def _agent(value: str) -> str:
    if _AGENT.fullmatch(value):
        return value
    raise UsageError(
        "wrong-value",
        f'"{value}" cannot be the id of an ssh agent',
        hint='write ssh = "default"; --ssh default gives it to the build',
    )


def _identifier(value: str) -> str:
    if _ID.fullmatch(value) and not isinstance(value, Holed):
        return value
    raise UsageError(
        "bad-cache-id",
        f'"{value}" cannot be the id of a cache',
        hint="ids are made of letters, digits, '.', '_', '-', '+', '@' and single slashes",
    )
