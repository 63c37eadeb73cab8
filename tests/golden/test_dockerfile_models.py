"""What Dockerfiles become: ``models/NAME.Dockerfile`` and the steps, config and history that it means, in ``NAME.txt``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import golden
from support.dockerfiles import Asked

from buildgraph.oci.config import Config
from buildgraph.spec import model as m

FOLDER = Path(__file__).parent / "models"
CASES = sorted(FOLDER.glob("*.Dockerfile"))
BASES = {
    "debian:12": Config("amd64", "linux", env=(("PATH", "/usr/bin:/bin"), ("LANG", "C"))),
    "node:22": Config(
        "amd64", "linux", user="node", workdir="/home/node", onbuild=("ARG NODE_ENV=dev",)
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_it_becomes(case: Path) -> None:
    made = Asked(case.read_text(), BASES, prefix="app/", args={"VERSION": "9"})
    golden.check(case.with_suffix(".txt"), "\n".join(_told(made)) + "\n")


def test_there_are_cases() -> None:
    assert len(CASES) >= 4


def _told(made: Asked) -> Iterator[str]:
    for base in made.found.bases.values():
        yield f"base {base.name}: {base.kind} {base.reference} {base.platform}".rstrip()
    for image in made.found.images.values():
        yield f"stage {image.name}: {' '.join(map(str, image.on))}"
    for step in made.found.steps.values():
        yield ""
        yield f"{step.name}  (line {step.where.line})"
        yield f"    {step.title}"
        yield f"    on {' '.join(map(str, step.on)) or '-'}"
        yield from (f"    {line}" for line in _kind(step.kind))
    yield ""
    yield f"image on {' '.join(map(str, made.found.on))}"
    yield json.dumps(json.loads(made.config.to_bytes())["config"], indent=2)
    for line in made.found.image.history:
        yield f"{line.step or '-'}: {line.created_by!r}"


def _kind(kind: object) -> Iterator[str]:
    match kind:
        case m.Run():
            yield f"argv {[text.fill({}) for text in kind.command]}"
            yield f"env { ({name: text.fill({}) for name, text in kind.env.items()}) }"
            yield f"workdir {kind.workdir.fill({})} user {kind.user and kind.user.fill({})}"
            yield f"network {kind.network}"
            yield from (f"mount {mount}" for mount in kind.mounts)
        case m.DockerCopy():
            yield from (f"source {source}" for source in kind.sources)
            yield f"to {kind.to} owner {kind.owner} mode {kind.mode} link {kind.link}"
        case _:
            yield str(kind)
