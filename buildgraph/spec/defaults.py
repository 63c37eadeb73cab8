"""What does a table inherit from ``[workspace.defaults.…]``? Its own keys last.

Tables merge, arrays replace, ``mounts`` append and the same target replaces. What is inherited keeps its place in the
file: ``moved`` maps the path where a value now stands to the path where it was written.
"""

from collections.abc import Mapping
from typing import Any

from buildgraph.spec.position import Path

KINDS = ("run", "copy", "write", "dirs", "links", "fetch", "git", "packages")
"""Keys that make a step's kind; never inherited."""

RUN_ONLY = frozenset(
    {
        *("env", "workdir", "user", "shell", "with", "network", "mounts", "outputs", "discard"),
        *("timeout", "retry", "cpus", "memory", "pool", "reuse", "hosts"),
    }
)


def inherit(
    own: Mapping[str, Any],
    path: Path,
    defaults: Mapping[str, Any],
    origin: Path,
    moved: dict[Path, Path],
) -> dict[str, Any]:
    merged = dict(own)
    run = "run" in own or path[0] != "step"
    for key, value in defaults.items():
        if key in KINDS or (key in RUN_ONLY and not run):
            continue
        here, there = (*path, key), (*origin, key)
        if key not in own:
            merged[key] = value
            moved[here] = there
        elif isinstance(value, dict) and isinstance(own[key], dict):
            merged[key] = _merge(value, own[key], here, there, moved)
        elif key == "mounts" and isinstance(value, list) and isinstance(own[key], list):
            merged[key] = _mounts(value, own[key], here, there, moved)
    return merged


def _merge(
    below: Mapping[str, Any],
    own: Mapping[str, Any],
    here: Path,
    there: Path,
    moved: dict[Path, Path],
) -> dict[str, Any]:
    merged = dict(below)
    for key, value in below.items():
        if key not in own:
            moved[*here, key] = (*there, key)
        elif isinstance(value, dict) and isinstance(own[key], dict):
            merged[key] = _merge(value, own[key], (*here, key), (*there, key), moved)
            continue
    both = {key for key in own if isinstance(own[key], dict) and isinstance(below.get(key), dict)}
    return merged | {key: value for key, value in own.items() if key not in both}


def _mounts(
    below: list[Any], own: list[Any], here: Path, there: Path, moved: dict[Path, Path]
) -> list[Any]:
    targets = [mount["target"] for mount in own if isinstance(mount, dict) and "target" in mount]
    merged: list[Any] = []
    for at, mount in enumerate(below):
        if isinstance(mount, dict) and mount.get("target") in targets:
            continue
        moved[*here, len(merged)] = (*there, at)
        merged.append(mount)
    for at, mount in enumerate(own):
        # Marked as its own place, for the index in the merged array is another one.
        moved[*here, len(merged)] = (*here, at)
        merged.append(mount)
    return merged
