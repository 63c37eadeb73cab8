"""Does buildah make of a Dockerfile what we make of it? Config and root filesystem, file by file.

Where it follows BuildKit, that is. ``unlike`` names the paths and the keys of the config in which it does not, each with
the reason; a test fails as well where such a difference is gone. Heredocs, --link, --parents and --exclude are younger
than the buildah of a stable Debian.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from support.buildah import Buildah, Image, config_of, storage, tree_of
from support.capability import require, require_root
from support.dockerbuilds import Docker
from support.dockercases import CASES, TRIGGER, Case, filled

from buildgraph.build.request import OutputSpec

MOUNTED = ("dev", "proc", "run", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf")
"""What buildah leaves of what it mounts for a RUN; BuildKit takes it away again."""


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    require_root()
    require("buildah", "runc")
    base = Docker.make(tmp_path_factory.mktemp("base")).workspace.folder / "box"
    with storage(base) as found:
        yield found


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return filled(Docker.make(tmp_path))


@pytest.mark.parametrize("name", CASES)
def test_as_buildah_builds_it(name: str, docker: Docker, buildah: Buildah) -> None:
    case = CASES[name]
    docker.write("Dockerfile", dedent(case.text).lstrip())
    if case.ignore:
        docker.write(".dockerignore", case.ignore)
    theirs = buildah.build(docker.workspace.folder / "ctx", *_words(case))
    assert not wrongly(ours(docker, dict(case.args)), theirs, case.unlike)


def test_triggers_of_an_image(docker: Docker, buildah: Buildah) -> None:
    docker.build(TRIGGER, tags=("trigger:1",))
    folder = docker.workspace.folder / "ctx"
    buildah("build", "-q", "--network", "none", "--format", "docker", "-t", "trigger:1", folder)
    docker.write("Dockerfile", "FROM trigger:1\nRUN cat /fired /by-trigger > /seen\n")
    assert not wrongly(ours(docker, {}), buildah.build(folder), {})


def _words(case: Case) -> Iterator[str]:
    for name, value in case.args:
        yield from ("--build-arg", f"{name}={value}")


def ours(docker: Docker, args: Mapping[str, str]) -> Image:
    out = docker.workspace.folder.parent / "out.tar"
    summary = docker.build(args=args, outputs=(OutputSpec("tar", str(out)),))
    return Image(config_of(docker.config(summary)), tree_of(out))


def wrongly(our: Image, their: Image, unlike: Mapping[str, str]) -> dict[str, object]:
    """What differs and should not, or does not and should."""
    mine, yours = _told(our), _told(their)
    differ = {key for key in mine.keys() | yours.keys() if mine.get(key) != yours.get(key)}
    return {key: (mine.get(key), yours.get(key)) for key in sorted(differ ^ set(unlike))}


def _told(image: Image) -> dict[str, object]:
    files = {path: told for path, told in image.tree.items() if path not in MOUNTED}
    return {**image.config, **files}
