"""Which key does somebody mean who writes that of a Dockerfile, a compose file or another build tool?"""

from collections.abc import Collection

_MEANT = {
    "args": ("vars",),
    "base": ("on",),
    "cmd": ("run",),
    "command": ("run", "cmd"),
    "cwd": ("workdir",),
    "depends": ("on",),
    "dest": ("to",),
    "destination": ("to", "target"),
    "dst": ("to", "target"),
    "environment": ("env",),
    "exec": ("run",),
    "from": ("on",),
    "ignore": ("exclude",),
    "mount": ("mounts",),
    "needs": ("on",),
    "path": ("target",),
    "ports": ("expose",),
    "ref": ("image",),
    "requires": ("on",),
    "script": ("run",),
    "source": ("from", "bind"),
    "src": ("from", "bind"),
    "steps": ("on",),
    "target": ("to",),
    "volumes": ("mounts",),
    "working-dir": ("workdir",),
    "dependson": ("on",),
    "depends-on": ("on",),
}


def elsewhere(key: str, known: Collection[str]) -> tuple[str, ...]:
    """What is called ``key`` elsewhere: none or one of ``known``."""
    words = _MEANT.get(key.lower().replace("_", "-"), ())
    return tuple(word for word in words if word in known)[:1]
