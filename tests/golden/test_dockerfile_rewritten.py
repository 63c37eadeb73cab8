"""Dockerfiles as Buildfiles: ``rewritten/NAME.Dockerfile`` (and ``models/``) become ``rewritten/NAME.toml``."""

from pathlib import Path

import pytest
from support import golden
from support.dockerfiles import Asked

from buildgraph.dockerfile.rewrite.buildfile import Place, buildfile
from buildgraph.dockerfile.rewrite.ignore import read
from buildgraph.dockerfile.rewrite.place import Context
from buildgraph.errors import BuildgraphError
from buildgraph.oci.config import Config

FOLDER = Path(__file__).parent / "rewritten"
CASES = sorted([*FOLDER.glob("*.Dockerfile"), *FOLDER.parent.glob("models/*.Dockerfile")])
PATH = ("PATH", "/usr/local/bin:/usr/bin:/bin")
BASES = {
    "debian:12": Config("amd64", "linux", env=(PATH, ("LANG", "C"))),
    "node:22": Config(
        "amd64", "linux", user="node", workdir="/home/node", onbuild=("ARG NODE_ENV=dev",)
    ),
    "python:3.12-slim": Config("amd64", "linux", env=(PATH,), cmd=("python3",)),
}
IGNORED = ("# not wanted", "node_modules", "**/__pycache__", "*.md")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_it_reads_like(case: Path) -> None:
    made = Asked(case.read_text(), BASES, prefix="app/", args={"VERSION": "9"})
    contexts = {name: Context(".", read(IGNORED)) for name in made.found.contexts}
    place = Place("app", "Dockerfile", "/ws", contexts, "app/", args={"VERSION": "9"})
    try:
        text = buildfile(case.read_text(), made.found, made.configs, place)
    except BuildgraphError as error:
        text = "".join(f"# {line}".rstrip() + "\n" for line in error.render().split("\n"))
    golden.check(FOLDER / f"{case.stem}.toml", text)


def test_there_are_cases() -> None:
    assert len(CASES) >= 6
