"""A Dockerfile and the Buildfile that ``convert`` makes of it, built and compared."""

import io
import json
import tarfile
from difflib import unified_diff
from textwrap import dedent

from support.dockerbuilds import Docker

from buildgraph.build.dockerconvert import Rewritten, rewrite
from buildgraph.build.request import DockerRequest, OutputSpec
from buildgraph.errors import BuildgraphError


def check(docker: Docker, text: str, *, whole: bool = False) -> str:
    """The text of the Buildfile. ``whole``: layers may be cut otherwise, and all together hold the same."""
    docker.write("Dockerfile", dedent(text).lstrip())
    out = docker.workspace.folder.parent
    kind = "tar" if whole else "oci-archive"
    docker.build(outputs=(OutputSpec(kind, str(out / "first.tar")),))
    made = converted(docker)
    made.file.write_text(made.text)
    try:
        docker.workspace.build(outputs=(OutputSpec(kind, str(out / "second.tar")),))
    except BuildgraphError as error:
        raise AssertionError(f"{made.text}\n{error.render()}") from error
    finally:
        made.file.unlink()
    told = tree if whole else image
    first, second = told((out / "first.tar").read_bytes()), told((out / "second.tar").read_bytes())
    difference = "\n".join(unified_diff(first, second, lineterm="", n=0))
    assert not difference, f"{difference}\n\n{made.text}"
    return made.text


def converted(docker: Docker) -> Rewritten:
    """Of the context's Dockerfile, for a Buildfile in the folder above."""
    asked = DockerRequest("ctx", contexts={"box": "oci-layout://box:latest"})
    file = docker.workspace.folder / "Buildfile.toml"
    return rewrite(docker.workspace.request(docker=asked), asked, file)


def image(archive: bytes) -> list[str]:
    """What an image runs as, and its layers' trees; a Buildfile's image has no empty ones."""
    config, layers = opened(archive)
    shown = [f"{key}: {value}" for key, value in sorted(config.items())]
    return shown + [line for layer in layers for line in ("layer", *layer)]


def opened(archive: bytes) -> tuple[dict[str, object], list[list[str]]]:
    """The config that commands see, and the trees of layers that are not empty."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:

        def blob(digest: str) -> bytes:
            return tar.extractfile("blobs/" + digest.replace(":", "/")).read()

        index = json.loads(tar.extractfile("index.json").read())
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))["config"]
        config.pop("ArgsEscaped", None)
        layers = [tree(blob(layer["digest"])) for layer in manifest["layers"]]
        return config, [layer for layer in layers if layer]


def tree(layer: bytes) -> list[str]:
    found = []
    with tarfile.open(fileobj=io.BytesIO(layer)) as members:
        for one in members:
            content = members.extractfile(one).read()[:200] if one.isreg() else one.linkname
            shown = f"{one.name} {one.type} {one.mode:o} {one.uid}:{one.gid} {one.mtime}"
            found.append(f"{shown} {content!r}")
    return found
