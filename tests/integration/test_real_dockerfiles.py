"""``examples/dockerfiles``, a chain of three Dockerfiles that only need apt, built as they are. Takes a minute or two.

The root below them is made of packages and named ``debian:bookworm``; apt inside of ``RUN`` reaches Debian's own archive.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import foreign
from support.capability import require, require_root
from support.program import Built, Program

FOLDER = Path(__file__).parents[2] / "examples/dockerfiles"
CHAIN = {
    "curl": "buildpack-deps:bookworm-curl",
    "scm": "buildpack-deps:bookworm-scm",
    "buildpack": "buildpack-deps:bookworm",
}
SCRIPT = """
curl --version
git init -q /r
git -C /r status
/usr/src/hello/hello
cc -Wall -o /again /usr/src/hello/hello.c -lz
/again
"""
COLD = 900
"""Seconds that a build may take on a busy machine."""


@dataclass
class Chain:
    program: Program
    first: dict[str, Built] = field(default_factory=dict)

    def build(self, name: str) -> Built:
        file = f"{name}/Dockerfile"
        return self.program.build("-f", file, "-t", CHAIN[name], name, limit=COLD)

    def digests(self) -> dict[str, str]:
        return {name: built.digests[name] for name, built in self.first.items()}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Root and chain built once, in a folder and a store of their own."""
    require("mmdebstrap", "bwrap")
    require_root()
    place = tmp_path_factory.mktemp("dockerfiles")
    shutil.copytree(FOLDER, place / "first", ignore=shutil.ignore_patterns("Buildfile.lock"))
    made = Chain(Program(place / "first", place / "home"))
    made.program.build("debian", limit=COLD)
    made.first = {name: made.build(name) for name in CHAIN}
    return made


def test_each_instruction_that_does_something_ran_once(chain):
    ran = {name: built.metadata["steps"]["executed"] for name, built in chain.first.items()}
    assert ran == {"curl": 1, "scm": 1, "buildpack": 3}


def test_a_second_run_executes_nothing(chain):
    again = {name: chain.build(name) for name in CHAIN}
    assert [built.metadata["steps"]["executed"] for built in again.values()] == [0, 0, 0]
    assert {name: built.digests[name] for name, built in again.items()} == chain.digests()


def test_nor_does_one_in_a_copy_of_the_folder(chain):
    copied = chain.program.folder.with_name("copied")
    shutil.copytree(chain.program.folder, copied)
    for path in copied.rglob("*"):
        path.touch()
    other = Chain(Program(copied, chain.program.home))
    again = {name: other.build(name) for name in CHAIN}
    assert [built.metadata["steps"]["executed"] for built in again.values()] == [0, 0, 0]
    assert {name: built.digests[name] for name, built in again.items()} == chain.digests()


def test_each_stands_on_the_one_before(chain):
    layers = [chain.first[name].metadata["targets"][name]["layers"] for name in CHAIN]
    assert [len(each) for each in layers] == [2, 3, 6]
    assert layers[1][:2] == layers[0]
    assert layers[2][:3] == layers[1]


def test_the_last_image_compiles_what_it_fetched_and_others_can_run_it(chain, tmp_path):
    require("skopeo", "podman", "runc")
    archive = tmp_path / "image.tar"
    chain.program.run(
        *("build", "-f", "buildpack/Dockerfile", "-t", CHAIN["buildpack"], "buildpack"),
        *("-o", f"type=oci-archive,dest={archive}"),
    )
    told = json.loads(foreign.said("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    made_by = [entry["created_by"] for entry in told["history"]]
    assert made_by[-2:] == [
        "COPY hello.c /usr/src/hello/ # buildkit",
        "RUN /bin/sh -c make -C /usr/src/hello LDLIBS=-lz hello && /usr/src/hello/hello # buildkit",
    ]
    with foreign.podman("overlay") as podman:
        podman("load", "-q", "-i", archive)
        options = ("--rm", "--network=none", "--ulimit=nofile=512:512", "--ulimit=nproc=512:512")
        found = podman("run", *options, CHAIN["buildpack"], "sh", "-ec", SCRIPT)
    assert "curl 7" in found
    assert "built with zlib 1" in found
