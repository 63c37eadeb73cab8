"""A command as an OCI runtime bundle's ``config.json`` (runtime-spec 1.0.2, config.md and config-linux.md)."""

from pathlib import Path

from buildgraph.sandbox import profile, seccomp
from buildgraph.sandbox.command import Command, environment
from buildgraph.sandbox.mounts import in_initial_user_namespace

Json = dict[str, object]

_CPU_PERIOD = 100_000
_INFINITY = 2**64 - 1


def config(command: Command, root: Path, cgroup: str) -> Json:
    """``root`` is the command's root with all of its mounts on it.

    An empty ``cgroup`` leaves it to the runtime, which then does without if it may not make one.
    """
    linux: Json = {"namespaces": _namespaces(command), "resources": _resources(command)}
    if not command.insecure:
        linux |= {
            "maskedPaths": [*profile.MASKED, *profile.MASKED_IN_HOST_SYSFS],
            "readonlyPaths": list(profile.READ_ONLY),
            "seccomp": seccomp.oci(),
        }
    if cgroup:
        linux["cgroupsPath"] = cgroup
    return {
        "ociVersion": "1.0.2",
        "process": _process(command),
        "root": {"path": str(root), "readonly": command.readonly_root},
        "hostname": command.hostname,
        "mounts": _system_mounts(command),
        "linux": linux,
    }


def _process(command: Command) -> Json:
    capabilities = _every_capability() if command.insecure else list(profile.CAPABILITIES)
    limits = [
        {"type": f"RLIMIT_{name.upper()}", "soft": _unlimited(soft), "hard": _unlimited(hard)}
        for name, soft, hard in command.ulimits
    ]
    return {
        "terminal": False,
        "user": {
            "uid": command.uid,
            "gid": command.gid,
            "additionalGids": list(command.groups),
            "umask": profile.UMASK,
        },
        "args": list(command.argv),
        "env": [f"{name}={value}" for name, value in environment(command).items()],
        "cwd": command.workdir,
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "noNewPrivileges": command.no_new_privs,
        "rlimits": limits,
    }


def _every_capability() -> list[str]:
    """All that this process could give."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        bound = next(line for line in status if line.startswith("CapBnd:"))
    held = int(bound.split()[1], 16)
    return [name for at, name in enumerate(profile.ALL_CAPABILITIES) if held >> at & 1]


def _unlimited(limit: int) -> int:
    """-1 means no limit."""
    return _INFINITY if limit < 0 else limit


def _system_mounts(command: Command) -> list[Json]:
    size = [f"size={command.shm_size}"] if command.shm_size else []
    return [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", *_DEVPTS),
        _mount("/dev/shm", "tmpfs", "shm", *_SHM, *size),  # noqa: S108 - inside the root
        _sysfs(command),
    ]


_DEVPTS = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
_SHM = ("nosuid", "noexec", "nodev", "mode=1777")


def _sysfs(command: Command) -> Json:
    """A fresh sysfs belongs to whoever owns the network namespace; else the machine's own is bound."""
    if command.network == "none" or in_initial_user_namespace():
        write = "rw" if command.insecure else "ro"
        return _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", write)
    return _mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")


def _mount(target: str, kind: str, source: str, *options: str) -> Json:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _namespaces(command: Command) -> list[Json]:
    kinds = ["pid", "ipc", "uts", "mount", "cgroup"]
    if command.network == "none":
        kinds.append("network")
    return [{"type": kind} for kind in kinds]


def _resources(command: Command) -> Json:
    resources: Json = {"devices": [{"allow": command.insecure, "access": "rwm"}]}
    cpu, memory = _cpu(command), _memory(command)
    return resources | ({"cpu": cpu} if cpu else {}) | ({"memory": memory} if memory else {})


def _cpu(command: Command) -> Json:
    limits = command.limits
    found: Json = {
        "shares": limits.cpu_shares,
        "period": limits.cpu_period,
        "quota": limits.cpu_quota,
        "cpus": limits.cpuset_cpus,
        "mems": limits.cpuset_mems,
    }
    if command.cpus is not None:
        found |= {"period": _CPU_PERIOD, "quota": max(1000, int(command.cpus * _CPU_PERIOD))}
    return {name: value for name, value in found.items() if value}


def _memory(command: Command) -> Json:
    limit = command.limits.memory if command.memory is None else command.memory
    found: Json = {"limit": limit, "swap": command.limits.memory_swap}
    return {name: value for name, value in found.items() if value}
