"""W1 pushed to a registry on this machine: with nothing to do, and after one file changed. Its log is what counts."""

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import registries
import roots
import workloads
from bench import Bench

_ASKED = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/')
NO_OP = 0.3
"""Seconds."""
REQUESTS = 45.0


class Pushes(NamedTuple):
    """Seconds of pushes with nothing to do; then, for one changed file each, requests beyond HEADs of manifests, bytes
    uploaded, and the bytes of what is new: layers, config, manifest.
    """

    no_op: tuple[float, ...]
    requests: tuple[float, ...]
    uploaded: tuple[float, ...]
    new: tuple[float, ...]


@functools.cache
def shop(bench: Bench) -> Pushes:
    folder = bench.folder / "w1-push"
    with registries.running(folder) as host:
        made = workloads.w1(folder / "shop", roots.debian(), bench.scale, f"{host}/")
        home = bench.home(roots.debian())
        for _ in range(2):  # the second looks again at what the first wrote
            bench.build(made.dir, home, "--push")
        ran = [bench.build(made.dir, home, "--push", sync=False) for _ in range(bench.rounds * 4)]
        changed = [
            _changed(bench, made, home, folder / "registry.log") for _ in range(bench.rounds)
        ]
    requests, uploaded, new = zip(*changed, strict=True)
    return Pushes(tuple(one.wall for one in ran), requests, uploaded, new)


def _changed(
    bench: Bench, made: workloads.Shop, home: Path, log: Path
) -> tuple[float, float, float]:
    before, logged = _manifest(bench, made, home), log.stat().st_size
    with made.edited.open("a") as out:
        out.write(f"edited = {logged}\n")
    report = made.dir.parent / "pushed.json"
    bench.build(made.dir, home, "--push", "--metadata-file", str(report))
    with log.open() as lines:
        lines.seek(logged)
        asked = _ASKED.findall(lines.read())
    requests = [(method, path) for method, path in asked if method != "HEAD" or "/blobs/" in path]
    uploaded = json.loads(report.read_text())["bytes"]["uploaded"]
    after = _manifest(bench, made, home)
    known = {layer["digest"] for layer in before["layers"]}
    new = sum(layer["size"] for layer in after["layers"] if layer["digest"] not in known)
    size = len(json.dumps(after, separators=(",", ":")))
    return float(len(requests)), float(uploaded), float(new + after["config"]["size"] + size)


def _manifest(bench: Bench, made: workloads.Shop, home: Path) -> dict[str, Any]:
    """Of the service whose file is edited."""
    name = made.edited.relative_to(made.dir / "services").parts[0]
    argv = [bench.command, "images", "--json"]
    images = json.loads(_output(argv, made.dir, bench.env(home)))["images"]
    (tag,) = (image["tag"] for image in images if f"/{name}:" in image["tag"])
    argv = [bench.command, "inspect", tag]
    found: dict[str, Any] = json.loads(_output(argv, made.dir, bench.env(home)))["manifest"]
    return found


def _output(argv: list[str], folder: Path, env: dict[str, str]) -> str:
    return subprocess.run(
        argv, cwd=folder, env=env, check=True, capture_output=True, text=True
    ).stdout
